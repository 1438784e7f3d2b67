"""int8 of real models and of models trained on drawn people, on every runtime: verdict and accuracy.

    python benchmarks/int8_table.py ../shared/real docs/measured OUT [--vit STUDENT.safetensors] [--only MODEL]
    python benchmarks/int8_speed.py docs/measured OUT          # afterwards, on an idle machine
    python benchmarks/int8_page.py docs/measured               # both into one page

Detector: the real RTMDet-nano, calibrated on photographs of athletes (LSPET), compared with its own fp32 boxes on 500
others of them and, at the end, on COCO photographs that serve nothing else. Students: the packaged one and, with --vit,
a ViTPose, calibrated on drawn people and judged by AP on other drawn people. PP-TinyPose: imported, on OpenVINO (also
with a search) and ncnn. Writes int8.json; artifacts stay in OUT, rejected ones too. Resumes an interrupted run.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from progress import machine_words

from edge.evaluation.dataset import Dataset, load_dataset
from edge.image import read_image
from edge.model import Model, load
from edge.parity.boxes import BOX_LIMITS, matched_shifts
from export import Target, export_model, gate_inputs, load_checkpoint
from export.accuracy import AccuracyGate, ap_gate
from export.bundled import BUNDLED
from export.engine_files import engine_files
from export.exporter import Exported
from export.import_model import import_model
from export.import_spec import like_spec
from quantize.distill.validation import drawn_dataset
from quantize.int8.calibration import (
    CALIBRATION,
    DETECTOR_HELD_OUT,
    SEARCH,
    gather_sets,
    pixel_hash,
)
from quantize.int8.registry import quantizer
from quantize.int8.run import Int8Limits, Int8Options, int8_destination, quantize_artifact
from quantize.int8.search import search_kept_layers
from runtimes.artifact import REFERENCE, Artifact
from runtimes.parity_spec import BoxesParity
from runtimes.spec import Runtime

RUNTIMES: tuple[Runtime, ...] = ("openvino", "tflite", "onnxruntime", "ncnn")
PHOTOGRAPHS = 500
DRAWN_VAL = 300
SEARCHED = ("tinypose", "openvino")
SEARCH_PX = 8.0
MAX_DROP = {"detector": 1.5, "tinypose": 3.0, "student": 0.5, "vit": 0.5}  # points


@dataclass(frozen=True)
class Row:
    """One int8 artifact beside its parent; `drop` in AP with its interval, `size` of all files but the reference."""

    model: str
    runtime: str
    mode: str
    gate: str
    passed: bool | None  # None: the interval of matched boxes spans the limit
    drop: float | None
    interval: tuple[float, float] | None
    ap_parent: float | None
    matched: float | None
    score_shift: float | None
    px_p95: float | None
    bytes: int
    parent_bytes: int
    kept: int
    parent: str
    artifact: str
    error: str = ""


@dataclass(frozen=True)
class Subject:
    """A model: its float artifacts, its calibration source, and the data set of its AP."""

    name: str
    parents: Sequence[Artifact]
    calib: tuple[str, Path | None]
    dataset: Dataset


def exported(weights: Path, real: Path | None, out: Path) -> list[Artifact]:
    """Export a checkpoint in fp32 to every runtime."""
    loaded = load_checkpoint(weights)
    photographs = real / "people" / "lspet" / "images" if real else None
    targets = [Target(runtime, "fp32") for runtime in RUNTIMES]
    inputs = gate_inputs(loaded.spec, photographs, None)
    made = export_model(loaded, targets, out, inputs=inputs, force=True)
    refused = [result for result in made if not result.passed]
    if refused:
        raise SystemExit(f"the float artifacts did not pass: {refused}")
    return [Artifact.open(result.path) for result in made]


def imported(real: Path, out: Path) -> list[Artifact]:
    """Wrap PP-TinyPose's OpenVINO and ncnn files."""
    folder = real / "models" / "tinypose-256x192"
    found = []
    for name in ("model.xml", "tinypose_256x192.param"):
        runtime, files = engine_files([folder / name])
        found.append(
            import_model(files, like_spec("tinypose-256x192", runtime), out, force=True).artifact
        )
    return found


def subjects(args: Any) -> list[Subject]:
    """Return the selected models."""
    real, out = args.real, args.out
    lspet = real / "people" / "lspet"
    makers = {
        "detector": lambda: Subject(
            "detector",
            exported(real / "models" / "rtmdet-nano-person" / "rtmdet_nano_person.pth", real, out),
            (str(lspet / "images"), None),
            load_dataset(real / "coco-mini" / "instances.json"),
        ),
        "tinypose": lambda: Subject(
            "tinypose",
            imported(real, out),
            (str(lspet / "person_keypoints.json"), None),
            load_dataset(real / "coco-mini" / "person_keypoints.json"),
        ),
        "student": lambda: Subject(
            "student",
            exported(BUNDLED["rtmpose-t-drawn"].path, None, out),
            ("synth", None),
            drawn_dataset(DRAWN_VAL),
        ),
        "vit": lambda: Subject(
            "vit", exported(args.vit, None, out), ("synth", None), drawn_dataset(DRAWN_VAL)
        ),
    }
    wanted = args.only or [name for name in makers if name != "vit" or args.vit]
    return [makers[name]() for name in wanted]


