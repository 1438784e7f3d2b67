"""Dense maps: what a network says of its input's cells, laid over the frame it was shown."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.codecs import decode
from edge.codecs.dense import fit_frame, resize
from edge.model import Model
from edge.types import DenseMap
from runtimes.codec_spec import DenseCodec
from runtimes.errors import InputError
from runtimes.fake import FakeSession
from runtimes.spec import (
    CropSpec,
    ImageSpec,
    ModelSpec,
    Task,
    TensorSpec,
)

torch = pytest.importorskip("torch")

KINDS = ("stretch", "letterbox")


def spec(
    task: Task = "depth",
    kind: str = "stretch",
    wh: tuple[int, int] = (32, 64),
    classes: tuple[str, ...] | None = None,
) -> ModelSpec:
    width, height = wh
    return ModelSpec(
        model="any",
        task=task,
        inputs=(TensorSpec(name="image", shape=(-1, height, width, 3), layout="NHWC"),),
        outputs=(TensorSpec(name="map"),),
        image=ImageSpec(wh=wh),
        crop=CropSpec(kind=kind),
        codec=DenseCodec(scale="unit" if task == "normal" else "none"),
        classes=classes,
    )


@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    wh=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    seed=st.integers(0, 99),
)
def test_resizing_is_pytorchs_bilinear(
    shape: tuple[int, int], wh: tuple[int, int], seed: int
) -> None:
    values = np.random.default_rng(seed).normal(0, 3, (2, *shape)).astype(np.float32)
    wanted = torch.nn.functional.interpolate(
        torch.from_numpy(values)[None], size=wh[::-1], mode="bilinear", align_corners=False
    )[0]
    np.testing.assert_allclose(resize(values, wh), wanted.numpy(), atol=1e-4)


def test_a_batch_becomes_one_map_an_input() -> None:
    values = np.arange(48, dtype=np.float32).reshape(2, 3, 4, 2)
    first, second = decode({"map": values}, spec("segment", classes=("a", "b", "c")))
    np.testing.assert_array_equal(first.values, values[0])
    np.testing.assert_array_equal(second.values, values[1])
    assert second.classes == ("a", "b", "c")
    np.testing.assert_array_equal(second.labels(), np.full((4, 2), 2))
    assert second.labels().dtype == np.int32


def test_classes_that_are_not_the_channels_are_refused() -> None:
    with pytest.raises(InputError, match="3 channels for 2 classes"):
        decode({"map": np.zeros((1, 3, 4, 2), np.float32)}, spec("segment", classes=("a", "b")))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("frame_wh", [(64, 128), (101, 37), (30, 200), (32, 64)])
def test_a_ramp_over_the_frame_comes_back(kind: str, frame_wh: tuple[int, int]) -> None:
    """A map that is linear in the frame's own coordinates is found again, but for the half cells at its border."""
    model = spec(kind=kind, wh=(160, 320))
    width, height = model.image.wh
    scale = min(width / frame_wh[0], height / frame_wh[1])
    scales = (width / frame_wh[0], height / frame_wh[1]) if kind == "stretch" else (scale, scale)
    rows, columns = np.mgrid[:height, :width] + 0.5
    seen = np.stack([columns / scales[0], rows / scales[1]]).astype(np.float32)
    found = fit_frame(DenseMap(seen), model, frame_wh).values

    rows, columns = np.mgrid[: frame_wh[1], : frame_wh[0]] + 0.5
    inside = (slice(None), slice(1, -1), slice(1, -1))
    np.testing.assert_allclose(found[inside], np.stack([columns, rows])[inside], atol=0.6)
    assert found.shape == (2, *frame_wh[::-1])


def test_normals_have_length_one_after_resizing() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(0, 5, (3, 8, 4)).astype(np.float32)
    found = fit_frame(DenseMap(values), spec("normal"), (50, 70)).values
    np.testing.assert_allclose(np.linalg.norm(found, axis=0), 1, atol=1e-3)
    flat = fit_frame(DenseMap(np.zeros((3, 8, 4), np.float32)), spec("normal"), (5, 7)).values
    assert np.isfinite(flat).all()


def test_a_map_of_a_warped_crop_is_refused() -> None:
    with pytest.raises(InputError, match="its crop is affine"):
        fit_frame(DenseMap(np.zeros((1, 2, 2), np.float32)), spec(kind="affine"), (8, 8))


def test_a_model_gives_the_map_of_the_frame_it_was_shown() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    values = np.random.default_rng(1).normal(0, 1, (1, 2, 16, 8)).astype(np.float32)
    session = FakeSession([{"map": values}])
    with Model(spec("segment", classes=("Background", "Hair")), session) as model:
        found = model(frame)

    assert isinstance(found, DenseMap)
    np.testing.assert_array_equal(found.values, resize(values[0], (120, 90)))
    assert session.feeds[0]["image"].shape == (1, 64, 32, 3)
    # the whole frame was shown: its mean colour survives the resizing
    np.testing.assert_allclose(
        session.feeds[0]["image"].mean(axis=(0, 1, 2)), frame.mean(axis=(0, 1)), atol=4
    )


def test_a_dense_model_takes_no_boxes_and_gives_no_poses() -> None:
    frame = np.zeros((8, 8, 3), np.uint8)
    model = Model(spec(), FakeSession([]), "depth-net")
    with pytest.raises(InputError, match="depth-net takes a frame and no boxes"):
        model(frame, np.zeros((1, 4), np.float32))
    with pytest.raises(InputError, match="depth-net gives no keypoints"):
        model.poses(frame)
    with pytest.raises(InputError, match="depth-net is no detector"):
        model.detect(frame)
