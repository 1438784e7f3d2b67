"""fp16 storage on every runtime: large tensors are rounded, tensors small beside their network are not."""

from pathlib import Path

import numpy as np
import pytest

from edge.catalog.specs import image_input
from runtimes.artifact import Artifact
from runtimes.codec_spec import HeatmapCodec
from runtimes.registry import ENGINES, installed_engine, open_session
from runtimes.spec import CropSpec, ImageSpec, Lineage, ModelSpec, Runtime, TensorSpec

torch = pytest.importorskip("torch")

from export import LoadedModel, Target, export_model  # noqa: E402 - after the check for torch
from export.inputs import GateInputs  # noqa: E402
from export.registry import Variant  # noqa: E402

SIDE, WIDE = 32, 2048
SPEC = ModelSpec(
    model="funnel",
    task="pose-topdown",
    inputs=(image_input((SIDE, SIDE)),),
    outputs=(TensorSpec(name="heatmap", shape=(-1, 2, 8, 8)),),
    image=ImageSpec(wh=(SIDE, SIDE), order="BGR"),
    crop=CropSpec(kind="stretch"),
    codec=HeatmapCodec(refine="none"),
)


class Funnel(torch.nn.Module):
    """Tensors of 768, 4608, 5.3 M and 4096 elements, only the third at least a thousandth of the whole."""

    def __init__(self) -> None:
        super().__init__()
        shapes = ((16, 3, 4, 4), (288, 16, 1, 1), (WIDE, 288, 3, 3), (2, WIDE, 1, 1))
        draw = torch.Generator().manual_seed(0)
        self.layers = torch.nn.ModuleList()
        for cout, cin, side, _ in shapes:
            stride, padding = (4, 0) if side == 4 else (1, side // 2)
            layer = torch.nn.Conv2d(cin, cout, side, stride, padding, bias=False)
            layer.weight.data.normal_(0, (2 / (cin * side * side)) ** 0.5, generator=draw)
            self.layers.append(layer)
        self.layers[0].weight.data /= 128  # pixels are up to 255

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        for layer in self.layers[:-1]:
            image = torch.relu(layer(image))
        return (self.layers[-1](image),)


def difference(got: np.ndarray, network: Funnel, images: np.ndarray) -> float:
    """The largest difference from PyTorch, of PyTorch's largest value."""
    tensor = torch.from_numpy(images.transpose(0, 3, 1, 2).astype(np.float32))
    with torch.no_grad():
        wanted = network(tensor)[0].numpy()
    return float(np.abs(got - wanted).max() / np.abs(wanted).max())


@pytest.mark.parametrize(
    "runtime",
    [pytest.param(each, marks=[pytest.mark.slow] * (each != "ncnn")) for each in ENGINES],
)
def test_only_tensors_of_a_thousandth_of_the_network_are_rounded(
    tmp_path: Path, runtime: Runtime
) -> None:
    if installed_engine(runtime) is None:
        pytest.skip(f"{runtime} is not installed")
    images = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
    full, rounded = (Funnel().eval().requires_grad_(requires_grad=False) for _ in range(2))
    rounded.layers[2].weight.copy_(rounded.layers[2].weight.half())
    variant = Variant("funnel", "s", (SIDE, SIDE))
    model = LoadedModel(full, SPEC, Lineage(weights="random"), variant)
    targets = [Target(runtime, "fp32"), Target(runtime, "fp16")]
    made = export_model(model, targets, tmp_path, inputs=GateInputs(images, "noise"))
    session = open_session(Artifact.open(made[1].path))
    got = session.run({"image": images})["heatmap"]
    session.close()
    assert difference(got, rounded, images) < 1e-5
    assert difference(got, full, images) > 5e-5
    assert made[1].bytes < 0.52 * made[0].bytes
