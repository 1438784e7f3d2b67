"""Write the engine files of the tiny network; needs the export and quantize extras.

features = relu(conv 3x3, stride 2, pad 1), (B, 4, 4, 3); scores = linear(flat features), (B, 5); random weights in
net.npz. The files are committed so that the runtime tests need an engine and no converter: old engines, boards.
"""

from pathlib import Path

import litert_torch
import numpy as np
import onnx
import torch
from ai_edge_quantizer import quantizer, recipe
from onnx import TensorProto, helper, numpy_helper

FOLDER = Path(__file__).parent
WIDTH, HEIGHT = 6, 8
MEAN, STD = (10.0, 20.0, 30.0), (50.0, 60.0, 70.0)  # of RGB


def draw_weights() -> dict[str, np.ndarray]:
    """Return the network's weights."""
    rng = np.random.default_rng(20)
    shapes = {"conv": (4, 3, 3, 3), "conv_bias": (4,), "linear": (5, 48), "linear_bias": (5,)}
    return {name: rng.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}


def save_graph(
    name: str,
    nodes: list[onnx.NodeProto],
    source: onnx.ValueInfoProto,
    outputs: list[onnx.ValueInfoProto],
    constants: dict[str, np.ndarray],
) -> None:
    """Write an ONNX file that old engines read: opset 17, IR 8."""
    values = [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()]
    graph = helper.make_graph(nodes, name, [source], outputs, values)
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    onnx.save(model, FOLDER / f"{name}.onnx")


def save_onnx(net: dict[str, np.ndarray], *, embedded: bool) -> None:
    """Float NCHW with the batch fixed at 1, or uint8 BGR NHWC with a free batch."""
    nodes, constants = [], {}
    if embedded:
        source = helper.make_tensor_value_info("frame", TensorProto.UINT8, ["N", HEIGHT, WIDTH, 3])
        constants = {
            "swap": np.array([2, 1, 0]),
            "mean": np.array(MEAN, np.float32).reshape(1, 3, 1, 1),
            "std": np.array(STD, np.float32).reshape(1, 3, 1, 1),
        }
        nodes = [
            helper.make_node("Cast", ["frame"], ["real"], to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["real"], ["bgr"], perm=[0, 3, 1, 2]),
            helper.make_node("Gather", ["bgr", "swap"], ["rgb"], axis=1),
            helper.make_node("Sub", ["rgb", "mean"], ["centred"]),
            helper.make_node("Div", ["centred", "std"], ["x"]),
        ]
    else:
        source = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, HEIGHT, WIDTH])
    batch = "N" if embedded else 1
    nodes += [
        helper.make_node(
            "Conv", ["x", "conv", "conv_bias"], ["sums"], strides=[2, 2], pads=[1, 1, 1, 1]
        ),
        helper.make_node("Relu", ["sums"], ["zz_map"]),
        helper.make_node("Flatten", ["zz_map"], ["flat"]),
        helper.make_node("Gemm", ["flat", "linear", "linear_bias"], ["aa_vector"], transB=1),
    ]
    outputs = [
        helper.make_tensor_value_info("aa_vector", TensorProto.FLOAT, [batch, 5]),
        helper.make_tensor_value_info("zz_map", TensorProto.FLOAT, [batch, 4, 4, 3]),
    ]
    name = "embedded" if embedded else "plain"
    save_graph(name, nodes, source, outputs, constants | net)


def save_rows() -> None:
    """A graph for one uint8 (1, H, W, 3) image: its rows with a pixel over 200, and their numbers."""
    node = helper.make_node
    nodes = [
        node("Cast", ["frame"], ["real"], to=TensorProto.FLOAT),
        node("ReduceMax", ["real"], ["peak"], axes=[0, 2, 3], keepdims=0),
        node("Greater", ["peak", "limit"], ["bright"]),
        node("Reshape", ["real", "rows"], ["flat"]),
        node("Compress", ["flat", "bright"], ["kept"], axis=0),
        node("Compress", ["numbers", "bright"], ["found"], axis=0),
        node("Unsqueeze", ["kept", "first"], ["dets"]),
        node("Unsqueeze", ["found", "first"], ["labels"]),
    ]
    constants = {
        "limit": np.float32(200),
        "rows": np.array([HEIGHT, 3 * WIDTH]),
        "numbers": np.arange(HEIGHT),
        "first": np.array([0]),
    }
    source = helper.make_tensor_value_info("frame", TensorProto.UINT8, [1, HEIGHT, WIDTH, 3])
    outputs = [
        helper.make_tensor_value_info("dets", TensorProto.FLOAT, [1, "K", 3 * WIDTH]),
        helper.make_tensor_value_info("labels", TensorProto.INT64, [1, "K"]),
    ]
    save_graph("rows", nodes, source, outputs, constants)


class Tiny(torch.nn.Module):
    """The network over an NHWC input: normalised floats in RGB, or uint8 BGR."""

    def __init__(self, net: dict[str, np.ndarray], *, embedded: bool) -> None:
        super().__init__()
        self.embedded = embedded
        constants = {"mean": np.float32(MEAN), "std": np.float32(STD)}
        constants = {name: value.reshape(1, 3, 1, 1) for name, value in constants.items()}
        for name, value in (net | constants).items():
            self.register_buffer(name, torch.from_numpy(value))

    def forward(self, frame: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return scores (1, 5) and features (1, 4, 4, 3)."""
        x = frame.permute(0, 3, 1, 2).contiguous()
        if self.embedded:
            x = (x.float().flip(1) - self.mean) / self.std
        features = torch.relu(torch.conv2d(x, self.conv, self.conv_bias, stride=2, padding=1))
        return features.flatten(1) @ self.linear.T + self.linear_bias, features


def save_tflite(net: dict[str, np.ndarray], *, embedded: bool) -> None:
    """Write the float file: batch fixed at 1."""
    dtype = torch.uint8 if embedded else torch.float32
    example = torch.zeros((1, HEIGHT, WIDTH, 3), dtype=dtype)
    converted = litert_torch.convert(Tiny(net, embedded=embedded).eval(), (example,))
    converted.export(str(FOLDER / ("embedded.tflite" if embedded else "plain.tflite")))


def save_tflite_int8() -> None:
    """Quantise the embedded file, weights and activations: its outputs are int8."""
    job = quantizer.Quantizer(str(FOLDER / "embedded.tflite"))
    job.load_quantization_recipe(recipe.static_wi8_ai8())
    photos = np.random.default_rng(3).integers(0, 256, (3, HEIGHT, WIDTH, 3), dtype=np.uint8)
    frames = [{"args_0": photo[None]} for photo in photos] * 20
    result = job.quantize(job.calibrate({"serving_default": frames}))
    result.export_model(str(FOLDER / "embedded-int8.tflite"), overwrite=True)


def main() -> None:
    """Write every file."""
    net = draw_weights()
    np.savez(FOLDER / "net.npz", **net)
    for embedded in (False, True):
        save_onnx(net, embedded=embedded)
        save_tflite(net, embedded=embedded)
    save_rows()
    save_tflite_int8()


if __name__ == "__main__":
    main()
