"""Dense artifacts from checkpoint to map: through the command line, and in the frame's own coordinates."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from edge.catalog.lookup import CATALOG
from edge.catalog.specs_sapiens import GOLIATH_PARTS, sapiens_dense_spec
from edge.model import load
from edge.types import DenseMap
from export.checkpoint import LoadedModel
from export.exporter import Target, export_model
from export.inputs import drawn_inputs
from export.models import sapiens
from export.registry import Variant
from runtimes.registry import ENGINES, installed_engine
from runtimes.spec import Lineage, Runtime

WH = (96, 128)
DEPTH = Variant("sapiens", "192x1x3-head8", WH, dense="depth")
SEGMENT = replace(DEPTH, classes=GOLIATH_PARTS, dense="segment")
VARIANTS = {
    "depth": DEPTH,
    "normal": replace(DEPTH, dense="normal"),
    "segment": SEGMENT,
}
# The heads differ in numbers only: each goes to another runtime.
FORMATS = {"depth": "openvino", "normal": "ncnn", "segment": "onnx"}
COLOURS = ("red", "green", "blue")


class Colour(torch.nn.Module):
    """A network that says the mean colour of every cell of 2x2 pixels, 0 to 255."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.cells = torch.nn.Conv2d(3, 3, 2, 2)
        with torch.no_grad():
            diagonal = torch.diag(torch.tensor(std) / 4)
            self.cells.weight.copy_(diagonal[..., None, None].expand(3, 3, 2, 2))
            self.cells.bias.copy_(torch.tensor(mean))

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.cells(image),)


def colour_model() -> LoadedModel:
    spec = sapiens_dense_spec("colour", WH, "segment", COLOURS)
    module = Colour(spec.image.mean, spec.image.std).eval().requires_grad_(requires_grad=False)
    variant = replace(SEGMENT, classes=COLOURS)
    return LoadedModel(module, spec, Lineage(weights="random"), variant)


def ramps(height: int, width: int) -> np.ndarray:
    """A frame whose colours are linear in x and y, another slope a channel; no row and no column like another."""
    rows, columns = np.mgrid[:height, :width]
    blue_green_red = (6 * columns, 5 * rows, 250 - 3 * rows - 2 * columns)
    return np.stack(blue_green_red, axis=2).astype(np.uint8)


@pytest.mark.parametrize("runtime", ENGINES)
def test_the_map_of_colours_is_the_frame(runtime: Runtime, tmp_path: Path) -> None:
    """The frame is stretched to 96x128, becomes 48x64 cells, and comes back as itself: half a pixel would show as 3."""
    if installed_engine(runtime) is None:
        pytest.skip(f"{runtime} is not installed")
    model = colour_model()
    inputs = drawn_inputs(model.spec, 2)
    (made,) = export_model(model, [Target(runtime, "fp32")], tmp_path, inputs=inputs)
    assert made.passed
    frame = ramps(50, 37)
    with load(made.path) as opened:
        found = opened(frame)

    assert isinstance(found, DenseMap)
    assert found.values.shape == (3, 50, 37)
    wanted = frame[..., ::-1].transpose(2, 0, 1).astype(np.float32)
    inside = (slice(None), slice(1, -1), slice(1, -1))  # the outermost cells see less than a cell
    np.testing.assert_allclose(found.values[inside], wanted[inside], atol=0.75)


def as_the_authors(module: torch.nn.Module, frame: np.ndarray) -> np.ndarray:
    """The map as the authors' demos make it: resized input, bilinear to the frame's size."""
    image = cv2.resize(frame, WH, interpolation=cv2.INTER_LINEAR)[..., ::-1].astype(np.float32)
    normal = (image - np.float32((123.675, 116.28, 103.53))) / np.float32((58.395, 57.12, 57.375))
    with torch.no_grad():
        (small,) = module(torch.from_numpy(normal.transpose(2, 0, 1)[None].copy()))
    large = torch.nn.functional.interpolate(small, frame.shape[:2], mode="bilinear")
    return large[0].numpy()


@pytest.mark.parametrize("name", VARIANTS)
def test_a_checkpoint_becomes_the_map_of_a_frame(edgepose, tmp_path: Path, name: str) -> None:
    torch.manual_seed(1)
    module = sapiens.build(VARIANTS[name]).eval()
    path = tmp_path / "dense.pth"
    torch.save({"state_dict": module.state_dict()}, path)
    frame = np.random.default_rng(2).integers(0, 256, (70, 45, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "frame.png"), frame)
    options = (f"format={FORMATS[name]}", f"calib={tmp_path}", "--out", tmp_path, "--json")
    done = edgepose("export", path, *options)
    assert done.code == 0, done.err
    (made,) = done.json
    assert made["parity"][0]["raw_error"] <= 1e-3
    with load(made["artifact"]) as opened:
        found = opened(frame)

    wanted = as_the_authors(module, frame)
    if name == "normal":
        wanted /= np.linalg.norm(wanted, axis=0, keepdims=True) + 1e-5
    assert isinstance(found, DenseMap)
    assert found.values.shape == (len(wanted), 70, 45)
    np.testing.assert_allclose(found.values, wanted, atol=1e-3)
    assert found.classes == VARIANTS[name].classes
    commands_say_what_it_is(edgepose, made["artifact"], name, tmp_path)


def commands_say_what_it_is(edgepose, artifact: str, name: str, folder: Path) -> None:
    shown = edgepose("info", artifact)
    assert shown.code == 0
    rows = {line.split("  ")[0]: line for line in shown.out.splitlines()}
    assert rows["task"].endswith(name)
    assert ("Face_Neck" in rows["classes"]) == (name == "segment")
    verified = edgepose("verify", artifact)
    assert verified.code == 0
    assert f"next: edgepose info {artifact}" in verified.err
    frame = folder / "frame.png"
    refused = edgepose("run", frame, "--pose", artifact, "--out", folder / "drawn")
    assert refused.code == 2
    assert (
        f"gives a map (task {name}), no poses; call edge.load(ARTIFACT)(frame)" in refused.message
    )
    assert not (folder / "drawn").exists()


@pytest.mark.parametrize("name", ["sapiens-0.6b", "sapiens-1b-308", "sapiens-2b-depth"])
def test_tflite_above_two_gigabytes_is_refused_before_weights_are_made(
    edgepose, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out"
    done = edgepose("export", name, "weights=random", "format=tflite", "--out", out)
    gigabytes = CATALOG[name].params_m * 4 / 1000
    assert done.code == 2
    assert f"{name}: {gigabytes:.1f} GB of weights do not fit a TFLite file" in done.message
    assert not out.exists()
