"""Parity of integral regression: decidable keypoints, on maps made of blobs whose mean is known."""

import numpy as np
import pytest

from edge.parity.compare import compare
from edge.parity.decidable import decidable_keypoints
from edge.parity.reference import make_reference
from edge.schema import load_schema
from runtimes.base import Array, Outputs
from runtimes.codec_spec import IntegralCodec
from runtimes.parity_spec import Parity
from runtimes.spec import CropSpec, ImageSpec, ModelSpec, Precision, TensorSpec

WIDTH, HEIGHT, POINTS, STRIDE = 48, 64, 17, 4
NORMS = ["sigmoid", "softmax", "divide_sum"]
CENTRES = np.stack([np.linspace(12, 35, POINTS), np.linspace(50, 13, POINTS)], axis=1)
MIDDLE = (23.5, 31.5)  # the mean of a flat map


def spec(norm: str) -> ModelSpec:
    return ModelSpec(
        model="integral",
        task="pose-topdown",
        inputs=(),
        outputs=(TensorSpec(name="maps"),),
        image=ImageSpec(wh=(WIDTH * STRIDE, HEIGHT * STRIDE)),
        crop=CropSpec(kind="affine", padding=1.25),
        codec=IntegralCodec(norm=norm),
        keypoints=load_schema("coco17").to_spec(),
    )


def blobs(centres: Array, height: float = 0.9) -> Array:
    """Gaussians of sigma 2 at centres (K, 2) in bins; float64 (1, K, h, w)."""
    x = np.arange(WIDTH) - centres[:, :1]
    y = np.arange(HEIGHT) - centres[:, 1:]
    far = np.square(y)[:, :, None] + np.square(x)[:, None, :]
    return height * np.exp(-far / 8)[None]


def outputs(norm: str, positive: Array) -> Outputs:
    """What a network gives so that the norm makes a map of this shape."""
    floored = np.maximum(positive, 1e-12)
    given = {"sigmoid": np.log(floored / (1 - floored)), "softmax": np.log(floored)}
    return {"maps": given.get(norm, positive).astype(np.float32)}


def decidable(norm: str, positive: Array) -> list[bool]:
    found = decidable_keypoints(outputs(norm, positive), spec(norm))
    assert found is not None
    assert found.shape == (1, POINTS)
    return found[0].tolist()


def parity(norm: str, reference: Array, ours: Array, precision: Precision) -> Parity:
    images = np.zeros((1, 1, 1, 3), np.uint8)
    made = make_reference(images, outputs(norm, reference), spec(norm), "mathematics")
    return compare(made, outputs(norm, ours), spec(norm), precision)


@pytest.mark.parametrize("norm", NORMS)
def test_a_sharp_blob_is_decidable_and_a_flat_map_is_not(norm: str) -> None:
    positive = blobs(CENTRES)
    assert all(decidable(norm, positive))
    positive[0, :5] = 0.5
    positive[0, 5] = 0
    assert decidable(norm, positive) == [False] * 6 + [True] * (POINTS - 6)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    ("right", "height", "expected"),
    # the mean of blobs 1 and h high, d bins apart, lies d h / (1 + h) from the first
    [(20, 1.0, False), (6, 1.0, False), (20, 0.5, False), (20, 0.08, True), (-10, 0.2, True)],
)
def test_a_second_blob_must_neither_rival_the_first_nor_draw_the_mean_away(
    norm, right, height, expected
) -> None:
    positive = blobs(np.tile([[24.0, 30.0]], (POINTS, 1)))
    positive[0, 3] += blobs(np.array([[24.0 + right, 30.0]]), 0.9 * height)[0, 0]
    positive = np.minimum(positive, 0.9)
    assert decidable(norm, positive) == [True] * 3 + [expected] + [True] * (POINTS - 4)


@pytest.mark.parametrize("norm", NORMS)
def test_a_background_that_outweighs_the_blob_makes_it_undecidable(norm: str) -> None:
    """A blob of sigma 2 weighs 8 pi of its height, and each background its height 3072 times."""
    distance = np.abs(CENTRES - MIDDLE).max(axis=1)
    for background in (1e-4, 1e-2):
        weight = WIDTH * HEIGHT * background / (0.9 * 8 * np.pi)
        drawn = distance * weight / (1 + weight)  # bins from the blob's centre to the mean
        sure = (drawn < 1.4) | (drawn > 2.6)  # the best bin is up to half a bin from the centre
        positive = np.maximum(blobs(CENTRES), background)
        expected = (drawn < 2).tolist()
        found = decidable(norm, positive)
        assert sure.sum() > POINTS / 2
        assert [f for f, s in zip(found, sure, strict=True) if s] == [
            e for e, s in zip(expected, sure, strict=True) if s
        ]
    assert not all(found)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    ("shift_px", "passes"),
    [(0.08, ("fp32", "fp16", "int8")), (0.4, ("fp16", "int8")), (1.9, ("int8",)), (2.2, ())],
)
def test_moved_blobs_are_judged_by_how_far_their_mean_moved(
    norm: str, shift_px: float, passes: tuple[str, ...]
) -> None:
    reference, ours = blobs(CENTRES), blobs(np.add(CENTRES, (0, shift_px / STRIDE)))
    precisions: tuple[Precision, ...] = ("fp32", "fp16", "int8")
    judged = {precision: parity(norm, reference, ours, precision) for precision in precisions}
    assert tuple(name for name, verdict in judged.items() if verdict.passed) == passes
    for verdict in judged.values():
        assert (verdict.basis, verdict.decidable, verdict.keypoints) == ("px", POINTS, POINTS)
        assert verdict.px_mean == pytest.approx(shift_px, abs=0.01)
        assert verdict.px_p95 == pytest.approx(shift_px, abs=0.01)


@pytest.mark.parametrize("norm", NORMS)
def test_flat_maps_are_judged_by_raw_error(norm: str) -> None:
    """Their mean is the middle whatever happens to them: pixels would let anything pass."""
    flat = np.full((1, POINTS, HEIGHT, WIDTH), 0.5)
    verdict = parity(norm, flat, flat * 0.9, "fp32")
    assert (verdict.basis, verdict.passed, verdict.decidable) == ("raw", False, 0)
    assert parity(norm, flat, flat, "fp32").passed is True
    assert parity(norm, flat, flat, "int8").passed is None  # nothing to judge by: not passed
