"""The same tiny network for every runtime, written by its own tools, with results that numpy computes exactly."""

import functools
import importlib.util
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from runtimes.artifact import Artifact
from runtimes.codec_spec import HeatmapCodec
from runtimes.files import seal
from runtimes.registry import installed_engine
from runtimes.spec import (
    CropSpec,
    ImageSpec,
    Lineage,
    Manifest,
    Runtime,
    TensorSpec,
)

WIDTH, HEIGHT = 6, 8  # differ, so that a swap shows
IMAGE = ImageSpec(wh=(WIDTH, HEIGHT), order="RGB", mean=(10.0, 20.0, 30.0), std=(50.0, 60.0, 70.0))
EMBEDDED = ImageSpec(wh=(WIDTH, HEIGHT), order="RGB", mean=IMAGE.mean, std=IMAGE.std, embedded=True)


@dataclass(frozen=True)
class TinyNet:
    """features = relu(conv 3x3, stride 2, pad 1), (B, 4, 4, 3); scores = linear(flat features), (B, 5)."""

    conv: np.ndarray
    conv_bias: np.ndarray
    linear: np.ndarray
    linear_bias: np.ndarray

    def __call__(self, batch: np.ndarray) -> dict[str, np.ndarray]:
        """Compute both outputs of uint8 BGR (B, 8, 6, 3) in float64."""
        real = (batch[..., ::-1].astype(np.float64) - IMAGE.mean) / IMAGE.std
        padded = np.pad(real.transpose(0, 3, 1, 2), ((0, 0), (0, 0), (1, 1), (1, 1)))
        features = np.zeros((len(batch), 4, 4, 3))
        for y in range(4):
            for x in range(3):
                window = padded[:, :, 2 * y : 2 * y + 3, 2 * x : 2 * x + 3]
                features[:, :, y, x] = np.einsum("bijk,oijk->bo", window, self.conv)
        features = np.maximum(features + self.conv_bias[:, None, None], 0)
        return {
            "features": features,
            "scores": features.reshape(len(batch), -1) @ self.linear.T + self.linear_bias,
        }


def _net() -> TinyNet:
    rng = np.random.default_rng(20)
    shapes = ((4, 3, 3, 3), (4,), (5, 48), (5,))
    return TinyNet(*(rng.normal(0, 0.3, shape).astype(np.float32) for shape in shapes))


NET = _net()


def _manifest(
    runtime: Runtime, image: ImageSpec, source: TensorSpec, features: str, scores: str
) -> Manifest:
    """Describe the tiny net; the outputs stand in another order than in the files."""
    return Manifest(
        model="tiny",
        task="pose-topdown",
        runtime=runtime,
        precision="fp32",
        inputs=(source,),
        outputs=(
            TensorSpec(name="features", engine_name=features, shape=(-1, 4, 4, 3)),
            TensorSpec(name="scores", engine_name=scores, shape=(-1, 5)),
        ),
        image=image,
        crop=CropSpec(kind="stretch"),
        codec=HeatmapCodec(),
        lineage=Lineage(weights="random"),
    )


def _image_tensor(name: str, layout: str, dtype: str) -> TensorSpec:
    shape = (-1, 3, HEIGHT, WIDTH) if layout == "NCHW" else (-1, HEIGHT, WIDTH, 3)
    return TensorSpec(name="image", engine_name=name, dtype=dtype, shape=shape, layout=layout)


FLOAT_NCHW = _image_tensor("x", "NCHW", "float32")
PIXELS_NHWC = _image_tensor("frame", "NHWC", "uint8")


