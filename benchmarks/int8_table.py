"""int8 of real and drawn-people models on every runtime: what the gate says, what it costs in accuracy, what it gains.

    python benchmarks/int8_table.py ../shared/real docs/measured OUT [--only MODEL]

Detector: the real RTMDet-nano, calibrated on photographs of athletes (LSPET), compared with its own fp32 boxes on 500
others of them, and once, at the end, on COCO photographs that served nothing else. Students: those that ship, and a
ViTPose where --vit names one, calibrated on drawn people, AP on other drawn people. PP-TinyPose: imported, on OpenVINO
and ncnn. Speed: one thread, every artifact in a process of its own, taking turns; a ratio to the float artifact of the
same runtime in the same run. Writes int8.json and int8.md; artifacts, refused ones too, stay in OUT.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from telling import machine_words, write_report

from edge.bench import Case, Plan, bench
from edge.coco import Dataset, load_dataset
from edge.image import read_image
from edge.model import Model, load
from edge.parity_boxes import BOX_LIMITS, matched_shifts
from export import Target, export_model, gate_inputs, load_checkpoint
from export.accuracy import AccuracyGate, ap_gate
from export.foreign import engine_files, import_model, like_spec
from export.shipped import shipped
from export.write import Exported
from quantize.calibrate import CALIBRATE, REPORT, SEARCH, gather_sets, pixel_hash
from quantize.distill.measure import drawn_dataset
from quantize.quantizers import quantizer
from quantize.trials import searched
from quantize.work import Int8Judges, Job, quantize_artifact
from runtimes.artifact import REFERENCE, Artifact
from runtimes.base import RunOptions
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
    passed: bool
    drop: float | None
    interval: tuple[float, float] | None
    ap_parent: float | None
    matched: float | None
    score_shift: float | None
    px_p95: float | None
    bytes: int
    parent_bytes: int
    speedup: float | None
    valid: bool | None
    int8_ms: float | None
    parent_ms: float | None
    bf16: float | None
    kept: int
    error: str = ""


@dataclass(frozen=True)
class Subject:
    """A model: its float artifacts, where calibration comes from, and the set its AP is measured on."""

    name: str
    parents: Sequence[Artifact]
    calib: tuple[str, Path | None]
    dataset: Dataset


def exported(weights: Path, real: Path | None, out: Path) -> list[Artifact]:
    """Export a checkpoint in fp32 to every runtime, or take what an earlier run made."""
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
    """Return the models that are asked for."""
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
            exported(shipped("rtmpose-t-drawn").path, None, out),
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
    """Return the share of a parent's boxes found again, and the mean change of their scores, on unused photographs."""
    shifts: list[float] = []
    count = seen = 0
    for path in sorted(photographs.iterdir()):
        frame = read_image(path)
        if pixel_hash(frame) in used:
            continue
        wanted = parent.detect(frame)
        wanted = wanted[wanted.scores >= 0.3]
        shifts += matched_shifts(wanted, ours.detect(frame), BOX_LIMITS["int8"][0])
        count += len(wanted)
        seen += 1
        if seen == PHOTOGRAPHS:
            break
    return len(shifts) / count, float(np.mean(shifts))


def used_hashes(photographs: Path) -> frozenset[str]:
    """Return the hashes of the pictures that the product's own sets take from a directory."""
    hashes: dict[str, None] = {}
    for path in sorted(photographs.iterdir()):
        hashes.setdefault(pixel_hash(read_image(path)), None)
        if len(hashes) == CALIBRATE + SEARCH + REPORT:
            break
    return frozenset(hashes)


def speeds(parent: Artifact, made: Artifact) -> dict[str, Any]:
    """Return milliseconds and ratios on one thread; OpenVINO's bf16 of the parent beside them."""
    one = RunOptions(threads=1)
    cases = [Case(parent, one), Case(made, one)]
    if parent.manifest.runtime == "openvino":
        cases.append(Case(parent, replace(one, precision="bf16")))
    rows = bench(cases, Plan(rounds=10, time_s=3.0)).rows
    base = rows[0].p50_ms
    return {
        "parent_ms": base,
        "int8_ms": rows[1].p50_ms,
        "speedup": base / rows[1].p50_ms,
        "valid": all(row.valid for row in rows),
        "bf16": base / rows[2].p50_ms if len(rows) > 2 else None,
    }


def size(artifact: Artifact) -> int:
    """Bytes of an artifact without its reference."""
    return sum(each.bytes for each in artifact.manifest.files if each.path != REFERENCE)


