"""Decidable keypoints of real and random networks: counts by reason, and labels beside them on photographs.

    python benchmarks/decidable.py ../shared/real docs/measured

A trained and two random networks on drawn people, PP-TinyPose on photographs of COCO and LSPET. Writes decidable.json
and decidable.md.
"""

import argparse
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray
from progress import machine_words, write_report

from edge.codecs import decode_poses
from edge.evaluation.coco import boxes_xyxy, keypoints_xyv, people_by_image
from edge.evaluation.dataset import load_dataset
from edge.image import crop_batch, read_image
from edge.model import load
from edge.parity.decidable import MARGIN, decidable_keypoints, find_doubts
from edge.parity.verify import run_batches
from export import gate_inputs, load_checkpoint, load_weights
from export.bundled import bundled_for
from export.checkpoint import LoadedModel
from export.engine_files import engine_files
from export.import_model import import_model
from export.import_spec import like_spec
from export.torch_session import TorchSession
from runtimes.base import Outputs
from runtimes.codec_spec import HeatmapCodec, SimCCCodec
from runtimes.spec import ModelSpec

REASONS = ("not positive", "flat", "two peaks", "spike")
REAL = {
    "COCO photographs": "coco-mini/person_keypoints.json",
    "LSPET photographs": "people/lspet/person_keypoints.json",
}
TINYPOSE = "models/tinypose-256x192/model.xml"


@dataclass(frozen=True)
class Row:
    """Keypoints of one network on one set of people; shares 0 to 1, distances in pixels of the network's input.

    five_bins: decidable by the rule for artifacts without a sigma. one_hill, ..._undecidable: maps whose bins above
    90 % of the best hang together, of those that are decidable and of the others, counted by flood fill. off_p50,
    ..._undecidable: median distance from visible labels.
    """

    model: str
    people: str
    keypoints: int
    decidable: float
    five_bins: float
    reasons: dict[str, float]
    one_hill: float | None
    one_hill_undecidable: float | None
    off_p50: float | None = None
    off_p50_undecidable: float | None = None


def as_maps(outputs: Outputs, spec: ModelSpec) -> list[tuple[NDArray[Any], tuple[float, float]]]:
    """Return a network's maps (B, K, h, w), each axis of SimCC as one row, with their sigmas."""
    maps = [outputs[tensor.name] for tensor in spec.outputs]
    match spec.codec:
        case SimCCCodec(sigma=(across, down)):
            return [(maps[0][:, :, None], (across, 1.0)), (maps[1][:, :, None], (down, 1.0))]
        case HeatmapCodec(sigma=(across, down)):
            return [(maps[0], (across, down))]
    raise SystemExit(f"{spec.model} has no sigma")


def one_hill(maps: NDArray[Any]) -> NDArray[np.bool_]:
    """(B, K, h, w) -> bool (B, K): the bins above 90 % of the best hang together."""
    high = maps >= (1 - MARGIN) * maps.max(axis=(2, 3), keepdims=True)
    hills = [
        cv2.connectedComponents(each.astype(np.uint8))[0] - 1
        for each in high.reshape(-1, *high.shape[2:])
    ]
    return np.array(hills).reshape(maps.shape[:2]) == 1


def judge(
    model: str, people: str, outputs: Outputs, spec: ModelSpec, labels: NDArray[Any] | None = None
) -> Row:
    """Count; labels: (B, K, 3) in pixels of the input, with COCO's visibility."""
    clear = decidable_keypoints(outputs, spec)
    without = msgspec.structs.replace(spec, codec=msgspec.structs.replace(spec.codec, sigma=None))
    five_bins = decidable_keypoints(outputs, without)
    reasons = dict.fromkeys(REASONS, np.zeros(clear.shape, bool))
    alone = np.ones(clear.shape, bool)
    for maps, sigma in as_maps(outputs, spec):
        alone &= one_hill(maps)
        doubts = [find_doubts(image, sigma) for image in maps]
        reasons = {
            name: reasons[name] | np.stack([each[name] for each in doubts]) for name in REASONS
        }
    off: dict[str, float | None] = {}
    if labels is not None:
        xy = np.stack([item.xy[0] for item in decode_poses(outputs, spec)])
        distance = np.linalg.norm(xy - labels[..., :2], axis=2)
        seen = labels[..., 2] == 2
        off = {
            "off_p50": middle(distance[seen & clear]),
            "off_p50_undecidable": middle(distance[seen & ~clear]),
        }
    return Row(
        model=model,
        people=people,
        keypoints=clear.size,
        decidable=float(clear.mean()),
        five_bins=float(five_bins.mean()),
        reasons={name: float(found.mean()) for name, found in reasons.items()},
        one_hill=share(alone[clear]),
        one_hill_undecidable=share(alone[~clear]),
        **off,
    )


