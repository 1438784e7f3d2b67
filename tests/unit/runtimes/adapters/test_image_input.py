"""Preprocessing for graphs without their own, against the manifest's definition in float64."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from runtimes.adapters.image_input import image_input
from runtimes.errors import ArtifactError
from runtimes.spec import ImageSpec, TensorSpec

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def tensor(
    dtype: str, layout: str, scale: float | None = None, zero: int | None = None
) -> TensorSpec:
    return TensorSpec(name="image", dtype=dtype, layout=layout, scale=scale, zero_point=zero)


def pictures(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def real_values(batch: np.ndarray, order: str) -> np.ndarray:
    ordered = batch[..., ::-1] if order == "RGB" else batch
    return (ordered.astype(np.float64) - MEAN) / STD


@hypothesis.given(
    order=st.sampled_from(["RGB", "BGR"]),
    layout=st.sampled_from(["NCHW", "NHWC"]),
    shape=st.tuples(st.integers(1, 4), st.integers(1, 40), st.integers(1, 40)),
    seed=st.integers(0, 99),
)
def test_floats_are_exact_to_the_last_bit(order, layout, shape, seed) -> None:
    batch = pictures(*shape, seed)
    convert = image_input(
        ImageSpec(wh=(shape[2], shape[1]), order=order, mean=MEAN, std=STD),
        tensor("float32", layout),
    )
    got = convert(batch)
    want = real_values(batch, order).astype(np.float32)
    if layout == "NCHW":
        want = want.transpose(0, 3, 1, 2)
    assert got.dtype == np.float32
    assert got.flags.c_contiguous
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize(("dtype", "scale", "zero"), [("int8", 0.02, -3), ("uint8", 0.018, 120)])
def test_quantised_inputs(layout, dtype, scale, zero) -> None:
    batch = pictures(2, 9, 7)
    image = ImageSpec(wh=(7, 9), order="RGB", mean=MEAN, std=STD)
    got = image_input(image, tensor(dtype, layout, scale, zero))(batch)
    assert got.dtype == np.dtype(dtype)
    if layout == "NCHW":
        got = got.transpose(0, 2, 3, 1)
    back = (got.astype(np.float64) - zero) * scale
    bounds = np.iinfo(dtype)
    inside = np.clip(
        real_values(batch, "RGB"), (bounds.min - zero) * scale, (bounds.max - zero) * scale
    )
    assert np.abs(back - inside).max() <= scale / 2 + 1e-9


def test_plain_bytes_are_only_reordered() -> None:
    batch = pictures(3, 5, 4)
    plain = tensor("uint8", "NHWC")
    assert image_input(ImageSpec(wh=(4, 5), order="BGR"), plain)(batch) is batch
    swapped = image_input(ImageSpec(wh=(4, 5), order="RGB"), plain)(batch)
    np.testing.assert_array_equal(swapped, batch[..., ::-1])
    planes = image_input(ImageSpec(wh=(4, 5), order="RGB"), tensor("uint8", "NCHW"))(batch)
    np.testing.assert_array_equal(planes, batch[..., ::-1].transpose(0, 3, 1, 2))


def test_an_embedded_graph_gets_the_batch_itself() -> None:
    batch = pictures(1, 5, 4)
    image = ImageSpec(wh=(4, 5), mean=MEAN, std=STD, embedded=True)
    assert image_input(image, tensor("uint8", "NHWC"))(batch) is batch


@pytest.mark.parametrize(
    ("embedded", "dtype", "layout"),
    [
        (True, "float32", "NHWC"),
        (True, "uint8", "NCHW"),
        (False, "float16", "NCHW"),
        (False, "float32", ""),
    ],
)
def test_dtypes_and_layouts_of_no_image_are_refused(embedded, dtype, layout) -> None:
    with pytest.raises(ArtifactError, match="spec"):
        image_input(ImageSpec(wh=(4, 5), embedded=embedded), tensor(dtype, layout))
