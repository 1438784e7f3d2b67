"""torch -> ncnn through pnnx (TorchScript route) of the bare float module; the adapter normalises with `from_pixels`.

The uint8 wrapper breaks this route (pnnx leaves `Tensor.to` in the param file and still exits 0), and the ONNX route
silently loses the axes of opset-18 ReduceL2; hence TorchScript, and the result is always loaded and compared.
"""

import subprocess
import sysconfig
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.converter import ConversionSource, Converted, converted_from_float, min_half_elements
from export.ncnn.blobs import FloatNet
from export.ncnn.half_masks import fp16_masks, measure_ranges, with_masks
from export.ncnn.half_weights import halve_bin
from export.ncnn.param_file import add_params, read_layers
from export.silence import silence
from export.versions import versions
from runtimes.errors import ConversionError, MissingDependencyError
from runtimes.spec import KeptLayer, Precision

PACKAGES = ("torch", "pnnx", "ncnn")
TIMEOUT_S = 1800  # a busy machine needs ten minutes for what an idle one does in one
INPUT = "in0"
# Images whose ranges decide the masks; the limit leaves a factor of two for others.
RANGE_IMAGES = 8


def convert(source: ConversionSource, precision: Precision, directory: Path) -> Converted:
    """Write `model.ncnn.param` and `model.ncnn.bin`; fp16 stores the weights in half.

    Layers that would overflow in f16 arithmetic on the source's images are masked, whatever the precision of the file.
    """
    param, weights = directory / "model.ncnn.param", directory / "model.ncnn.bin"
    _run_pnnx(source, param, weights, half=False)
    if precision == "fp16":
        mixed = halve_bin(param, weights, min_half_elements(source))
        if mixed is None:
            _run_pnnx(source, param, weights, half=True)
        else:
            weights.write_bytes(mixed)
    outputs = [f"out{index}" for index in range(len(source.output_names))]
    converted = converted_from_float(source, INPUT, outputs, versions(*PACKAGES))
    if source.images is None:
        return converted
    net = FloatNet(param, weights, INPUT, source.spec.image)
    return replace(converted, kept=_mask_half(net, source.images[:RANGE_IMAGES]))


def _mask_half(net: FloatNet, images: NDArray[np.uint8]) -> tuple[KeptLayer, ...]:
    """Write feature masks into the .param for layers that float16 cannot hold on the images, and return the layers."""
    layers = read_layers(net.param)
    masks = fp16_masks(layers, measure_ranges(net, layers, images))
    if masks:
        text = net.param.read_text()
        net.param.write_text(add_params(text, {name: mask.param for name, mask in masks.items()}))
    return with_masks((), masks)


def _run_pnnx(source: ConversionSource, param: Path, weights: Path, *, half: bool) -> None:
    width, height = source.spec.image.wh
    script = _trace(source)
    # pnnx derives the paths of unnamed outputs from the script's, and writes them beside it
    work = source.scratch / "pnnx"
    work.mkdir(exist_ok=True)
    argv = [
        str(pnnx_binary()),
        str(script),
        f"inputshape=[1,3,{height},{width}]",
        f"fp16={int(half)}",
        "optlevel=2",
        "device=cpu",
        f"ncnnparam={param}",
        f"ncnnbin={weights}",
        f"ncnnpy={work / 'model_ncnn.py'}",
        f"pnnxparam={work / 'model.pnnx.param'}",
        f"pnnxbin={work / 'model.pnnx.bin'}",
        f"pnnxpy={work / 'model_pnnx.py'}",
        f"pnnxonnx={work / 'model.pnnx.onnx'}",
    ]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)  # noqa: S603 - argv list, our binary
    except subprocess.TimeoutExpired as error:
        raise ConversionError(
            f"pnnx did not finish {source.spec.model} in {TIMEOUT_S} s; try again when the machine is less busy"
        ) from error
    if done.returncode or not weights.is_file():
        raise ConversionError(
            f"pnnx failed on {source.spec.model}: {(done.stderr or done.stdout)[-300:].strip()}"
        )


def pnnx_binary() -> Path:
    """Return the binary inside the pnnx wheel (its console script needlessly imports torch)."""
    path = Path(sysconfig.get_path("purelib")) / "pnnx" / "pnnx"
    if not path.is_file():
        path = Path(sysconfig.get_path("platlib")) / "pnnx" / "pnnx"
    if not path.is_file():
        raise MissingDependencyError("pnnx", "export")
    return path


def _trace(source: ConversionSource) -> Path:
    import torch

    path = source.scratch / "float.pt"
    if not path.exists():
        width, height = source.spec.image.wh
        with silence(), torch.no_grad():  # TorchScript warns that it is deprecated
            traced = torch.jit.trace(
                source.module, torch.zeros(1, 3, height, width), check_trace=False
            )
        traced.save(str(path))
    return path
