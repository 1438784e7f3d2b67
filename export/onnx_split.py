"""ONNX files too large for one protobuf: the graph in `NAME.onnx`, the weights beside it in `NAME.onnx.data`.

Weights are copied one tensor at a time. Such a model is not simplified, because onnxsim needs it whole in one message:
the exporter folds some constants itself, and engines fold the rest when they load it.
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from runtimes.errors import ConversionError

PAGE = 4096  # tensors begin on one, so that engines can map them


def data_path(path: Path) -> Path:
    """Return the path of the weights of the split file `path`."""
    return path.with_name(f"{path.name}.data")


def is_split(path: Path) -> bool:
    """Return whether the weights of the ONNX file lie beside it."""
    return data_path(path).is_file()


def rewrite_split(
    traced: Path, target: Path, metadata: Mapping[str, str], half_from: int | None = None
) -> None:
    """Write the split file `traced` to `target` with its own data file, checked.

    half_from: float32 weights of at least this many elements become float16; None leaves all as they are.
    Raises ConversionError for a weight that does not fit float16, and for a graph that the checker refuses.
    """
    import onnx
    from onnx import TensorProto

    model = onnx.load(traced, load_external_data=False)
    casts: list[Any] = []
    with data_path(traced).open("rb") as source, data_path(target).open("wb") as sink:
        for tensor in model.graph.initializer:
            if tensor.data_location != TensorProto.EXTERNAL:
                continue
            content = _read(tensor, source)
            if half_from is not None and tensor.data_type == TensorProto.FLOAT:
                content = halve_tensor(tensor, content, half_from, casts)
            _append(tensor, content, sink, data_path(target).name)
    prepend_nodes(model.graph, casts)
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.save(model, target)
    try:
        onnx.checker.check_model(str(target), full_check=True)
    except onnx.checker.ValidationError as error:
        raise ConversionError(f"{target.name}: {str(error).splitlines()[0]}") from error


def halve_tensor(tensor: Any, content: bytes, half_from: int, casts: list[Any]) -> bytes:
    """Convert a float32 initializer to float16 in place and return its new bytes; its cast back is appended to `casts`.

    Tensors under `half_from` elements stay as they are.
    """
    import numpy as np
    from onnx import TensorProto, helper

    values = np.frombuffer(content, "<f4")
    if values.size < half_from:
        return content
    full = tensor.name
    if max(abs(values.min()), abs(values.max())) > np.finfo(np.float16).max:
        raise ConversionError(f"weight {full} does not fit float16; export fp32 instead")
    tensor.name, tensor.data_type = f"{full}.f16", TensorProto.FLOAT16
    casts.append(
        helper.make_node(
            "Cast", [tensor.name], [full], name=f"{tensor.name}.cast", to=TensorProto.FLOAT
        )
    )
    return values.astype("<f2").tobytes()


def prepend_nodes(graph: Any, nodes: list[Any]) -> None:
    """Put nodes before the graph's own."""
    ordered = [*nodes, *graph.node]
    del graph.node[:]
    graph.node.extend(ordered)


def _read(tensor: Any, source: BinaryIO) -> bytes:
    where = {entry.key: entry.value for entry in tensor.external_data}
    source.seek(int(where.get("offset", 0)))
    return source.read(int(where["length"]))


def _append(tensor: Any, content: bytes, sink: BinaryIO, location: str) -> None:
    offset = -(-sink.tell() // PAGE) * PAGE
    sink.seek(offset, io.SEEK_SET)
    sink.write(content)
    del tensor.external_data[:]
    for key, value in (("location", location), ("offset", offset), ("length", len(content))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, str(value)
