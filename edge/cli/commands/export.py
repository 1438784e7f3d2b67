"""edgepose export: one PyTorch model to several artifacts, each checked; what drifts is refused (exit 3)."""

from pathlib import Path

import click

from edge.catalog.lookup import CATALOG
from edge.cli.checks import require_engine, require_torch, require_writable
from edge.cli.console import hint, progress, say
from edge.cli.options import force_option, json_option, parse_list, parse_wh, task_option
from edge.cli.summary import emit_made, say_refused
from edge.cli.weights import load
from runtimes.errors import InputError
from runtimes.spec import Runtime

FORMATS = {
    "onnx": "onnxruntime",
    "onnxruntime": "onnxruntime",
    "ncnn": "ncnn",
    "openvino": "openvino",
    "tflite": "tflite",
}
PRECISIONS = {"fp32": "fp32", "fp16": "fp16", "int8": "int8"}


@click.command("export")
@click.argument("model")
@click.option(
    "--weights", help="FILE, `download` (the official file), URL, or `random` (plumbing only)."
)
@click.option("--format", "formats", default="onnx,ncnn,openvino,tflite", show_default=True)
@click.option("--precision", "precisions", default="fp32", show_default=True, help="fp32,fp16,int8")
@click.option("--input", "input_wh", help="WxH, for models that take any size.")
@task_option
@click.option(
    "--calib",
    "images",
    type=click.Path(path_type=Path),
    help="Photographs for the gate, and to calibrate int8: DIR, COCO.json or `synth`.",
)
@click.option(
    "--val",
    type=click.Path(path_type=Path),
    help="COCO.json with ground truth: the gate also judges AP.",
)
@click.option(
    "--images",
    "image_dir",
    type=click.Path(path_type=Path),
    help="Where the COCO.json's images lie.",
)
@click.option("--max-px", type=click.FloatRange(min=0), help="Replaces the pixel limit.")
@click.option(
    "--max-ap-drop", type=click.FloatRange(min=0), help="In points: 0.5 = .005 (needs --val)."
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("artifacts"), show_default=True
)
@force_option
@json_option
def command(
    model: str,
    weights: str | None,
    formats: str,
    precisions: str,
    input_wh: str | None,
    task: str | None,
    images: Path | None,
    val: Path | None,
    image_dir: Path | None,
    max_px: float | None,
    max_ap_drop: float | None,
    out: Path,
    force: bool,
    as_json: bool,
) -> int:
    """Convert MODEL (a catalogue name or a checkpoint) and compare each artifact with PyTorch."""
    runtimes = parse_list(formats, FORMATS, "format")
    wanted = parse_list(precisions, PRECISIONS, "precision")
    if max_ap_drop is not None and val is None:
        raise InputError("--max-ap-drop needs ground truth: add --val COCO.json")
    if "int8" in wanted and images is None:
        raise InputError("int8 needs images to calibrate: add --calib DIR, COCO.json or synth")
    wh = parse_wh(input_wh) if input_wh else None

    _require_tools(runtimes)

    from edge.evaluation.coco import load_dataset
    from export import Target, gate_inputs, torch_ap_gate
    from export.exporter import export_to
    from export.limits import refuse_entry
    from quantize.int8.calibration import gather_sets, pixel_hashes
    from quantize.int8.export import Images, export_int8, int8_destinations
    from quantize.int8.run import Int8Judges
    from runtimes.naming import destinations

    if model in CATALOG:
        refuse_entry(CATALOG[model], runtimes)
    truth = load_dataset(val, image_dir) if val else None
    floats = [precision for precision in wanted if precision != "int8"]
    targets = [Target(runtime, precision) for runtime in runtimes for precision in floats]
    loaded = load(model, weights, wh, task=task)
    planned = destinations(loaded.spec, targets, out, force=force)
    planned_int8 = []
    if "int8" in wanted:
        planned_int8 = int8_destinations(loaded, runtimes, out, force=force)
    require_writable(out)
    if loaded.lineage.weights == "random":
        say("weights are RANDOM: this proves the plumbing and says nothing about poses")
    inputs = gate_inputs(loaded.spec, images or val, image_dir)
    accuracy = torch_ap_gate(loaded, truth, max_ap_drop) if truth and floats else None
    with progress("reference", None if "int8" in wanted else len(targets) + 1) as advance:
        results = export_to(
            loaded, planned, inputs=inputs, max_px=max_px, accuracy=accuracy, progress=advance
        )
        if planned_int8:
            advance("calibration images")
            avoid = pixel_hashes(truth)
            sets = gather_sets(loaded.spec, str(images), image_dir, avoid=avoid)
            results += export_int8(
                loaded,
                planned_int8,
                results,
                Images(inputs, sets),
                Int8Judges(truth, max_ap_drop, max_px).job,
                progress=advance,
            )
    emit_made(results, "against PyTorch", as_json=as_json)
    if refused := say_refused(results):
        if refused[0].target.precision == "int8":
            hint(f"edgepose quantize {out / 'FP32-ARTIFACT'} --calib {images} --search")
        else:
            hint(f"edgepose verify {refused[0].path} --layers --weights {weights or model}")
        return 3
    hint(f"edgepose verify {results[0].path}")
    return 0


def _require_tools(runtimes: list[Runtime]) -> None:
    """Raise MissingDependencyError for what any of the formats lacks, before the first is begun."""
    require_torch()
    from export.converter import load_converter
    from export.versions import require

    for runtime in runtimes:
        require(load_converter(runtime).PACKAGES, "export")
        require_engine(runtime)