def share(values: NDArray[np.bool_]) -> float | None:
    """Return the mean; None of nothing."""
    return float(values.mean()) if values.size else None


def middle(values: NDArray[Any]) -> float | None:
    """Return the median; None of nothing."""
    return float(np.median(values)) if values.size else None


def drawn_rows() -> list[Row]:
    """Judge the bundled student and random networks on the gate's drawn people."""
    ready = bundled_for("pose-topdown")
    networks: list[LoadedModel] = [load_checkpoint(ready.path)] if ready else []
    networks += [load_weights(name, "random") for name in ("rtmpose-s", "vitpose-s")]
    rows = []
    for loaded in networks:
        spec = loaded.spec
        images = gate_inputs(spec, None, None).images
        outputs = run_batches(TorchSession(loaded.module, spec), spec.inputs[0].name, images)
        weights = "random" if loaded.lineage.weights == "random" else "trained"
        rows.append(judge(f"{spec.model} ({weights})", "drawn people", outputs, spec))
    return rows


def real_rows(real: Path, scratch: Path) -> list[Row]:
    """Judge PP-TinyPose on labelled people of photographs."""
    runtime, files = engine_files([real / TINYPOSE])
    artifact = import_model(files, like_spec("tinypose-256x192", runtime), scratch).artifact
    rows = []
    with load(artifact.root) as model:
        for people, file in REAL.items():
            images, labels = crops_of(real / file, model)
            outputs = run_batches(model.session, model.spec.inputs[0].name, images)
            rows.append(
                judge("tinypose-256x192 (PaddleDetection)", people, outputs, model.spec, labels)
            )
    return rows


def crops_of(annotations: Path, model: Any) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Return crops (N, H, W, 3) of the labelled people, and their keypoints in them (N, K, 3)."""
    dataset = load_dataset(annotations)
    images, labels = [], []
    there = people_by_image(dataset.truth)
    for image_id, path in dataset.paths.items():
        people = [person for person in there[image_id] if person.labelled]
        if not people:
            continue
        frame = read_image(path)
        crops = model.crops(frame, boxes_xyxy(people))
        images.append(crop_batch(frame, crops, model.spec.crop))
        for crop, points in zip(crops, keypoints_xyv(people), strict=True):
            labels.append(np.concatenate([crop.to_input(points[:, :2]), points[:, 2:]], axis=1))
    return np.concatenate(images), np.stack(labels)


def markdown(rows: list[Row]) -> str:
    """Return the table."""
    columns = ["network", "people", "keypoints", "decidable", "5-bin rule", *REASONS]
    columns += ["one hill, decidable / not", "px from the label, decidable / not"]
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for row in rows:
        reasons = " | ".join(f"{row.reasons[name]:.1%}" for name in REASONS)
        hills = f"{shown(row.one_hill, '.0%')} / {shown(row.one_hill_undecidable, '.0%')}"
        off = f"{shown(row.off_p50, '.1f')} / {shown(row.off_p50_undecidable, '.1f')}"
        lines.append(
            f"| {row.model} | {row.people} | {row.keypoints} | {row.decidable:.1%} | {row.five_bins:.1%} "
            f"| {reasons} | {hills} | {off} |"
        )
    note = (
        "Reasons as in `edge/parity/decidable.py`; a keypoint may have several, and SimCC has two axes. One hill: the "
        "bins above 90 % of the best hang together, by flood fill. Labels: medians over visible "
        f"keypoints, input 192 x 256. {machine_words()}"
    )
    return "\n".join([*lines, "", note, ""])


def shown(value: float | None, form: str) -> str:
    """Return a figure, or a dash."""
    return "-" if value is None else format(value, form)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("real", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        rows = drawn_rows() + real_rows(args.real, Path(scratch))
    write_report(args.out, "decidable", markdown(rows), [asdict(row) for row in rows])
    print(markdown(rows))


if __name__ == "__main__":
    main()
