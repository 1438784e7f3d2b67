"""Reading ncnn's files: layers written by hand from what each type loads."""

import numpy as np

from export.ncnn.param_file import add_params
from quantize.int8.ncnn.model_file import read_nodes


def test_layers_of_every_kind_are_read(tmp_path) -> None:
    """The lengths that ncnn's load_model of each type asks for."""
    param = tmp_path / "m.param"
    param.write_text(
        "7767517\n7 7\nInput in0 0 1 in0\n"
        "LayerNorm norm 1 1 in0 a 0=4 1=1e-6 2=1\n"
        "LayerNorm bare 1 1 a b 0=4 2=0\n"
        "PReLU relu 1 1 b c 0=3\n"
        "Deconvolution up 1 1 c d 0=2 1=4 5=1 6=32\n"
        "Gemm rows 1 1 d e 10=3 2=0 3=1 4=0 5=1 6=1 7=2 8=3 9=4\n"
        "Gemm plain 1 1 e out0 10=-1 3=1 5=1 6=1 7=2 8=3 9=4\n"
    )
    sizes = [[], [(False, 4), (False, 4)], [], [(False, 3)], [(True, 32), (False, 2)]]
    sizes += [[(True, 12), (True, 6)], [(True, 12)]]
    parts, value = [], 0.0
    for tag, size in [item for layer in sizes for item in layer]:
        value += 1
        parts.append(bytes(4) * tag + np.full(size, value, "<f4").tobytes())
    (tmp_path / "m.bin").write_bytes(b"".join(parts))
    nodes = read_nodes(param, tmp_path / "m.bin")
    assert [[(t.tagged, t.values.size) for t in node.tensors] for node in nodes] == sizes
    assert [t.values[0] for node in nodes for t in node.tensors] == list(range(1, 9))
    assert nodes[4].inputs == ("c",)
    added = add_params(param.read_text(), {"rows": "18=2"}).splitlines()
    assert [line for line in added if "18=2" in line] == [
        param.read_text().splitlines()[7] + " 18=2"
    ]
