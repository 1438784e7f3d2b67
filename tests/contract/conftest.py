"""The same tiny network for every runtime, with results that numpy computes exactly.

Its files are in tests/data/tiny_net and need no converter, so these tests run with the board's packages alone.
"""

import functools
import shutil
import struct
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

FILES = Path(__file__).resolve().parents[1] / "data" / "tiny_net"
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
    with np.load(FILES / "net.npz") as weights:
        return TinyNet(**weights)


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


def _onnxruntime(root: Path) -> Manifest:
    shutil.copyfile(FILES / "plain.onnx", root / "model.onnx")
    return _manifest("onnxruntime", IMAGE, FLOAT_NCHW, "zz_map", "aa_vector")


def _onnxruntime_embedded(root: Path) -> Manifest:
    shutil.copyfile(FILES / "embedded.onnx", root / "model.onnx")
    return _manifest("onnxruntime", EMBEDDED, PIXELS_NHWC, "zz_map", "aa_vector")


def _openvino(root: Path) -> Manifest:
    openvino = pytest.importorskip("openvino")
    model = openvino.convert_model(FILES / "plain.onnx")
    openvino.save_model(model, root / "model.xml", compress_to_fp16=False)
    return _manifest("openvino", IMAGE, FLOAT_NCHW, "zz_map", "aa_vector")


def _openvino_embedded(root: Path) -> Manifest:
    openvino = pytest.importorskip("openvino")
    model = openvino.convert_model(FILES / "plain.onnx")
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


def _tflite(root: Path) -> Manifest:
    shutil.copyfile(FILES / "plain.tflite", root / "model.tflite")
    source = _image_tensor("args_0", "NHWC", "float32")
    return _manifest("tflite", IMAGE, source, "output_1", "output_0")


def _tflite_embedded(root: Path) -> Manifest:
    shutil.copyfile(FILES / "embedded.tflite", root / "model.tflite")
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
def tiny_of(once: Callable[..., Path]) -> Callable[[str], Artifact]:
    """Give the network as an artifact of one case, built once a run; skips where its engine is not installed."""

    @functools.cache
    def build(case: str) -> Artifact:
        runtime, write = CASES[case]
        if installed_engine(runtime) is None:
            pytest.skip(f"{runtime} is not installed")
        return Artifact.open(once(f"tiny {case}", lambda root: seal(root, write(root))))

    return build


@pytest.fixture(scope="session", params=CASES)
def tiny(request: pytest.FixtureRequest, tiny_of: Callable[[str], Artifact]) -> Artifact:
    """The network as an artifact of one case after the other."""
    return tiny_of(request.param)


@pytest.fixture(scope="session")
def tiny_files() -> Path:
    """The directory of the network's engine files."""
    return FILES


@pytest.fixture(scope="session")
def photos() -> np.ndarray:
    """Three uint8 BGR images, (3, 8, 6, 3), with nothing symmetric in them."""
    return np.random.default_rng(3).integers(0, 256, (3, HEIGHT, WIDTH, 3), dtype=np.uint8)