def held_out_boxes(
    parent: Model, ours: Model, photographs: Path, used: frozenset[str]
) -> tuple[float, float]:
    """Return the share of a parent's boxes matched and the mean change of their scores, on unused photographs."""
    shifts: list[float] = []
    count = seen = 0
    for path in sorted(photographs.iterdir()):
        frame = read_image(path)
        if pixel_hash(frame) in used:
            continue
        wanted = parent.detect(frame)
        wanted = wanted[wanted.scores >= 0.3]
        shifts += matched_shifts(wanted, ours.detect(frame), BOX_LIMITS["int8"].iou)
        count += len(wanted)
        seen += 1
        if seen == PHOTOGRAPHS:
            break
    return len(shifts) / count, float(np.mean(shifts))


def used_hashes(photographs: Path) -> frozenset[str]:
    """Return the hashes of the images that the product's own sets take from a directory."""
    hashes: dict[str, None] = {}
    for path in sorted(photographs.iterdir()):
        hashes.setdefault(pixel_hash(read_image(path)), None)
        if len(hashes) == CALIBRATION + SEARCH + DETECTOR_HELD_OUT:
            break
    return frozenset(hashes)


def size(artifact: Artifact) -> int:
    """Return the bytes of an artifact without its reference."""
    return sum(each.bytes for each in artifact.manifest.files if each.path != REFERENCE)


def measured(subject: Subject, parent: Artifact, args: Any, *, search: bool = False) -> Row:
    """Quantize one parent, judge it, and measure every figure of the table."""
    source, images = subject.calib
    sets = gather_sets(parent.manifest, source, images)
    limits = Int8Limits(subject.dataset, MAX_DROP[subject.name], None)
    # AP on the photographs is reported and does not judge; on drawn people it does
    options = limits.options_for(parent) if source == "synth" else Int8Options()
    mode = mode_of(parent, search=search)
    if search:
        limited = replace(options, max_px=SEARCH_PX)
        options, found = search_kept_layers(parent, sets, limited, args.out, None, print)
        print(found)
    destination = int8_destination(parent, options, args.out, force=True)
    result = quantize_artifact(parent, sets, destination, options)
    if result.error:
        return failed(subject, parent, mode, result)
    made = Artifact.open(result.path)
    drift = made.manifest.parity[0]
    ap = (options.accuracy or reported_ap(subject, parent))(made)
    undecided = isinstance(drift, BoxesParity) and drift.passed is None
    matched, shift = None, None
    if subject.name == "detector":
        photographs = args.real / "people" / "lspet" / "images"
        with load(parent.root) as theirs, load(made.root) as ours:
            used = used_hashes(photographs)
            matched, shift = held_out_boxes(theirs, ours, photographs, used)
    return Row(
        model=subject.name,
        runtime=parent.manifest.runtime,
        mode=mode,
        gate=drift.basis,
        passed=None if undecided else result.passed,
        drop=ap.ap_drop,
        interval=ap.ap_interval,
        ap_parent=ap.ap_reference,
        matched=matched,
        score_shift=shift,
        px_p95=None if isinstance(drift, BoxesParity) else drift.px_p95,
        bytes=size(made),
        parent_bytes=size(parent),
        kept=len(made.manifest.kept),
        parent=parent.name,
        artifact=str(made.root.relative_to(args.out)),
    )


def reported_ap(subject: Subject, parent: Artifact) -> AccuracyGate:
    """Return an AP gate whose verdict is recorded only."""
    with load(parent.root) as model:
        return ap_gate(model, parent.name, subject.dataset, MAX_DROP[subject.name])


def mode_of(parent: Artifact, *, search: bool) -> str:
    """Return the mode of a parent's int8, as in the table."""
    mode: str = quantizer(parent.manifest.runtime).default_mode(parent)
    return f"{mode}, --search --max-px {SEARCH_PX:g}" if search else mode


def failed(subject: Subject, parent: Artifact, mode: str, result: Exported) -> Row:
    """Return the row of an artifact that could not be made."""
    none = dict.fromkeys(("drop", "interval", "ap_parent", "matched", "score_shift", "px_p95"))
    return Row(
        model=subject.name,
        runtime=parent.manifest.runtime,
        mode=mode,
        gate="",
        passed=False,
        bytes=0,
        parent_bytes=size(parent),
        kept=0,
        error=result.error,
        parent=parent.name,
        artifact="",
        **none,
    )


def main() -> None:
    """Measure every model on every runtime."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("real", type=Path)
    parser.add_argument("measured", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--vit", type=Path, help="a ViTPose student, as `distill` writes it")
    parser.add_argument("--only", action="append")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    kept = args.out / "rows.json"
    rows = msgspec.json.decode(kept.read_bytes(), type=list[Row]) if kept.exists() else []
    for subject in subjects(args):
        for parent in subject.parents:
            both = (subject.name, parent.manifest.runtime) == SEARCHED
            for search in (False, True)[: 1 + both]:
                mode = mode_of(parent, search=search)
                wanted = (subject.name, parent.manifest.runtime, mode)
                if wanted not in [(row.model, row.runtime, row.mode) for row in rows]:
                    rows.append(measured(subject, parent, args, search=search))
                    kept.write_bytes(msgspec.json.encode(rows))
                    print(rows[-1], flush=True)
    data = {"rows": [asdict(row) for row in rows], "on": machine_words()}
    args.measured.mkdir(parents=True, exist_ok=True)
    path = args.measured / "int8.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(data), indent=1) + b"\n")


if __name__ == "__main__":
    main()
