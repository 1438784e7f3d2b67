"""Values of an ncnn net's blobs on images: they give the ranges of its layers, for float16 masks and for int8."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtimes.adapters.ncnn_adapter import image_mat
from runtimes.errors import ConversionError
from runtimes.spec import ImageSpec

F32 = NDArray[np.float32]
ReadBlob = Callable[[str], F32]


@dataclass(frozen=True, slots=True)
class FloatNet:
    """The files of a net whose weights are float32 or float16, its input blob, and how images are normalised for it."""

    param: Path
    weights: Path
    input_blob: str
    image: ImageSpec


def visit_blobs(
    net: FloatNet, images: NDArray[np.uint8], visit: Callable[[ReadBlob], None]
) -> None:
    """Run the net in f32 on every image, uint8 BGR (N, H, W, 3), and call `visit` with a function that reads blobs.

    One net for all images, one extractor for each: a layer is computed once an image. `visit` reads in the order of the
    layers in the file, and a layer's inputs before its outputs: a blob is freed when the layer that takes it has run,
    so that a large network needs no more memory than when it is deployed. Blobs are float32, in ncnn's shape: (W,),
    (H, W) or (C, H, W). Raises ConversionError where ncnn refuses the net.
    """
    engine = _open_net(net)
    try:
        for image in images:
            # the extractor must go before the net is cleared: it holds memory of the net
            visit(_reader(engine, net, image))
    finally:
        engine.clear()


def _reader(engine: Any, net: FloatNet, image: NDArray[np.uint8]) -> ReadBlob:
    import ncnn

    extractor = engine.create_extractor()
    _check(extractor.input(net.input_blob, image_mat(ncnn, image, net.image)))
    return partial(_read, extractor)


def _read(extractor: Any, name: str) -> F32:
    code, mat = extractor.extract(name)
    _check(code)
    # numpy crashes on an empty Mat
    return np.zeros(0, np.float32) if mat.empty() else np.array(mat)


def _open_net(net: FloatNet) -> Any:
    import ncnn

    engine = ncnn.Net()
    option = engine.opt
    option.num_threads = 1  # sums must not depend on the number of cores
    option.use_vulkan_compute = False
    option.use_fp16_packed = option.use_fp16_storage = option.use_fp16_arithmetic = False
    option.use_bf16_packed = option.use_bf16_storage = False
    _check(engine.load_param(str(net.param)))
    _check(engine.load_model(str(net.weights)))
    return engine


def _check(code: int) -> None:
    if code != 0:
        raise ConversionError(
            f"ncnn cannot run the float net on the images that give its ranges (code {code}); verify it first"
        )
