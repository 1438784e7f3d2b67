"""torch -> ncnn through pnnx (TorchScript route) of the bare float module; the adapter normalises with `from_pixels`.

The uint8 wrapper breaks this route (pnnx leaves `Tensor.to` in the param file and still exits 0), and the ONNX route
silently loses the axes of opset-18 ReduceL2; hence TorchScript, and the result is always loaded and compared.
"""

import subprocess
import sysconfig
from pathlib import Path

from export.converter import ConversionSource, Converted, converted_from_float, min_half_elements
from export.ncnn_half import halve_bin
from export.silence import silence
from export.versions import versions
from runtimes.errors import ConversionError, MissingDependencyError
from runtimes.spec import Precision

PACKAGES = ("torch", "pnnx", "ncnn")
TIMEOUT_S = 1800  # a busy machine needs ten minutes for what an idle one does in one


def convert(source: ConversionSource, precision: Precision, directory: Path) -> Converted:
    """Write `model.ncnn.param` and `model.ncnn.bin`; fp16 stores the weights in half."""
    param, weights = directory / "model.ncnn.param", directory / "model.ncnn.bin"
    _run_pnnx(source, param, weights, half=False)
    if precision == "fp16":
        mixed = halve_bin(param, weights, min_half_elements(source))
        if mixed is None:
            _run_pnnx(source, param, weights, half=True)
        else:
            weights.write_bytes(mixed)
    outputs = [f"out{index}" for index in range(len(source.output_names))]
    return converted_from_float(source, "in0", outputs, versions(*PACKAGES))


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
