"""ONNX files whose weights lie beside them say what the ones that hold them say."""

from pathlib import Path

import numpy as np
import pytest
import torch

from export.checkpoint import LoadedModel
from export.models import sapiens
from export.onnx_split import data_path, is_split
from export.registry import Variant
from export.source import Source
from export.to_onnx import float_onnx, half_onnx, write_onnx
from runtimes.errors import ConversionError
from runtimes.spec import Lineage, Precision

onnxruntime = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
VARIANT = Variant("sapiens", "192x1x8", (96, 128), schema="coco17")


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    torch.manual_seed(0)
    module = sapiens.build(VARIANT).eval().requires_grad_(requires_grad=False)
    spec = sapiens.spec(VARIANT, "sapiens-tiny")
    return LoadedModel(module, spec, Lineage(weights="random"), VARIANT)


def source(model: LoadedModel, directory: Path) -> Source:
    directory.mkdir()
    return Source(model.module, model.spec, directory)


def outputs(path: Path, image: np.ndarray) -> np.ndarray:
    (heatmap,) = onnxruntime.InferenceSession(str(path)).run(None, {"image": image})
    return heatmap


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_split_and_whole_agree(model: LoadedModel, tmp_path: Path, precision: Precision) -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 128, 96, 3), np.uint8)
    split, whole = tmp_path / "split.onnx", tmp_path / "whole.onnx"
    write_onnx(source(model, tmp_path / "a"), precision, split, inline_limit=0)
    write_onnx(source(model, tmp_path / "b"), precision, whole)

    assert is_split(split)
    assert not is_split(whole)
    np.testing.assert_allclose(outputs(split, image), outputs(whole, image), atol=1e-4)
    size = {path: path.stat().st_size for path in (split, data_path(split), whole)}
    assert size[data_path(split)] > 5 * size[split] / 2  # the graph alone stays small
    assert size[split] + size[data_path(split)] < 1.3 * size[whole] + (1 << 19)
    assert not list((tmp_path / "a").iterdir())  # what was traced is gone


def test_a_split_artifact_names_its_model_and_finds_its_data_by_a_bare_name(
    model: LoadedModel, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    write_onnx(source(model, tmp_path / "a"), "fp32", path, inline_limit=0)
    proto = onnx.load(path, load_external_data=False)
    places = {
        entry.value
        for tensor in proto.graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }
    assert places == {"model.onnx.data"}
    assert '"sapiens-tiny"' in {p.key: p.value for p in proto.metadata_props}["edgepose"]


def test_halves_take_half_and_large_values_are_refused(model: LoadedModel, tmp_path: Path) -> None:
    made = source(model, tmp_path / "a")
    full, half = float_onnx(made, inline_limit=0), half_onnx(made, inline_limit=0)
    ratio = data_path(half).stat().st_size / data_path(full).stat().st_size
    assert 0.5 <= ratio < 0.6

    wild = sapiens.build(VARIANT).eval().requires_grad_(requires_grad=False)
    wild.head.deconv_layers[0].weight.fill_(1e5)
    unfit = Source(wild, model.spec, tmp_path / "wild")
    unfit.scratch.mkdir()
    for limit in (0, 1 << 31):
        with pytest.raises(ConversionError, match="does not fit float16"):
            write_onnx(unfit, "fp16", tmp_path / f"wild-{limit}.onnx", inline_limit=limit)
