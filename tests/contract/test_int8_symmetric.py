"""ONNX Runtime's symmetric int8: a graph that TensorRT's parser reads, and that computes what the float one does.

By NVIDIA's documentation and its parser's messages (NVIDIA/TensorRT issue 2774, onnx-tensorrt issue 850): zero points
are 0, activations i8, and no DequantizeLinear of i32. Nothing here needs TensorRT.
"""

import numpy as np
import pytest

from runtimes.artifact import Artifact
from runtimes.parity_spec import BoxesParity

pytest.importorskip("torch")
pytest.importorskip("onnx")

import onnx

from export.inputs import drawn_inputs
from quantize.int8.calibration import ImageSets
from quantize.int8.gate import float_reference, judge_int8
from quantize.int8.run import Int8Limits, Int8Options, write_int8
from runtimes.base import RunOptions

CALIBRATION, SEARCH, HELD_OUT = 16, 2, 24
TENSORRT = RunOptions(accelerator="gpu", extra={"provider": "tensorrt"})


@pytest.fixture(scope="module")
def parent(bundled_detector) -> Artifact:
    return bundled_detector("onnxruntime")


@pytest.fixture(scope="module")
def sets(parent) -> ImageSets:
    images = drawn_inputs(parent.manifest, CALIBRATION + SEARCH + HELD_OUT, seed=7_000_000).images
    parts = np.split(images, [CALIBRATION, CALIBRATION + SEARCH])
    return ImageSets(*parts, source="drawn people", sha256="0" * 64)


@pytest.fixture(scope="module")
def made(parent, sets, tmp_path_factory) -> Artifact:
    options = Int8Options(mode="symmetric")
    return write_int8(parent, sets, options.recipe(parent), tmp_path_factory.mktemp("symmetric"))


def test_zero_points_are_zero_and_only_i8_is_dequantized(made) -> None:
    graph = onnx.load(str(made.file(".onnx"))).graph
    constants = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("QuantizeLinear") > 10
    for node in graph.node:
        if node.op_type not in {"QuantizeLinear", "DequantizeLinear"}:
            continue
        zero = constants[node.input[2]]
        assert zero.dtype == np.int8
        assert not zero.any()
    weights = [
        constants[node.input[0]]
        for node in graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in constants
    ]
    assert {each.dtype for each in weights} == {np.dtype(np.int8)}
    assert min(int(each.min()) for each in weights) >= -127


def test_it_finds_the_boxes_of_the_float_artifact(made, parent, sets) -> None:
    parity = judge_int8(made, float_reference(parent, sets.held_out), "held out", None)
    assert isinstance(parity, BoxesParity)
    assert parity.symptoms == ()
    assert parity.matched > 0.75  # as of the default recipe: by the CPU's kernels
    assert made.manifest.calibration.samples == CALIBRATION
    assert "symmetric" in made.manifest.calibration.method


def test_it_is_the_recipe_of_artifacts_for_tensorrt(parent) -> None:
    limits = Int8Limits(None, None, None, (), {"onnxruntime": TENSORRT})
    options = limits.options_for(parent)
    assert (options.mode, options.accelerator) == ("symmetric", TENSORRT)
    cuda = RunOptions(accelerator="gpu", extra={"provider": "cuda"})
    options = Int8Limits(None, None, None, (), {"onnxruntime": cuda}).options_for(parent)
    assert (options.mode, options.accelerator) == (None, cuda)
    assert Int8Limits(None, None, None).options_for(parent) == Int8Options()
