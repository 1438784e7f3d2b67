"""The files that an ONNX graph reads, wherever its tensors are; checked against what the onnx package wrote."""

from pathlib import Path

import numpy as np
import pytest

from runtimes.adapters.onnx_file import external_files
from runtimes.errors import ArtifactError

onnx = pytest.importorskip("onnx")


def tensor(name: str, location: str):
    value = onnx.numpy_helper.from_array(np.zeros(3, np.float32), name)
    onnx.external_data_helper.set_external_data(value, location, offset=0, length=12)
    value.ClearField("raw_data")
    return value


def graph(name: str, location: str, nodes=()):
    out = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [3])
    values = [tensor(f"{name}.w", location)] if location else []
    return onnx.helper.make_graph(list(nodes), name, [], [out], values)


def saved(tmp_path: Path, model) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_every_place_of_a_tensor(tmp_path) -> None:
    helper = onnx.helper
    nodes = [
        helper.make_node("Constant", [], ["c"], value=tensor("c", "constant.data")),
        helper.make_node(
            "If",
            ["c"],
            ["y"],
            then_branch=graph("then", "then.data"),
            else_branch=graph("else", "../else.data", [helper.make_node("Relu", ["a"], ["y"])]),
        ),
    ]
    model = helper.make_model(graph("main", "main.data", nodes))
    constant = helper.make_node("Constant", [], ["f"], value=tensor("f", "function.data"))
    opset = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("own", "F", [], ["f"], [constant], opset))
    sparse = onnx.SparseTensorProto(
        values=tensor("s", "values.data"), indices=tensor("i", "/indices.data")
    )
    model.graph.sparse_initializer.append(sparse)
    assert external_files(saved(tmp_path, model)) == {
        "main.data",
        "constant.data",
        "then.data",
        "../else.data",
        "function.data",
        "values.data",
        "/indices.data",
    }


def test_weights_inside_the_file_name_none(tmp_path) -> None:
    inside = Path(__file__).parents[3] / "data" / "tiny_net" / "plain.onnx"
    assert external_files(inside) == set()
    model = onnx.load(inside)
    onnx.save(
        model, tmp_path / "out.onnx", save_as_external_data=True, location="w", size_threshold=0
    )
    assert external_files(tmp_path / "out.onnx") == {"w"}


@pytest.mark.parametrize("data", [b"", b"garbage", b"\x3a\xff\xff\xff\xff\x0f", b"\xff" * 12])
def test_what_is_no_graph(tmp_path, data) -> None:
    (tmp_path / "bad.onnx").write_bytes(data)
    with pytest.raises(ArtifactError, match=r"bad\.onnx"):
        external_files(tmp_path / "bad.onnx")


def test_graphs_nested_without_end(tmp_path) -> None:
    data = b""
    # ModelProto.graph of GraphProto.node of NodeProto.attribute of AttributeProto.g of GraphProto.node ...
    for field in [6, 5, 1] * 200 + [7]:
        size = len(data)
        varint = bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14])
        data = bytes([field << 3 | 2]) + varint + data
    (tmp_path / "bad.onnx").write_bytes(data)
    with pytest.raises(ArtifactError, match="nested"):
        external_files(tmp_path / "bad.onnx")