def _save_onnx(path: Path, *, embedded: bool) -> None:
    """Float NCHW with the batch fixed at 1, or uint8 BGR NHWC with a free batch."""
    onnx = pytest.importorskip("onnx")
    helper, kinds = onnx.helper, onnx.TensorProto
    nodes, constants = [], {}
    if embedded:
        source = helper.make_tensor_value_info("frame", kinds.UINT8, ["N", HEIGHT, WIDTH, 3])
        constants = {
            "swap": np.array([2, 1, 0]),
            "mean": np.array(IMAGE.mean, np.float32).reshape(1, 3, 1, 1),
            "std": np.array(IMAGE.std, np.float32).reshape(1, 3, 1, 1),
        }
        nodes = [
            helper.make_node("Cast", ["frame"], ["real"], to=kinds.FLOAT),
            helper.make_node("Transpose", ["real"], ["bgr"], perm=[0, 3, 1, 2]),
            helper.make_node("Gather", ["bgr", "swap"], ["rgb"], axis=1),
            helper.make_node("Sub", ["rgb", "mean"], ["centred"]),
            helper.make_node("Div", ["centred", "std"], ["x"]),
        ]
    else:
        source = helper.make_tensor_value_info("x", kinds.FLOAT, [1, 3, HEIGHT, WIDTH])
    batch = "N" if embedded else 1
    constants |= {"cw": NET.conv, "cb": NET.conv_bias, "lw": NET.linear, "lb": NET.linear_bias}
    nodes += [
        helper.make_node("Conv", ["x", "cw", "cb"], ["conv"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["conv"], ["zz_map"]),
        helper.make_node("Flatten", ["zz_map"], ["flat"]),
        helper.make_node("Gemm", ["flat", "lw", "lb"], ["aa_vector"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [source],
        [
            helper.make_tensor_value_info("aa_vector", kinds.FLOAT, [batch, 5]),
            helper.make_tensor_value_info("zz_map", kinds.FLOAT, [batch, 4, 4, 3]),
        ],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    # the newest onnx writes an IR that the newest onnxruntime does not read yet
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)


def _onnxruntime(root: Path) -> Manifest:
    _save_onnx(root / "model.onnx", embedded=False)
    return _manifest("onnxruntime", IMAGE, FLOAT_NCHW, "zz_map", "aa_vector")


def _onnxruntime_embedded(root: Path) -> Manifest:
    _save_onnx(root / "model.onnx", embedded=True)
    return _manifest("onnxruntime", EMBEDDED, PIXELS_NHWC, "zz_map", "aa_vector")


def _openvino(root: Path) -> Manifest:
    openvino = pytest.importorskip("openvino")
    _save_onnx(root / "source.onnx", embedded=False)
    openvino.save_model(
        openvino.convert_model(root / "source.onnx"), root / "model.xml", compress_to_fp16=False
    )
    (root / "source.onnx").unlink()
    return _manifest("openvino", IMAGE, FLOAT_NCHW, "zz_map", "aa_vector")


def _openvino_embedded(root: Path) -> Manifest:
    openvino = pytest.importorskip("openvino")
    _save_onnx(root / "source.onnx", embedded=False)
    model = openvino.convert_model(root / "source.onnx")
    model.reshape([-1, 3, HEIGHT, WIDTH])
    steps = openvino.preprocess.PrePostProcessor(model)
    picture = steps.input()
    picture.tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    picture.tensor().set_color_format(openvino.preprocess.ColorFormat.BGR)
    picture.model().set_layout(openvino.Layout("NCHW"))
    convert = picture.preprocess().convert_element_type(openvino.Type.f32)
    convert = convert.convert_color(openvino.preprocess.ColorFormat.RGB)
    convert.mean(list(IMAGE.mean)).scale(list(IMAGE.std))
    openvino.save_model(steps.build(), root / "model.xml", compress_to_fp16=False)
    (root / "source.onnx").unlink()
    source = _image_tensor("x", "NHWC", "uint8")
    return _manifest("openvino", EMBEDDED, source, "zz_map", "aa_vector")


NCNN_PARAM = """7767517
4 5
Input in0 0 1 in0
Convolution conv 1 1 in0 map 0=4 1=3 3=2 4=1 5=1 6=108 9=1
Split split 1 2 map out1 flat
InnerProduct linear 1 1 flat out0 0=5 1=1 2=240
"""


def _ncnn(root: Path) -> Manifest:
    (root / "model.param").write_text(NCNN_PARAM)
    raw = struct.pack("<I", 0)  # the tag of plain float32 weights; biases have none
    layers = ((NET.conv, NET.conv_bias), (NET.linear, NET.linear_bias))
    blobs = [raw + weights.tobytes() + bias.tobytes() for weights, bias in layers]
    (root / "model.bin").write_bytes(b"".join(blobs))
    source = _image_tensor("in0", "NCHW", "float32")
    return _manifest("ncnn", IMAGE, source, "out1", "out0")


CONVERT_TO_TFLITE = """
import sys
import litert_torch, numpy, torch

path, weights, embedded = sys.argv[1], sys.argv[2], sys.argv[3] == "embedded"

class Tiny(torch.nn.Module):
    def __init__(self):
        super().__init__()
        for name, value in numpy.load(weights).items():
            self.register_buffer(name, torch.from_numpy(value))

    def forward(self, frame):
        x = frame.permute(0, 3, 1, 2).contiguous()
        if embedded:
            x = (x.float().flip(1) - self.mean) / self.std
        features = torch.relu(torch.conv2d(x, self.conv, self.conv_bias, stride=2, padding=1))
        return features.flatten(1) @ self.linear.T + self.linear_bias, features

example = torch.zeros((1, 8, 6, 3), dtype=torch.uint8 if embedded else torch.float32)
litert_torch.convert(Tiny().eval(), (example,)).export(path)
"""


def _save_tflite(path: Path, *, embedded: bool) -> None:
    """Convert in a process of its own: the converter starts jax, after which no process may fork (OpenVINO's does)."""
    if importlib.util.find_spec("litert_torch") is None:
        pytest.skip("litert_torch, which writes the TFLite file, is not installed")
    weights = path.with_suffix(".npz")
    mean, std = (np.float32(values).reshape(1, 3, 1, 1) for values in (IMAGE.mean, IMAGE.std))
    np.savez(weights, **vars(NET), mean=mean, std=std)
    command = [sys.executable, "-c", CONVERT_TO_TFLITE, str(path), str(weights)]
    command.append("embedded" if embedded else "float")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    weights.unlink()


def _tflite(root: Path) -> Manifest:
    _save_tflite(root / "model.tflite", embedded=False)
    source = _image_tensor("args_0", "NHWC", "float32")
    return _manifest("tflite", IMAGE, source, "output_1", "output_0")


def _tflite_embedded(root: Path) -> Manifest:
    _save_tflite(root / "model.tflite", embedded=True)
    source = _image_tensor("args_0", "NHWC", "uint8")
    return _manifest("tflite", EMBEDDED, source, "output_1", "output_0")


CASES: dict[str, tuple[Runtime, Callable[[Path], Manifest]]] = {
    "onnxruntime": ("onnxruntime", _onnxruntime),
    "onnxruntime-embedded": ("onnxruntime", _onnxruntime_embedded),
    "openvino": ("openvino", _openvino),
    "openvino-embedded": ("openvino", _openvino_embedded),
    "ncnn": ("ncnn", _ncnn),
    "tflite": ("tflite", _tflite),
    "tflite-embedded": ("tflite", _tflite_embedded),
}


@pytest.fixture(scope="session")
def covered_runtimes() -> set[Runtime]:
    """Runtimes that the contract runs over."""
    return {runtime for runtime, _ in CASES.values()}


@pytest.fixture(scope="session")
def net() -> TinyNet:
    """The network in numpy."""
    return NET


@pytest.fixture(scope="session")
def tiny_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Artifact]:
    """Give the network as an artifact of one case, built once; skips where its engine is not installed."""

    @functools.cache
    def build(case: str) -> Artifact:
        runtime, write = CASES[case]
        if installed_engine(runtime) is None:
            pytest.skip(f"{runtime} is not installed")
        root = tmp_path_factory.mktemp(case)
        seal(root, write(root))
        return Artifact.open(root)

    return build


@pytest.fixture(scope="session", params=CASES)
def tiny(request: pytest.FixtureRequest, tiny_of: Callable[[str], Artifact]) -> Artifact:
    """The network as an artifact of one case after the other."""
    return tiny_of(request.param)


@pytest.fixture(scope="session")
def photos() -> np.ndarray:
    """Three uint8 BGR images, (3, 8, 6, 3), with nothing symmetric in them."""
    return np.random.default_rng(3).integers(0, 256, (3, HEIGHT, WIDTH, 3), dtype=np.uint8)
