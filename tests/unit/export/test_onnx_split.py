"""ONNX files with their weights beside them: same outputs as the PyTorch model."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from export.checkpoint import LoadedModel
from export.converter import ConversionSource, min_half_elements
from export.limits import weight_bytes
from export.models import sapiens
from export.onnx_split import data_path, is_split, rewrite_split
from export.registry import Variant
from export.to_onnx import float_onnx, half_onnx, half_weights, write_onnx
from export.wrap import ImageInput
from runtimes.errors import ConversionError
from runtimes.spec import Lineage, Precision

onnxruntime = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
VARIANT = Variant("sapiens", "192x1x3-head8", (96, 128), schema="coco17")


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    torch.manual_seed(0)
    module = sapiens.build(VARIANT).eval().requires_grad_(requires_grad=False)
    spec = sapiens.spec(VARIANT, "sapiens-tiny")
    return LoadedModel(module, spec, Lineage(weights="random"), VARIANT)


def source(model: LoadedModel, directory: Path) -> ConversionSource:
    directory.mkdir()
    return ConversionSource(model.module, model.spec, directory)


def expected(made: ConversionSource, precision: Precision, image: np.ndarray) -> np.ndarray:
    """PyTorch's heatmap; for fp16, of weights rounded to half where they are large enough."""
    network = ImageInput(copy.deepcopy(made.module), made.spec.image)
    if precision == "fp16":
        for parameter in network.parameters():
            if parameter.numel() >= min_half_elements(made):
                parameter.copy_(parameter.half().float())
    (heatmap,) = network(torch.from_numpy(image))
    return heatmap.detach().numpy()


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_split_file_says_what_pytorch_says(
    model: LoadedModel, tmp_path: Path, precision: Precision
) -> None:
    made, path = source(model, tmp_path / "scratch"), tmp_path / "model.onnx"
    write_onnx(made, precision, path, inline_limit=0)
    image = np.random.default_rng(0).integers(0, 256, (3, 128, 96, 3), np.uint8)
    (heatmap,) = onnxruntime.InferenceSession(str(path)).run(None, {"image": image})

    np.testing.assert_allclose(heatmap, expected(made, precision, image), atol=1e-4)
    assert not list(made.scratch.iterdir())  # what was traced is gone
    proto = onnx.load(path, load_external_data=False)
    assert '"sapiens-tiny"' in {p.key: p.value for p in proto.metadata_props}["edgepose"]
    places = {
        entry.value
        for tensor in proto.graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }
    assert places == {"model.onnx.data"}  # a bare name: the artifact can be moved
    weights = weight_bytes(model.module) * {"fp32": 1, "fp16": 0.5}[precision]
    assert weights <= data_path(path).stat().st_size < 1.2 * weights
    assert path.stat().st_size < weights / 2


def test_halves_take_half(model: LoadedModel, tmp_path: Path) -> None:
    made = source(model, tmp_path / "a")
    full, half = float_onnx(made, inline_limit=0), half_onnx(made, inline_limit=0)
    assert is_split(full)
    assert 0.5 <= data_path(half).stat().st_size / data_path(full).stat().st_size < 0.6


def test_the_largest_half_fits_and_what_vanishes_is_no_reason_to_refuse(tmp_path: Path) -> None:
    """65504 is the largest half, and 1e-8 is below the smallest."""
    whole, path = _product([[65504.0, 1e-8], [1.0, 2.0]]), tmp_path / "whole.onnx"
    split = tmp_path / "split.onnx"
    rewrite_split(_beside(whole, tmp_path), split, {}, 4)
    half_weights(whole, 4)
    onnx.save(whole, path)
    for written in (path, split):
        session = onnxruntime.InferenceSession(str(written))
        (found,) = session.run(None, {"x": np.eye(2, dtype=np.float32)})
        np.testing.assert_array_equal(found, [[65504.0, 0.0], [1.0, 2.0]])


def test_weights_beyond_half_are_refused(tmp_path: Path) -> None:
    whole = _product([[65536.0, 0.0], [1.0, 2.0]])
    traced = _beside(whole, tmp_path)
    with pytest.raises(ConversionError, match="weight w does not fit float16"):
        rewrite_split(traced, tmp_path / "split.onnx", {}, 4)
    with pytest.raises(ConversionError, match="weight w does not fit float16"):
        half_weights(whole, 4)


def _beside(model: "onnx.ModelProto", directory: Path) -> Path:
    """Save a copy of the model with its weights beside it, as the exporter does."""
    path = directory / "traced.onnx"
    onnx.save(
        copy.deepcopy(model),
        path,
        save_as_external_data=True,
        location=data_path(path).name,
        size_threshold=0,
    )
    return path


def _product(weight: list[list[float]]) -> "onnx.ModelProto":
    """A graph that multiplies x by one weight."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    ends = [helper.make_tensor_value_info(name, kind, [2, 2]) for name in ("x", "y")]
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    initializer = onnx.numpy_helper.from_array(np.float32(weight), "w")
    graph = helper.make_graph([node], "product", ends[:1], ends[1:], [initializer])
    opset = helper.make_opsetid("", 18)
    return helper.make_model(graph, opset_imports=[opset], ir_version=10)