def measured(subject: Subject, parent: Artifact, args: Any, *, search: bool = False) -> Row:
    """Make int8 of one parent, judge it, and measure everything the table says."""
    source, images = subject.calib
    sets = gather_sets(parent.manifest, source, images)
    judges = Int8Judges(subject.dataset, MAX_DROP[subject.name], None)
    # the photographs report, and judge nothing; drawn people may judge drawn people
    job = judges.job(parent) if source == "synth" else Job()
    mode: str = quantizer(parent.manifest.runtime).MODES[0]
    if search:
        mode += f", --search --max-px {SEARCH_PX:g}"
        limited = replace(job, max_px=SEARCH_PX)
        job, found = searched(parent, sets, limited, args.out, None, print)
        print(found)
    result = quantize_artifact(parent, sets, args.out, job, force=True)
    if result.error:
        return failed(subject, parent, mode, result)
    made = Artifact.open(result.path)
    drift = made.manifest.parity[0]
    ap = (job.accuracy or reported_ap(subject, parent))(made)
    matched, shift = drift.matched, drift.score_shift
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
        passed=result.passed,
        drop=ap.ap_drop,
        interval=ap.ap_interval,
        ap_parent=ap.ap_reference,
        matched=matched,
        score_shift=shift,
        px_p95=drift.px_p95,
        bytes=size(made),
        parent_bytes=size(parent),
        kept=len(made.manifest.kept),
        **speeds(parent, made),
    )


def reported_ap(subject: Subject, parent: Artifact) -> AccuracyGate:
    """Return a judge whose verdict is written down and refuses nobody."""
    with load(parent.root) as model:
        return ap_gate(model, parent.name, subject.dataset, MAX_DROP[subject.name])


def failed(subject: Subject, parent: Artifact, mode: str, result: Exported) -> Row:
    """Return the row of an artifact that could not be made."""
    none = dict.fromkeys(
        ("drop", "interval", "ap_parent", "matched", "score_shift", "px_p95", "speedup", "valid")
    )
    times = dict.fromkeys(("int8_ms", "parent_ms", "bf16"))
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
        **none,
        **times,
    )


def table(rows: Sequence[Row]) -> str:
    """The rows for people."""
    lines = [
        (
            "| model | runtime, mode | gate | AP, float | AP drop (95 % interval) | matched, score shift | px p95 "
            "| MB (float) | ms, float -> int8 | times as fast | bf16 | layers in float |"
        ),
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [cells(row) for row in rows]
    words = (
        f"Calibrated on {CALIBRATE} pictures, judged by the gate on others; the detector's matched boxes are of "
        f"{PHOTOGRAPHS} photographs that calibrated nothing. AP of detector and tinypose: 80 COCO photographs; of "
        f"students: {DRAWN_VAL} drawn pictures. Times: one thread, batch 1, p50; a star where another program shared "
        f"the core. {machine_words()}"
    )
    return "\n".join([*lines, "", words, ""])


def cells(row: Row) -> str:
    """One line of the table."""
    if row.error:
        return f"| {row.model} | {row.runtime}, {row.mode} | not made: {row.error} |" + " |" * 9
    low, high = row.interval or (0.0, 0.0)
    boxes = f"{row.matched:.1%}, {row.score_shift:+.3f}" if row.matched is not None else ""
    px = "" if row.px_p95 is None else f"{row.px_p95:.2f}"
    star = "" if row.valid else "*"
    verdict = (
        f"{'passed' if row.passed else 'refused'} ({'AP alone' if row.gate == 'raw' else row.gate})"
    )
    return (
        f"| {row.model} | {row.runtime}, {row.mode} | {verdict} | {row.ap_parent:.4f} "
        f"| {row.drop:+.4f} ({low:+.4f} .. {high:+.4f}) | {boxes} | {px} "
        f"| {row.bytes / 1e6:.2f} ({row.parent_bytes / 1e6:.2f}) "
        f"| {row.parent_ms:.2f} -> {row.int8_ms:.2f} | {row.speedup:.2f}{star} "
        f"| {'' if row.bf16 is None else f'{row.bf16:.2f}'} | {row.kept} |"
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
    rows = []
    for subject in subjects(args):
        for parent in subject.parents:
            rows.append(measured(subject, parent, args))
            print(cells(rows[-1]), flush=True)
            if (subject.name, parent.manifest.runtime) == SEARCHED:
                rows.append(measured(subject, parent, args, search=True))
                print(cells(rows[-1]), flush=True)
    name = "int8" if not args.only else f"int8_{'_'.join(args.only)}"
    text = table(rows)
    write_report(args.measured, name, text, [asdict(row) for row in rows])
    print(text)


if __name__ == "__main__":
    main()
