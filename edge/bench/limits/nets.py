"""Networks that measure an engine's arithmetic: sixteen 1x1 convolutions of 512 channels on 24x24 places.

A 1x1 convolution is a matrix product, which no engine computes with fewer multiplications, as Winograd's method does
for 3x3. Weights are random; in int8 the engine rounds activations to 8 bits at every layer.
"""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.parity.reference import Reference, save_reference
from runtimes.artifact import REFERENCE, Artifact
from runtimes.codec_spec import EmbeddingCodec
from runtimes.files import seal
from runtimes.install.import_errors import broken_import
from runtimes.spec import (
    Cost,
    CropSpec,
    ImageSpec,
    Lineage,
    Manifest,
    Precision,
    Runtime,
    TensorSpec,
)

SIDE, STEM, CHANNELS, LAYERS = 96, 4, 512, 16
PLACES = (SIDE // STEM) ** 2
MACS = PLACES * CHANNELS * (3 * STEM**2 + LAYERS * CHANNELS)
PARAMETERS = CHANNELS * (3 * STEM**2 + LAYERS * CHANNELS)
# of activations: they stay below it, as normal numbers with a variance of about 1 do
LARGEST = 6.0
NCNN_FLOAT, NCNN_INT8 = struct.pack("<I", 0), struct.pack("<I", 0x000D4B38)


def write_net(runtime: Runtime, precision: Precision, root: Path) -> Artifact:
    """Write the network for a runtime of NETS into `root`, as an artifact without a verdict."""
    NETS[runtime](root, precision)
    image = np.random.default_rng(1).integers(0, 256, (1, SIDE, SIDE, 3), np.uint8)
    save_reference(root / REFERENCE, Reference(image, {}, [], [], None, {}, "none"))
    return seal(root, _manifest(runtime, precision))


def _manifest(runtime: Runtime, precision: Precision) -> Manifest:
    source = TensorSpec(name="image", engine_name="image", shape=(1, 3, SIDE, SIDE), layout="NCHW")
    return Manifest(
        model="products",
        task="embedding",
        runtime=runtime,
        precision=precision,
        inputs=(source,),
        outputs=(TensorSpec(name="vector", engine_name="vector", shape=(-1, CHANNELS)),),
        image=ImageSpec(wh=(SIDE, SIDE), mean=(127.5,) * 3, std=(73.6,) * 3),
        crop=CropSpec(kind="stretch"),
        codec=EmbeddingCodec(),
        lineage=Lineage(weights="random"),
        cost=Cost(macs=MACS, parameters=PARAMETERS, io_bytes=3 * SIDE**2 + 4 * CHANNELS),
    )


def _weights() -> list[NDArray[np.float32]]:
    """Return the weights of stem and layers, (out, in, height, width), which keep the variance through a ReLU."""
    rng = np.random.default_rng(0)
    shapes = [(CHANNELS, 3, STEM, STEM), *[(CHANNELS, CHANNELS, 1, 1)] * LAYERS]
    return [
        rng.standard_normal(shape, np.float32) * np.float32((2 / np.prod(shape[1:])) ** 0.5)
        for shape in shapes
    ]


def _write_openvino(root: Path, precision: Precision) -> None:
    try:
        import openvino
        from openvino import opset13 as ops
    except ImportError as error:
        raise broken_import("openvino", "openvino", error) from error
    image: Any = ops.parameter([1, 3, SIDE, SIDE], np.float32, name="image")
    image.output(0).tensor.set_names({"image"})
    flow = image
    for number, weights in enumerate(_weights()):
        kernel: Any = ops.constant(weights)
        if precision == "int8" and number:
            most = float(np.abs(weights).max())
            flow = ops.fake_quantize(flow, *_bounds(0, LARGEST), *_bounds(0, LARGEST), 256)
            kernel = ops.fake_quantize(kernel, *_bounds(-most, most), *_bounds(-most, most), 255)
        stride = [1, 1] if number else [STEM, STEM]
        flow = ops.relu(ops.convolution(flow, kernel, stride, [0, 0], [0, 0], [1, 1]))
    mean = ops.reduce_mean(flow, np.array([2, 3]), keep_dims=False)
    mean.output(0).tensor.set_names({"vector"})
    openvino.save_model(openvino.Model([mean], [image]), root / "model.xml", False)


def _bounds(low: float, high: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return np.array([low], np.float32), np.array([high], np.float32)


def _write_ncnn(root: Path, precision: Precision) -> None:
    lines = ["Input image 0 1 image"]
    blobs = []
    source = "image"
    for number, weights in enumerate(_weights()):
        size, stride = (1, 1) if number else (STEM, STEM)
        quantized = precision == "int8" and number > 0
        params = f"0={CHANNELS} 1={size} 3={stride} 5=0 6={weights.size} 9=1"
        lines.append(f"Convolution c{number} 1 1 {source} b{number} {params}{' 8=1' * quantized}")
        blobs.append(_int8(weights) if quantized else NCNN_FLOAT + weights.astype("<f4").tobytes())
        source = f"b{number}"
    lines.append(f"Pooling mean 1 1 {source} vector 0=1 4=1")
    text = "\n".join(["7767517", f"{len(lines)} {len(lines)}", *lines])
    (root / "model.param").write_text(text + "\n")
    (root / "model.bin").write_bytes(b"".join(blobs))


def _int8(weights: NDArray[np.float32]) -> bytes:
    """Return an int8 convolution's weights, their scales and that of its input, as ncnn reads them."""
    scales = np.float32(127) / np.abs(weights).max(axis=(1, 2, 3))
    rounded = np.rint(weights * scales[:, None, None, None]).astype(np.int8)
    of_input = struct.pack("<f", 127 / LARGEST)
    parts = (rounded.tobytes(), scales.astype("<f4").tobytes(), of_input)
    return NCNN_INT8 + b"".join(parts)


NETS: dict[Runtime, Callable[[Path, Precision], None]] = {
    "openvino": _write_openvino,
    "ncnn": _write_ncnn,
}
