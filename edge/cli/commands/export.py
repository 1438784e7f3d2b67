"""edgepose export: one PyTorch model to several artifacts, each checked; what drifts is refused (exit 3)."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from edge.catalog.lookup import CATALOG
from edge.cli.checks import require_converters, require_writable
from edge.cli.console import command_line, hint, progress, say
from edge.cli.formats import TENSORRT, Formats, option_words, parse_formats, require_accelerators
from edge.cli.options import (
    CalibrationOptions,
    GateOptions,
    artifacts_option,
    calibration_options,
    det_classes_option,
    engine_option,
    force_option,
    gate_options,
    heads_option,
    json_option,
    keypoints_option,
    parse_list,
    parse_wh,
    setting,
    size_option,
    task_option,
)
from edge.cli.summary import emit_artifacts, report_written
from edge.cli.verb import Verb
from edge.cli.weights import load_weights
from edge.codecs.people import parse_classes
from runtimes.base import Accelerator
from runtimes.errors import InputError
from runtimes.naming import Destination, Target, destinations
from runtimes.spec import Precision, Runtime

if TYPE_CHECKING:
    from edge.evaluation.dataset import Dataset
    from export import Exported, LoadedModel

PRECISIONS = {"fp32": "fp32", "fp16": "fp16", "int8": "int8"}


@dataclass(frozen=True, slots=True)
class Planned:
    """Destinations of the float and of the int8 artifacts."""

    floats: list[Destination]
    int8: list[Destination]


@click.command("export", cls=Verb)
@click.argument("model")
@click.option(
    "--weights",
    help="FILE, `download` (the official file), URL, or `random` (untrained, for smoke tests).",
)
@setting(["--format", "formats"], str, "onnx,ncnn,openvino,tflite", "Comma-separated formats.")
@setting(["--precision", "precisions"], str, "fp32", "Comma-separated: fp32, fp16, int8.")
@click.option("--input", "input_wh", help="Input size WxH, for models that take any size.")
@task_option
@keypoints_option
@heads_option
@det_classes_option
@size_option
@calibration_options
@gate_options
@click.option(
    "--accelerator",
    type=click.Choice(get_args(Accelerator)),
    help="Check each artifact on this processor too; fp16 files in f16.",
)
@engine_option
@artifacts_option
@force_option
@json_option
def command(
    model: str,
    weights: str | None,
    formats: str,
    precisions: str,
    input_wh: str | None,
    task: str | None,
    keypoints: str | None,
    heads: int | None,
    det_classes: str | None,
    size: str,
    calibration: CalibrationOptions,
    gate: GateOptions,
    accelerator: Accelerator | None,
    extra: dict[str, int | str],
    out: Path,
    force: bool,
    as_json: bool,
) -> int:
    """Convert MODEL (a catalogue name or a checkpoint) and check each artifact against PyTorch.

    --format tensorrt: an onnx artifact that passes in TensorRT too, on the board that it is for. --images also
    locates the images of --val, unless --val-images does.
    """
    targets = parse_formats(formats, accelerator, extra)
    wanted = parse_list(precisions, PRECISIONS, "precision")
    gate.check()
    if det_classes and gate.val is None:
        raise InputError("--det-classes says which boxes are people in --val: add --val COCO.json")
    gate = replace(gate, val_images=gate.val_images or calibration.images)
    if "int8" in wanted and calibration.calib is None:
        raise InputError("int8 needs images to calibrate: add --calib DIR, COCO.json or synth")
    wh = parse_wh(input_wh) if input_wh else None
    require_converters(targets.runtimes)
    require_accelerators(targets)
    from export.limits import refuse_entry

    if model in CATALOG:
        refuse_entry(CATALOG[model], targets.runtimes)
    truth = gate.ground_truth()
    loaded = load_weights(
        model, weights, wh, task=task, heads=heads, keypoints=keypoints, size=size
    )
    planned = _plan(loaded, targets.runtimes, wanted, out, force=force)
    require_writable(out)
    if loaded.lineage.weights == "random":
        say("weights are RANDOM: good for a smoke test, the output means nothing")
    people = parse_classes(det_classes)
    if people and not loaded.spec.is_detector:
        raise InputError(f"{loaded.spec.model} is no detector; leave --det-classes out")
    if TENSORRT in targets.accelerated.values():
        say(
            "TensorRT builds an engine for each artifact: minutes on a small board, kept in the cache"
        )
    results = _export(loaded, planned, targets, calibration, gate, truth, people)
    emit_artifacts(results, "against PyTorch", as_json=as_json)
    if refused := report_written(results):
        hint(_mend(refused[0], targets, calibration, out, weights or model))
        return 3
    hint(command_line("verify", results[0].path, *_flags(results[0], targets)))
    return 0


def _mend(
    refused: "Exported", targets: Formats, calibration: CalibrationOptions, out: Path, weights: str
) -> str:
    """Return the command that shows where an artifact that was refused drifts, or what its accelerator lacks."""
    if refused.error and targets.accelerated:
        return command_line("doctor")
    if refused.parity and refused.parity[-1].engine:
        return command_line("verify", refused.path, *_flags(refused, targets))
    if refused.target.precision == "int8":
        calib = ("--calib", calibration.calib, "--search")
        return command_line("quantize", out / "FP32-ARTIFACT", *calib)
    return command_line("verify", refused.path, "--layers", "--weights", weights)


def _flags(made: "Exported", targets: Formats) -> list[str]:
    """Return the options of the accelerator that an artifact was checked on, for another command."""
    from export.accelerated import options_for

    asked = targets.accelerated.get(made.target.runtime)
    return option_words(options_for(asked, made.target.precision)) if asked else []


def _plan(
    loaded: "LoadedModel",
    runtimes: list[Runtime],
    wanted: list[Precision],
    out: Path,
    *,
    force: bool,
) -> Planned:
    """Return where every artifact goes, after the checks that need no work."""
    from quantize.int8.export import int8_destinations

    floats = [precision for precision in wanted if precision != "int8"]
    targets = [Target(runtime, precision) for runtime in runtimes for precision in floats]
    return Planned(
        destinations(loaded.spec, targets, out, force=force),
        int8_destinations(loaded, runtimes, out, force=force) if "int8" in wanted else [],
    )


def _export(
    loaded: "LoadedModel",
    planned: Planned,
    targets: Formats,
    calibration: CalibrationOptions,
    gate: GateOptions,
    truth: "Dataset | None",
    people: tuple[str, ...],
) -> "list[Exported]":
    """Make the float artifacts, then the int8 ones."""
    from export import gate_inputs, torch_ap_gate
    from export.exporter import export_to
    from quantize.int8.calibration import gather_sets, pixel_hashes
    from quantize.int8.export import Int8Inputs, export_int8
    from quantize.int8.run import Int8Limits

    if calibration.calib:
        inputs = gate_inputs(loaded.spec, calibration.calib, calibration.images, gate.category)
    else:
        inputs = gate_inputs(loaded.spec, gate.val, gate.val_images, gate.category)
    accuracy = None
    if truth and planned.floats:
        accuracy = torch_ap_gate(loaded, truth, gate.max_ap_drop, people)
    with progress("reference", None if planned.int8 else len(planned.floats) + 1) as advance:
        results = export_to(
            loaded,
            planned.floats,
            inputs=inputs,
            max_px=gate.max_px,
            accuracy=accuracy,
            accelerated=targets.accelerated,
            progress=advance,
        )
        if planned.int8:
            advance("calibration images")
            sets = gather_sets(
                loaded.spec,
                str(calibration.calib),
                calibration.images,
                exclude=pixel_hashes(truth),
                category=gate.category,
            )
            results += export_int8(
                loaded,
                planned.int8,
                results,
                Int8Inputs(inputs, sets),
                Int8Limits(
                    truth, gate.max_ap_drop, gate.max_px, people, targets.accelerated
                ).options_for,
                progress=advance,
            )
    return results
