"""int8 for ncnn: what the engine computes from the written files is what whole numbers give in numpy."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.lib.stride_tricks import sliding_window_view

from runtimes.artifact import Artifact
from runtimes.base import RunOptions
from runtimes.codec_spec import HeatmapCodec
from runtimes.errors import ConversionError
from runtimes.files import seal
from runtimes.spec import (
    CropSpec,
    ImageSpec,
    KeptLayer,
    Lineage,
    Manifest,
    Precision,
    TensorSpec,
)

pytest.importorskip("ncnn")

from quantize.int8.base import Recipe
from quantize.int8.ncnn.model_file import read_nodes
from quantize.int8.ncnn.quantizer import layers, quantize, quantize_weights
from runtimes.registry import open_session

WH = (6, 5)
WIDE = 20
RECIPE = Recipe("static")
TAGS = {"f4": bytes(4), "f2": struct.pack("<I", 0x01306B47), "i1": struct.pack("<I", 0x000D4B38)}
# float sums in another order than numpy's
CLOSE = 1e-6


def tagged(values: np.ndarray, kind: str = "f4") -> bytes:
    raw = values.astype(kind).tobytes()
    return TAGS[kind] + raw + bytes(-len(raw) % 4)


def write_artifact(folder: Path, rows: list[str], data: list[bytes], shape: tuple[int, ...]):
    """An fp32 artifact of layers written by hand, on images of WH; `a` widens them to WIDE channels, exactly."""
    folder.mkdir()
    text = [
        "7767517",
        f"{len(rows) + 2} 9",
        "Input in0 0 1 in0",
        f"Convolution widen 1 1 in0 a 0={WIDE} 1=1 5=0 6={3 * WIDE}",
        *rows,
    ]
    (folder / "model.ncnn.param").write_text("\n".join(text) + "\n")
    (folder / "model.ncnn.bin").write_bytes(b"".join([tagged(WIDEN), *data]))
    return seal_manifest(folder, shape, "fp32")


def seal_manifest(folder: Path, shape: tuple[int, ...], precision: Precision) -> Artifact:
    manifest = Manifest(
        model="tiny",
        task="pose-topdown",
        inputs=(TensorSpec(name="image", engine_name="in0", shape=(-1, 3, WH[1], WH[0])),),
        outputs=(TensorSpec(name="heatmap", engine_name="out0", shape=(-1, *shape)),),
        image=ImageSpec(wh=WH),
        crop=CropSpec(kind="affine"),
        codec=HeatmapCodec(refine="shift"),
        runtime="ncnn",
        precision=precision,
        lineage=Lineage(weights="random"),
    )
    return seal(folder, manifest)


RNG = np.random.default_rng(5)
WIDEN = RNG.integers(-2, 3, (WIDE, 3)).astype(np.float32)
IMAGES = RNG.integers(0, 256, (4, WH[1], WH[0], 3)).astype(np.uint8)


def widened(image: np.ndarray) -> np.ndarray:
    """What `a` holds: whole numbers, so exact in float32; the network sees RGB."""
    rgb = image[:, :, ::-1].astype(np.float32)
    return np.einsum("oc,hwc->ohw", WIDEN, rgb)


def run(artifact: Artifact, images: np.ndarray) -> np.ndarray:
    session = open_session(artifact, RunOptions(threads=1))
    try:
        return session.run({"image": images})["heatmap"]
    finally:
        session.close()


def make_int8(artifact: Artifact, images: np.ndarray, folder: Path, recipe: Recipe = RECIPE):
    folder.mkdir()
    made = quantize(artifact, images, recipe, folder)
    return seal_manifest(folder, artifact.manifest.outputs[0].shape[1:], "int8"), made


def rounded(values: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Round as ncnn does: the product in float32, halves away from zero, within 127."""
    product = np.asarray(values, np.float32) * scale.astype(np.float32)
    away = np.trunc(product + np.copysign(np.float32(0.5), product))
    return np.clip(away, -127, 127).astype(np.int64)


