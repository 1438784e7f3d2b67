"""torch -> ONNX: named outputs, dynamic batch, simplified; the source of the ONNX Runtime and OpenVINO artifacts.

A model of more than SINGLE_FILE_BYTES is written with its weights beside it (`onnx_split`).

fp16 stores the weights in half and casts them back at load, where ONNX Runtime folds the casts: half the file size, f32
arithmetic. The CPU provider has no half kernels that would be faster.
"""

from pathlib import Path
from typing import Any

import msgspec

from export.converter import ConversionSource, Converted, converted_from_uint8, min_half_elements
from export.limits import SINGLE_FILE_BYTES, weight_bytes
from export.onnx_split import data_path, halve_tensor, is_split, prepend_nodes, rewrite_split
from export.silence import silence
from export.versions import versions
from runtimes.errors import ConversionError
from runtimes.spec import Precision

PACKAGES = ("torch", "onnx", "onnxscript", "onnxsim")
OPSET = 18


def convert(source: ConversionSource, precision: Precision, directory: Path) -> Converted:
    """Write `model.onnx`: uint8 BGR (B, H, W, 3) in, our output names out."""
    write_onnx(source, precision, directory / "model.onnx")
    return converted_from_uint8(source, "image", source.output_names, versions(*PACKAGES))


def write_onnx(
    source: ConversionSource,
    precision: Precision,
    path: Path,
    *,
    inline_limit: int = SINGLE_FILE_BYTES,
) -> None:
    """Write the artifact's graph to `path`; weights of more than `inline_limit` bytes go to `path`.data.

    The model's spec is stored in its metadata, where ONNX tools look.
    """
    import onnx

    from export.wrap import ImageInput

    width, height = source.spec.image.wh
    wrapped = ImageInput(source.module, source.spec.image)
    shape = (2, height, width, 3)
    metadata = {"edgepose": msgspec.json.encode(source.spec).decode()}
    half_from = min_half_elements(source) if precision == "fp16" else None
    if weight_bytes(wrapped) > inline_limit:
        traced = trace_onnx(wrapped, source, shape, uint8=True, external_data=True)
        rewrite_split(traced, path, metadata, half_from)
        _drop(traced)
        return
    model = export_onnx(wrapped, source, shape, uint8=True)
    if half_from is not None:
        half_weights(model, half_from)
    onnx.helper.set_model_props(model, metadata)
    onnx.save(model, path)


def float_onnx(source: ConversionSource, *, inline_limit: int = SINGLE_FILE_BYTES) -> Path:
    """Return the bare float ONNX (float32 NCHW in, dynamic batch), made once in the scratch directory.

    Weights of more than `inline_limit` bytes lie beside it.
    """
    import onnx

    path = source.scratch / "float.onnx"
    if path.exists():
        return path
    width, height = source.spec.image.wh
    shape = (2, 3, height, width)
    if weight_bytes(source.module) > inline_limit:
        traced = trace_onnx(source.module, source, shape, uint8=False, external_data=True)
        rewrite_split(traced, path, {})
        _drop(traced)
    else:
        onnx.save(export_onnx(source.module, source, shape, uint8=False), path)
    return path


def half_onnx(source: ConversionSource, *, inline_limit: int = SINGLE_FILE_BYTES) -> Path:
    """Return the bare ONNX with its large weights in half, made once in the scratch directory."""
    import onnx

    path = source.scratch / "half.onnx"
    if path.exists():
        return path
    full = float_onnx(source, inline_limit=inline_limit)
    if is_split(full):
        rewrite_split(full, path, {}, min_half_elements(source))
    else:
        model = onnx.load(full)
        half_weights(model, min_half_elements(source))
        onnx.save(model, path)
    return path


def export_onnx(
    module: Any, source: ConversionSource, shape: tuple[int, ...], *, uint8: bool
) -> Any:
    """Trace `module`, simplify and check it; returns an onnx ModelProto that holds its weights."""
    import onnx
    import onnxsim

    traced = trace_onnx(module, source, shape, uint8=uint8, external_data=False)
    with silence():
        model, verified = onnxsim.simplify(onnx.load(traced))
    _drop(traced)
    if not verified:
        raise ConversionError(
            f"{source.spec.model}: onnxsim changed the outputs of the graph; report this model"
        )
    onnx.checker.check_model(model, full_check=True)
    names = [output.name for output in model.graph.output]
    if names != source.output_names:
        raise ConversionError(
            f"{source.spec.model}: the ONNX outputs are {names} instead of {source.output_names}; report this model"
        )
    return model


def trace_onnx(
    module: Any,
    source: ConversionSource,
    shape: tuple[int, ...],
    *,
    uint8: bool,
    external_data: bool,
) -> Path:
    """Trace `module` at batch 2 with a free batch axis; returns the file, in the scratch directory.

    external_data: the weights lie beside it, in `<file>.data`.
    """
    import torch

    sample = torch.zeros(shape, dtype=torch.uint8 if uint8 else torch.float32)
    path = source.scratch / f"traced-{'u8' if uint8 else 'f32'}.onnx"
    with silence():
        torch.onnx.export(
            module,
            (sample,),
            str(path),
            dynamo=True,
            opset_version=OPSET,
            input_names=["image"],
            output_names=source.output_names,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=64)},),
            external_data=external_data,
            verbose=False,
        )
    return path


def half_weights(model: Any, half_from: int) -> None:
    """Store float32 weights of at least `half_from` elements in float16, cast back to float32; in place.

    model: an onnx ModelProto that holds its weights.
    """
    from onnx import TensorProto, numpy_helper

    casts: list[Any] = []
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor).tobytes()
            content = halve_tensor(tensor, values, half_from, casts)
            tensor.ClearField("float_data")
            tensor.raw_data = content
    prepend_nodes(model.graph, casts)


def _drop(traced: Path) -> None:
    """Remove a traced file and its weights: the scratch directory may be a RAM disk."""
    traced.unlink()
    data_path(traced).unlink(missing_ok=True)
