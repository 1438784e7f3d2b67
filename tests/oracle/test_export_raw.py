"""Exported artifacts against the reference implementations' own outputs, in every runtime and precision."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from export import LoadedModel
from export.block_drift import first_drift, measure_block_drift
from runtimes.artifact import Artifact
from runtimes.registry import ENGINES, open_session
from runtimes.spec import ImageSpec

LIMITS = {"fp32": 1e-3, "fp16": 3e-2}
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Oracle:
    """A file of the reference's outputs.

    `pictures` of its inputs, the first ones, are pictures; the others are noise. `renamed` says where its array of an
    output bears another name. `gate` is how many drawn pictures the gate runs, None its usual number.
    `refused`: the precisions that the gate must refuse.
    """

    file: str
    pictures: int = 1
    renamed: dict[str, str] = field(default_factory=dict)
    gate: int | None = None
    refused: frozenset[str] = frozenset()


FEW = 4  # drawn pictures, of networks that take long over each
MIXTURE = "vitae-vitpose++-s-moe-d3"
# Where the weights come from, and the reference that ran them. Bottom-up networks run at the size of its picture. Other
# layouts and sizes of these networks are compared in PyTorch alone (test_*_torch.py): an export starts from there.
ORACLES = {
    "real:rtmdet-nano": Oracle("rtmdet-nano-real-hw", gate=8),
    "oracle:rtmpose-t": Oracle("rtmpose-t", pictures=2),
    # as many pictures as the contract tests ask for, which share their exports
    "oracle:vitpose-s": Oracle("vitpose-s", pictures=2, gate=8),
    f"oracle:{MIXTURE}:wholebody": Oracle(
        MIXTURE, renamed={"heatmap": "heatmap_wholebody"}, gate=8
    ),
    "oracle:sapiens-mini-17": Oracle("sapiens-mini-17", gate=FEW),
    "oracle:fastpose-res50": Oracle("fastpose-res50", gate=FEW),
    "oracle:openpose-coco18@248x184": Oracle("openpose-coco18", gate=FEW),
    "oracle:lightweight-openpose@424x256": Oracle(
        "lightweight-openpose",
        # Its random weights amplify rounding: with weights in half, the outputs of the 32 drawn pictures are off by
        # 0.5e-2 to 4.9e-2 of each picture's largest value, and the limit is 3e-2 for every picture.
        refused=frozenset({"fp16"}),
        renamed={"heatmap": "stage1_heatmaps", "paf": "stage1_pafs"},
    ),
}
# A small one, on a runtime that is exported to in seconds, shows what the rest confirm. The contract tests export the
# same network, with weights trained on drawn people, to all of them.
QUICK = [("real:rtmdet-nano", "ncnn")]
SMALL = {"real:rtmdet-nano", "oracle:rtmpose-t"}  # networks whose weights are read in a moment
# Of session scope, so that the tests of one export follow each other: two processes must not wait for the same one.
CASES = pytest.mark.parametrize(
    ("source", "runtime"),
    [
        pytest.param(source, runtime, marks=[pytest.mark.slow] * ((source, runtime) not in QUICK))
        for source in ORACLES
        for runtime in ENGINES
    ],
    scope="session",
)


def raw_error(got: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.abs(got - wanted).max() / max(1.0, np.abs(wanted).max()))


def photographs(tensor: np.ndarray, image: ImageSpec) -> tuple[np.ndarray, np.ndarray]:
    """Which of the reference's normalised inputs were pictures, and those as uint8 BGR; the others are noise."""
    pixels = tensor.transpose(0, 2, 3, 1) * np.float64(image.std) + np.float64(image.mean)
    whole = np.rint(pixels)
    rows = np.flatnonzero(np.abs(pixels - whole).max(axis=(1, 2, 3)) < 1e-3)
    ordered = whole[rows, :, :, ::-1] if image.order == "RGB" else whole[rows]
    assert ordered.min() >= 0
    assert ordered.max() <= 255
    return rows, np.ascontiguousarray(ordered, np.uint8)


def read(oracles, oracle: Oracle) -> dict[str, np.ndarray]:
    with np.load(oracles(f"{oracle.file}.npz")) as archive:
        return dict(archive)


def pictures_of(reference: Arrays, image: ImageSpec) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the reference's outputs that are about pictures, and those, uint8 BGR (B, H, W, 3)."""
    if "input" in reference:
        return photographs(reference["input"], image)
    # of one reference the crop alone was kept, before it was normalised
    return np.arange(1), reference["crop_bgr_u8"][None]


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(source, marks=[pytest.mark.slow] * (source not in SMALL))
        for source in ORACLES
        if source != "oracle:sapiens-mini-17"
    ],
)
def test_pictures_can_be_told_from_noise(
    oracles, loaded_model: Callable[[str], LoadedModel], source: str
) -> None:
    reference = read(oracles, ORACLES[source])
    rows, pictures = photographs(reference["input"], loaded_model(source).spec.image)
    assert rows.tolist() == list(range(ORACLES[source].pictures))
    if "raw_crop_bgr_u8" in reference:
        np.testing.assert_array_equal(pictures, crops(reference))


def crops(reference: Arrays) -> np.ndarray:
    """The reference's own crops, uint8 BGR (2, 256, 192, 3)."""
    return np.ascontiguousarray(reference["raw_crop_bgr_u8"].transpose(0, 2, 3, 1))


@CASES
def test_raw_outputs(oracles, exported, source: str, runtime: str) -> None:
    oracle = ORACLES[source]
    reference = read(oracles, oracle)
    for precision, made in exported(source, runtime, oracle.gate).items():
        artifact = Artifact.open(made.path)  # a rejected one can be measured too
        rows, pictures = pictures_of(reference, artifact.manifest.image)
        session = open_session(artifact)
        outputs = session.run({"image": pictures})
        session.close()
        errors = {
            name: raw_error(got, reference[oracle.renamed.get(name, name)][rows])
            for name, got in outputs.items()
        }
        assert set(errors) == {tensor.name for tensor in artifact.manifest.outputs}
        assert max(errors.values()) <= LIMITS[precision], (artifact.name, errors)


@CASES
def test_the_gate_judges_every_precision(exported, source: str, runtime: str) -> None:
    made = exported(source, runtime, ORACLES[source].gate)
    passed = {precision for precision, result in made.items() if result.passed}
    assert passed == set(made) - ORACLES[source].refused
    assert made["fp32"].parity[0].basis == ("boxes" if source.startswith("real") else "raw")


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ENGINES)
def test_no_block_of_the_real_detector_drifts(real: Path, exported, runtime: str) -> None:
    weights = real / "models" / "rtmdet-nano-person" / "rtmdet_nano_person.pth"
    for made in exported("real:rtmdet-nano", runtime, ORACLES["real:rtmdet-nano"].gate).values():
        errors = measure_block_drift(Artifact.open(made.path), str(weights))
        assert first_drift(errors) is None, errors
        names = [error.name for error in errors]
        assert names[0] == "backbone.stem.0"
        assert names[-6:] == ["cls0", "cls1", "cls2", "reg0", "reg1", "reg2"]
        assert {"neck.upsample", "neck.upsample (call 2)", "bbox_head.reg_convs.2"} < set(names)
