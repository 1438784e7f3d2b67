"""Time and accuracy of the `paf` codec, beside the references' decoding of maps enlarged four times.

    python benchmarks/paf.py ../shared docs/measured

Time and ground truth: drawn maps of 46x54 bins, stride 8, one core. Agreement and AP: real maps of four photographs,
and the imported OpenPose-type network on coco-mini. Writes paf.json and paf.md.
"""

import argparse
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import msgspec
import numpy as np
from timing import interleaved_cpu_us

from devices.detect import detect_machine
from edge.catalog.specs_openpose import LIMBS
from edge.codecs.paf import decode_one
from edge.evaluation.dataset import load_dataset
from edge.evaluation.predict import predict
from edge.evaluation.score import score
from edge.model import Model, load
from edge.parity.people import people_figures
from edge.synth.part_maps import draw_part_maps
from edge.types import F32, Keypoints
from export.import_model import import_model
from export.import_spec import like_spec
from runtimes.codec_spec import PafCodec

WH = (54, 46)
STRIDE = 8
INPUT_WH = (WH[0] * STRIDE, WH[1] * STRIDE)
LIMBS18 = LIMBS["openpose18"]
REFERENCE = PafCodec(limbs=LIMBS18, upsample=4, refine="none")
CODECS = {
    "1 (default)": PafCodec(limbs=LIMBS18),
    "2": PafCodec(limbs=LIMBS18, upsample=2),
    "4": PafCodec(limbs=LIMBS18, upsample=4),
    "4, peaks on bins (references)": REFERENCE,
}
PEOPLE = (1, 4, 10)
SEEDS = range(20)
HEADINGS = (
    "upsample",
    "ms, 1 / 4 / 10 people",
    "people found of 10",
    "px p95 from the truth, drawn",
    "px p95 from the references, drawn",
    "px p95 from the references, photographs",
    "people on 4 photographs",
    "AP, coco-mini",
)
PHOTOGRAPHS = ("000000197388", "000000000785", "000000196141", "000000040083")
# openpose18's points of an upright person 1 tall, the neck at 0, 0
FIGURE = np.array([
    (0, -0.15), (0, 0), (-0.14, 0), (-0.2, 0.16), (-0.22, 0.32), (0.14, 0), (0.2, 0.16), (0.22, 0.32),
    (-0.09, 0.35), (-0.1, 0.56), (-0.1, 0.75), (0.09, 0.35), (0.1, 0.56), (0.1, 0.75),
    (-0.045, -0.2), (0.045, -0.2), (-0.12, -0.16), (0.12, -0.16),
])  # fmt: skip
PLACES = [(x, y) for y in (6.0, 28.0) for x in (6.5, 16.7, 26.9, 37.1, 47.3)]


@dataclass(frozen=True)
class Row:
    """One setting: ms a frame by number of people, people found of ten, pixels from ground truth and references."""

    upsample: str
    cpu_ms: dict[int, float]
    found_of_ten: int
    truth_px_p95: float
    drawn_px_p95: float
    real_px_p95: float
    people_on_photographs: list[int]
    ap: float


def crowd(seed: int, count: int) -> tuple[np.ndarray, F32, F32]:
    """Return people (N, 18, 2) in bins, their heatmaps without background, and their fields."""
    random = np.random.default_rng(seed)
    sizes = random.uniform(14, 18.5, (count, 1, 1))
    places = np.array(PLACES)[random.permutation(len(PLACES))[:count], None]
    xy = places + sizes * FIGURE + random.uniform(-0.4, 0.4, (count, 1, 2))
    heatmaps, fields = draw_part_maps(xy, np.ones(xy.shape[:2], bool), LIMBS18, WH)
    return xy, heatmaps[:-1], fields


def apart(reference: Keypoints, found: Keypoints) -> np.ndarray:
    """Return the pixel distances of the keypoints that both found, of matched people."""
    far = []
    for xy, scores in zip(reference.xy, reference.scores, strict=True):
        both = (found.scores > 0) & (scores > 0)
        distances = np.where(both, np.linalg.norm(found.xy - xy, axis=2), np.inf)
        nearest = np.argmax(np.exp(-np.square(distances) / 128).sum(axis=1)) if len(found) else None
        if nearest is not None:
            far.append(distances[nearest][np.isfinite(distances[nearest])])
    return np.concatenate(far)


