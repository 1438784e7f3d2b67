"""README's table of real weights, exported or imported, on photographs with official ground truth.

    python benchmarks/real_weights.py ../shared/real docs/measured

Exports the person detector RTMDet-nano to every runtime in fp32 and fp16 and measures box AP beside PyTorch's; imports
PP-TinyPose and MoveNet and measures keypoint AP with ground-truth boxes. Writes real_weights.json and real_weights.md.
"""

import argparse
import platform
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from devices.detect import detect_machine
from edge.evaluation.dataset import Dataset, load_dataset
from edge.evaluation.predict import predict
from edge.evaluation.score import score
from edge.model import Model, load
from export import Target, export_model, gate_inputs, load_weights
from export.engine_files import engine_files
from export.import_model import import_model
from export.import_spec import like_spec
from export.torch_session import TorchSession
from runtimes.parity_spec import BoxesParity

TARGETS = [
    Target(runtime, precision)
    for runtime in ("onnxruntime", "openvino", "ncnn", "tflite")
    for precision in ("fp32", "fp16")
]
FOREIGN = (
    ("tinypose-256x192", "tinypose-256x192/model.xml"),
    ("tinypose-256x192", "tinypose-256x192/tinypose_256x192.param"),
    ("movenet-lightning", "movenet-lightning/movenet_single_pose_lightning_ptq.tflite"),
)


@dataclass(frozen=True)
class Row:
    """One line: model, runtime, precision, engine megabytes, AP 0 to 1, the drop from PyTorch, the gate's figure."""

    model: str
    runtime: str
    precision: str
    engine_mb: float
    ap: float
    drop: float | None
    gate: str


def average_precision(model: Model, dataset: Dataset) -> float:
    """Return the AP of a model on a data set: of boxes, or of keypoints in ground-truth boxes."""
    value = score(model, dataset, predict(model, dataset)).AP
    if value is None:
        raise SystemExit("AP is undefined: no people in the ground truth")
    return value


def detector_rows(real: Path, out: Path) -> list[Row]:
    """Export the detector and measure every artifact."""
    dataset = load_dataset(real / "coco-mini" / "instances.json")
    weights = real / "models" / "rtmdet-nano-person" / "rtmdet_nano_person.pth"
    loaded = load_weights(str(weights), None)
    reference = average_precision(
        Model(loaded.spec, TorchSession(loaded.module, loaded.spec)), dataset
    )
    rows = [
        Row(
            "rtmdet-nano",
            "PyTorch",
            "fp32",
            weights.stat().st_size / 1e6,
            reference,
            None,
            "reference",
        )
    ]
    inputs = gate_inputs(loaded.spec, real / "people" / "lspet" / "images", None)
    for made in export_model(loaded, TARGETS, out, inputs=inputs):
        record = made.parity[0]
        with load(made.path) as model:
            ap = average_precision(model, dataset)
        gate = (
            f"{record.matched:.1%} of {record.boxes} boxes"
            if isinstance(record, BoxesParity)
            else record.basis
        )
        rows.append(
            Row(
                "rtmdet-nano",
                made.target.runtime,
                made.target.precision,
                engine_mb(made.path),
                ap,
                reference - ap,
                gate,
            )
        )
    return rows


def foreign_rows(real: Path, out: Path) -> list[Row]:
    """Import the models converted by others and measure each."""
    dataset = load_dataset(real / "coco-mini" / "person_keypoints.json")
    rows = []
    for name, file in FOREIGN:
        runtime, files = engine_files([real / "models" / file])
        artifact = import_model(files, like_spec(name, runtime), out).artifact
        with load(artifact.root) as model:
            ap = average_precision(model, dataset)
        manifest = artifact.manifest
        rows.append(
            Row(
                name,
                manifest.runtime,
                manifest.precision,
                engine_mb(artifact.root),
                ap,
                None,
                "imported",
            )
        )
    return rows


def engine_mb(root: Path) -> float:
    """Return the megabytes of the engine's own files."""
    ours = {"artifact.json", "reference.npz"}
    return sum(path.stat().st_size for path in root.iterdir() if path.name not in ours) / 1e6


def markdown(rows: list[Row], people: str) -> str:
    """Return README's table."""
    lines = [
        "| model | runtime | precision | MB | AP | drop from PyTorch | gate |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        drop = "" if row.drop is None else f"{row.drop:+.4f}"
        lines.append(
            f"| {row.model} | {row.runtime} | {row.precision} | {row.engine_mb:.2f} "
            f"| {row.ap:.4f} | {drop} | {row.gate} |"
        )
    return "\n".join([*lines, "", people, ""])


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("real", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        rows = detector_rows(args.real, Path(scratch)) + foreign_rows(args.real, Path(scratch))
    machine = detect_machine()
    where = (
        "80 COCO val2017 photographs, 86 people with keypoints; box AP for the detector, keypoint AP in "
        "ground-truth boxes for the others; f32 arithmetic, "
        f"{machine.cpu_model or machine.arch} ({' '.join(machine.isa)}), "
        f"Python {platform.python_version()}."
    )
    text = markdown(rows, where)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "real_weights.md").write_text(text)
    (args.out / "real_weights.json").write_bytes(
        msgspec.json.format(
            msgspec.json.encode({"rows": [asdict(row) for row in rows], "on": where}), indent=1
        )
        + b"\n"
    )
    print(text)


if __name__ == "__main__":
    main()
