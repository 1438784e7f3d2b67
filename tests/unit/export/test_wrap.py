"""The uint8 input module against normalisation in numpy and the float network behind it."""

import numpy as np
import pytest
import torch
from torch import nn

from edge.catalog.specs import MEAN_RGB, STD_RGB
from export.random_weights import random_model
from export.torch_session import TorchSession
from export.wrap import ImageInput, first_convolution, fold_colour
from runtimes.errors import ConversionError, EngineError, InputError
from runtimes.spec import ImageSpec

RGB = ImageSpec(wh=(24, 32), order="RGB", mean=MEAN_RGB, std=STD_RGB)
BGR = ImageSpec(wh=(24, 32), order="BGR", mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0))


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 3)).eval()


def pixels(batch: int) -> np.ndarray:
    return np.random.default_rng(batch).integers(0, 256, (batch, 32, 24, 3), dtype=np.uint8)


def normalised(image: np.ndarray, spec: ImageSpec) -> torch.Tensor:
    """What the manifest says, in numpy: float64 NCHW in the network's channel order."""
    ordered = image[..., ::-1] if spec.order == "RGB" else image
    real = (ordered.astype(np.float64) - spec.mean) / spec.std
    return torch.from_numpy(real.transpose(0, 3, 1, 2).copy())


@pytest.mark.parametrize("spec", [RGB, BGR])
def test_the_wrapper_is_the_network_behind_normalisation(spec) -> None:
    # zero padding of the stem included: folding the mean into a bias would miss the borders
    plain = network()
    image = pixels(3)
    with torch.no_grad():
        got = ImageInput(plain, spec)(torch.from_numpy(image))
        wanted = plain.double()(normalised(image, spec))
    torch.testing.assert_close(got.double(), wanted, rtol=0, atol=2e-5)


def test_the_network_itself_is_left_alone() -> None:
    plain = network()
    before = plain[0].weight.clone()
    fold_colour(plain, RGB)
    assert torch.equal(plain[0].weight, before)


class TwoEntries(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.one(image) + self.two(image)


class PooledFirst(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.conv(torch.relu(image))


@pytest.mark.parametrize(
    "module", [TwoEntries(), PooledFirst(), nn.Conv2d(3, 6, 3, groups=3), nn.Flatten()]
)
def test_an_entry_that_cannot_be_folded_is_refused(module) -> None:
    with pytest.raises(ConversionError, match="one plain 3-channel convolution"):
        fold_colour(module, RGB)


@pytest.mark.parametrize("name", ["rtmpose-t", "rtmdet-nano"])
def test_the_entry_of_our_families_is_their_stem(name) -> None:
    loaded = random_model(name)
    stem = first_convolution(loaded.module, loaded.spec.image.wh)
    assert stem is loaded.module.backbone.stem[0].conv
    assert not any(module._forward_pre_hooks for module in loaded.module.modules())


@pytest.mark.parametrize("name", ["rtmpose-t", "rtmdet-nano"])
def test_the_reference_session_spells_normalisation_out(name) -> None:
    loaded = random_model(name)
    width, height = loaded.spec.image.wh
    image = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    session = TorchSession(loaded.module, loaded.spec)
    outputs = session.run({"image": image})
    with torch.no_grad():
        wanted = loaded.module(normalised(image, loaded.spec.image).float())
    assert list(outputs) == [tensor.name for tensor in loaded.spec.outputs]
    for array, tensor in zip(outputs.values(), wanted, strict=True):
        scale = max(1.0, float(tensor.abs().max()))
        np.testing.assert_allclose(array / scale, tensor.numpy() / scale, rtol=0, atol=1e-4)
        array[:] = 0  # the caller owns it
    assert session.effective.precision == "f32"
    with pytest.raises(InputError, match="uint8 BGR"):
        session.run({"image": image.astype(np.float32)})
    session.close()
    with pytest.raises(EngineError, match="closed"):
        session.run({"image": image})