def truth_of(xy: np.ndarray) -> Keypoints:
    """Return the ground truth of drawn people in the form of a codec's result."""
    pixels = ((xy + 0.5) * STRIDE - 0.5).astype(np.float32)
    return Keypoints(pixels, np.ones(xy.shape[:2], np.float32))


def times(codecs: dict[str, PafCodec]) -> dict[str, dict[int, float]]:
    """Return CPU milliseconds a frame by setting and number of people."""
    table: dict[str, dict[int, float]] = {name: {} for name in codecs}
    for count in PEOPLE:
        _, heatmaps, fields = crowd(0, count)
        steps = {
            name: lambda codec=codec: decode_one(heatmaps, fields, codec, INPUT_WH)  # noqa: B023 - run at once
            for name, codec in codecs.items()
        }
        for name, value in interleaved_cpu_us(steps, rounds=31, calls=3).items():
            table[name][count] = value / 1e3
    return table


def average_precision(model: Model, codec: PafCodec, annotations: Path) -> float:
    """Return the AP of the imported network on coco-mini, its maps decoded with `codec`."""
    changed = Model(msgspec.structs.replace(model.spec, codec=codec), model.session, model.name)
    dataset = load_dataset(annotations)
    return score(changed, dataset, predict(changed, dataset)).AP or 0.0


def rows(shared: Path, model: Model) -> list[Row]:
    """Measure every setting."""
    maps = np.load(shared / "oracles" / "openpose-real-maps.npz")
    real = [(maps[f"{name}/heatmap"][:18], maps[f"{name}/paf"]) for name in PHOTOGRAPHS]
    drawn = [crowd(seed, 10) for seed in SEEDS]
    cpu_ms = times(CODECS)
    table = []
    for name, codec in CODECS.items():
        ours = [decode_one(heatmaps, fields, codec, INPUT_WH) for _, heatmaps, fields in drawn]
        theirs = [
            decode_one(heatmaps, fields, REFERENCE, INPUT_WH) for _, heatmaps, fields in drawn
        ]
        truths = [truth_of(xy) for xy, _, _ in drawn]
        all_keypoints = np.ones((10 * len(drawn), 18), bool)
        photographs = [decode_one(*both, codec, INPUT_WH) for both in real]
        reference = [decode_one(*both, REFERENCE, INPUT_WH) for both in real]
        far = np.concatenate([apart(*pair) for pair in zip(reference, photographs, strict=True)])
        table.append(
            Row(
                upsample=name,
                cpu_ms=cpu_ms[name],
                found_of_ten=min(map(len, ours)),
                truth_px_p95=people_figures(truths, ours, all_keypoints).p95,
                drawn_px_p95=people_figures(theirs, ours, all_keypoints).p95,
                real_px_p95=float(np.percentile(far, 95)),
                people_on_photographs=[len(found) for found in photographs],
                ap=average_precision(model, codec, shared / "real/coco-mini/person_keypoints.json"),
            )
        )
    return table


def page(table: list[Row]) -> str:
    """Return the table and a note on how it was measured."""
    lines = [f"| {' | '.join(HEADINGS)} |", "|---" * len(HEADINGS) + "|"]
    for row in table:
        ms = " / ".join(f"{row.cpu_ms[count]:.2f}" for count in PEOPLE)
        found = " / ".join(map(str, row.people_on_photographs))
        lines.append(
            f"| {row.upsample} | {ms} | {row.found_of_ten} | {row.truth_px_p95:.2f} | {row.drawn_px_p95:.2f} | "
            f"{row.real_px_p95:.2f} | {found} | {row.ap:.3f} |"
        )
    machine = detect_machine()
    note = (
        f"Maps of 46x54 bins, stride 8; pixels of the 432x368 input; CPU time of one core, {machine.cpu_model}. People "
        f"found: the least of {len(SEEDS)} drawn crowds. Photographs and AP: openpose-mobilenet-tf."
    )
    return "\n".join([*lines, "", note]) + "\n"


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    graph = args.shared / "real/models/tfpose-mobilenet/tfpose_mobilenet_v2_small_368x432.onnx"
    with tempfile.TemporaryDirectory() as scratch:
        spec = like_spec("openpose-mobilenet-tf", "onnxruntime")
        with load(import_model([graph], spec, Path(scratch)).artifact.root, threads=1) as model:
            table = rows(args.shared, model)
    text = page(table)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "paf.md").write_text(text)
    record = msgspec.json.encode([asdict(row) for row in table])
    (args.out / "paf.json").write_bytes(msgspec.json.format(record, indent=1) + b"\n")
    print(text)


if __name__ == "__main__":
    main()