def int8_layer(data: bytes, shape: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Weights, bias, their scales and the input's, as the last layer of a file holds them (no padding in these)."""
    outputs, inputs = shape
    start = len(data) - outputs * inputs - 4 * (2 * outputs + 1)
    assert data[start - 4 : start] == TAGS["i1"]
    weights = np.frombuffer(data, "i1", outputs * inputs, start).reshape(shape)
    rest = np.frombuffer(data, "<f4", -1, start + outputs * inputs)
    return weights.astype(np.int64), rest[:outputs], rest[outputs:-1], rest[-1]


def convolved(values: np.ndarray, weights: np.ndarray, stride: int) -> np.ndarray:
    """An integer convolution padded to its own size; values (C, H, W), weights (O, C, k, k)."""
    side = weights.shape[-1]
    margin = side // 2
    padded = np.pad(values, ((0, 0), (margin, margin), (margin, margin)))
    windows = sliding_window_view(padded, (side, side), axis=(1, 2))[:, ::stride, ::stride]
    return np.einsum("chwij,ocij->ohw", windows, weights)


@pytest.mark.parametrize(("side", "stride"), [(1, 1), (1, 2), (3, 1), (3, 2)])
def test_a_convolution_is_what_whole_numbers_give(tmp_path, side, stride) -> None:
    weights = RNG.normal(0, 0.1, (8, WIDE, side, side)).astype(np.float32)
    bias = RNG.normal(0, 1, 8).astype(np.float32)
    row = f"Convolution conv 1 1 a out0 0=8 1={side} 3={stride} 4={side // 2} 5=1 6={weights.size}"
    height, width = -(-WH[1] // stride), -(-WH[0] // stride)
    parent = write_artifact(
        tmp_path / "float", [row], [tagged(weights), bias.tobytes()], (8, height, width)
    )
    child, _ = make_int8(parent, IMAGES, tmp_path / "int8")
    data = child.file(".bin").read_bytes()
    # two tags; the float layer's weights in half; int8 weights, bias and scales
    assert len(data) == 2 * 4 + 2 * WIDEN.size + weights.size + 4 * (8 + 8 + 1)
    written, kept_bias, scales, entry = int8_layer(data, (8, weights[0].size))
    np.testing.assert_array_equal(kept_bias, bias)
    assert np.abs(written / scales[:, None] - weights.reshape(8, -1)).max() <= 0.5001 / scales.min()
    for image, found in zip(IMAGES, run(child, IMAGES), strict=True):
        whole = convolved(rounded(widened(image), entry), written.reshape(weights.shape), stride)
        expected = whole / (scales.astype(float) * entry)[:, None, None] + bias[:, None, None]
        np.testing.assert_allclose(found, expected, rtol=0, atol=CLOSE * np.abs(expected).max())


def test_a_fully_connected_layer_is_what_whole_numbers_give(tmp_path) -> None:
    size = WIDE * WH[0] * WH[1]
    weights = RNG.normal(0, 0.1, (12, size)).astype(np.float32)
    bias = RNG.normal(0, 1, 12).astype(np.float32)
    row = f"InnerProduct fc 1 1 a out0 0=12 1=1 2={weights.size}"
    parent = write_artifact(tmp_path / "float", [row], [tagged(weights), bias.tobytes()], (12,))
    child, _ = make_int8(parent, IMAGES, tmp_path / "int8")
    written, _, scales, entry = int8_layer(child.file(".bin").read_bytes(), weights.shape)
    largest = max(np.abs(widened(image)).max() for image in IMAGES)
    assert entry == pytest.approx(127 / largest, rel=1e-6)
    for image, found in zip(IMAGES, run(child, IMAGES), strict=True):
        whole = written @ rounded(widened(image), entry).ravel()
        expected = whole / (scales.astype(float) * entry) + bias
        np.testing.assert_allclose(found, expected, rtol=0, atol=CLOSE * np.abs(expected).max())


def test_a_gemm_takes_its_rows_scales_as_it_runs(tmp_path) -> None:
    inner = WH[0] * WH[1]
    weights = RNG.normal(0, 0.1, (8, inner)).astype(np.float32)
    bias = RNG.normal(0, 1, 8).astype(np.float16).astype(np.float32)
    rows = [
        f"Reshape flat 1 1 a b 0={inner} 1={WIDE}",
        f"Gemm gemm 1 1 b out0 10=4 2=0 3=1 4=0 5=1 6=1 7={WIDE} 8=8 9={inner}",
    ]
    parent = write_artifact(tmp_path / "float", rows, [tagged(weights), tagged(bias)], (WIDE, 8))
    # a Gemm needs no images, but the mode has them
    child, _ = make_int8(parent, IMAGES, tmp_path / "int8")
    data = child.file(".bin").read_bytes()
    scale = np.frombuffer(data[-4:], "<f4")[0]
    assert scale == pytest.approx(127 / np.abs(weights).max(), rel=1e-6)
    assert data.endswith(tagged(np.rint(weights * scale), "i1") + tagged(bias, "f2") + data[-4:])
    for image, found in zip(IMAGES, run(child, IMAGES), strict=True):
        values = widened(image).reshape(WIDE, inner)
        entries = np.float32(127) / np.abs(values).max(axis=1)
        whole = rounded(values, entries[:, None]) @ np.rint(weights * scale).astype(np.int64).T
        expected = whole / (entries.astype(float) * scale)[:, None] + bias
        np.testing.assert_allclose(found, expected, rtol=0, atol=CLOSE * np.abs(expected).max())


def test_no_input_overflows_winograd(tmp_path) -> None:
    """Weights of one sign on a white image: at 127 the sums, 576 times as large inside F(4, 3), leave int32."""
    weights = np.full((16, 64, 3, 3), 0.25, np.float32)
    rows = [
        f"Convolution more 1 1 a b 0=64 1=1 5=0 6={64 * WIDE}",
        f"Convolution conv 1 1 b out0 0=16 1=3 4=1 5=0 6={weights.size}",
    ]
    more = np.zeros((64, WIDE), np.float32)
    more[:, 0] = 1
    parent = write_artifact(
        tmp_path / "float", rows, [tagged(more), tagged(weights)], (16, WH[1], WH[0])
    )
    white = np.full((1, WH[1], WH[0], 3), 255, np.uint8)
    assert widened(white[0])[0].min() != 0
    kept = KeptLayer(layer="more", precision="fp16", reason="an exact input")
    child, _ = make_int8(parent, white, tmp_path / "int8", Recipe("static", (kept,)))
    assert 576 * 127 * np.full(weights[0].size, 127).sum() > 2**31
    np.testing.assert_allclose(run(child, white), run(parent, white), rtol=0.05)


def test_what_is_kept_is_as_it_was_in_half_and_is_listed(tmp_path) -> None:
    deep = RNG.normal(0, 0.1, (WIDE, 9)).astype(np.float32)
    plain = RNG.normal(0, 0.1, (8, WIDE)).astype(np.float32)
    rows = [
        f"ConvolutionDepthWise deep 1 1 a b 0={WIDE} 1=3 4=1 5=0 6={deep.size} 7={WIDE}",
        f"Convolution plain 1 1 b c 0={WIDE} 1=1 5=0 6={WIDE * WIDE}",
        f"Convolution last 1 1 c out0 0=8 1=1 5=0 6={plain.size}",
    ]
    square = RNG.normal(0, 0.1, (WIDE, WIDE)).astype(np.float32)
    parent = write_artifact(
        tmp_path / "float",
        rows,
        [tagged(deep), tagged(square), tagged(plain)],
        (8, WH[1], WH[0]),
    )
    assert [(layer.name, layer.kind, layer.weights) for layer in layers(parent)] == [
        ("plain", "Convolution", WIDE * WIDE),
        ("last", "Convolution", plain.size),
    ]
    asked = KeptLayer(layer="last", precision="fp16", reason="the search said so")
    child, made = make_int8(parent, IMAGES, tmp_path / "int8", Recipe("static", (asked,)))
    assert [layer.layer for layer in made.kept] == ["widen", "deep", "last"]
    assert made.kept[-1] == asked
    data = child.file(".bin").read_bytes()
    assert data.startswith(tagged(WIDEN, "f2") + tagged(deep, "f2"))
    assert data.endswith(tagged(plain, "f2"))
    text = child.file(".param").read_text()
    assert [line.split()[1] for line in text.splitlines() if line.endswith(" 8=2")] == ["plain"]


def test_a_half_parent_gives_the_same_files(tmp_path) -> None:
    """Weights that half precision holds exactly: where they come from makes no difference."""
    weights = RNG.normal(0, 0.1, (8, WIDE, 3, 3)).astype(np.float16).astype(np.float32)
    row = f"Convolution conv 1 1 a out0 0=8 1=3 4=1 5=0 6={weights.size}"
    made = []
    for kind in ("f4", "f2"):
        parent = write_artifact(tmp_path / kind, [row], [tagged(weights, kind)], (8, WH[1], WH[0]))
        made.append(make_int8(parent, IMAGES, tmp_path / f"{kind}-int8")[0])
    assert made[0].file(".bin").read_bytes() == made[1].file(".bin").read_bytes()
    assert made[0].file(".param").read_bytes() == made[1].file(".param").read_bytes()


def test_no_images_and_what_is_not_float_are_refused(tmp_path) -> None:
    weights = RNG.normal(0, 0.1, (8, WIDE)).astype(np.float32)
    row = f"Convolution conv 1 1 a out0 0=8 1=1 5=0 6={weights.size}"
    parent = write_artifact(tmp_path / "float", [row], [tagged(weights)], (8, WH[1], WH[0]))
    with pytest.raises(ConversionError, match="--calib"):
        quantize(parent, IMAGES[:0], RECIPE, tmp_path)
    child, _ = make_int8(parent, IMAGES, tmp_path / "int8")
    with pytest.raises(ConversionError, match="conv: its weights are neither"):
        layers(child)
    param, short = parent.file(".param"), tmp_path / "short.bin"
    data = parent.file(".bin").read_bytes()
    short.write_bytes(data[:-4])
    with pytest.raises(ConversionError, match="ends too soon"):
        read_nodes(param, short)
    short.write_bytes(data + bytes(8))
    with pytest.raises(ConversionError, match="8 bytes belong to no layer"):
        read_nodes(param, short)


ROWS = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=30),
    elements=st.floats(-1e4, 1e4, width=32),
)


@given(ROWS, st.sampled_from([np.inf, 500.0]))
@settings(deadline=None)
def test_weights_come_back_within_half_a_step(rows, limit) -> None:
    quantized, scales = quantize_weights(rows, limit)
    assert (scales > 0).all()
    assert np.isfinite(scales).all()
    back = quantized / scales[:, None].astype(np.float64)
    assert (np.abs(back - rows) <= 0.50001 / scales[:, None].astype(np.float64)).all()
    assert (np.abs(quantized.astype(np.int64)).sum(axis=1) <= limit).all()
