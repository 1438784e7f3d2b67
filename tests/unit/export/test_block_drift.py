"""Drift block by block: blocks in execution order, and the first wrong one named."""

import copy
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from torch import nn

from edge.catalog.specs import image_input
from edge.parity.reference import make_reference, save_reference
from export.block_drift import (
    Tap,
    Tapped,
    compare_blocks,
    first_drift,
    measure_block_drift,
    tapped_spec,
)
from export.random_weights import random_model
from export.torch_session import TorchSession
from runtimes.artifact import REFERENCE, Artifact
from runtimes.codec_spec import DenseCodec
from runtimes.errors import InputError
from runtimes.files import seal
from runtimes.spec import (
    CropSpec,
    ImageSpec,
    Lineage,
    Manifest,
    ModelSpec,
    TensorSpec,
)

SPEC = ModelSpec(
    model="small",
    task="depth",
    inputs=(image_input((16, 16)),),
    outputs=(TensorSpec(name="map"),),
    image=ImageSpec(wh=(16, 16)),
    crop=CropSpec(kind="stretch"),
    codec=DenseCodec(),
)
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)


class Small(nn.Module):
    """stem (a container), one activation used twice, two blocks, and a head whose result is the output."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Tanh())
        self.one, self.two = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(2))
        self.act = nn.Tanh()
        self.head = nn.Conv2d(4, 1, 1)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = self.stem(image / 100)
        x = self.act(self.one(x))
        x = self.act(self.two(x))
        return (self.head(x),)


@pytest.fixture
def small() -> Small:
    torch.manual_seed(0)
    return Small().eval().requires_grad_(requires_grad=False)


def test_every_result_is_tapped_once_in_execution_order(small) -> None:
    taps, spec = tapped_spec(small, SPEC)
    # the container's result is that of its last child, and the head's is an output already
    assert [str(tap) for tap in taps] == ["stem.0", "stem.1", "one", "act", "two", "act (call 2)"]
    assert [out.name for out in spec.outputs] == ["map", *(f"block_{i}" for i in range(6))]
    assert spec.outputs[1].shape == (-1, 4, 16, 16)
    assert not any(module._forward_hooks for module in small.modules())


def test_taps_are_what_the_blocks_gave(small) -> None:
    taps, _ = tapped_spec(small, SPEC)
    tapped = Tapped(small, taps)
    image = torch.rand(2, 3, 16, 16)
    for _ in range(2):  # nothing is left of an earlier run
        output, *results = tapped(image)
        x = small.stem(image / 100)
        first = small.act(small.one(x))
        torch.testing.assert_close(results[1], x)
        torch.testing.assert_close(results[3], first)
        torch.testing.assert_close(results[5], small.act(small.two(first)))
        torch.testing.assert_close(output, small.head(results[5]))


def test_a_copy_taps_itself(small) -> None:
    taps, _ = tapped_spec(small, SPEC)
    tapped = Tapped(small, taps)
    twin = copy.deepcopy(tapped)
    twin.module.one.weight.zero_()
    image = torch.rand(1, 3, 16, 16)
    assert not torch.equal(twin(image)[3], tapped(image)[3])


@pytest.mark.parametrize(
    ("broken", "first"), [("two", "two"), ("stem.0", "stem.0"), ("head", "map")]
)
def test_the_first_wrong_block_is_named(small, broken, first) -> None:
    taps, spec = tapped_spec(small, SPEC)
    wrong = copy.deepcopy(small)
    wrong.get_submodule(broken).weight.mul_(1.1)
    session = TorchSession(Tapped(wrong, taps), spec)
    errors = compare_blocks(session, Tapped(small, taps).eval(), spec, IMAGES, 1e-3)
    drift = first_drift(errors)
    assert drift is not None
    assert drift.name == first
    names = [error.name for error in errors]
    assert names == [*map(str, taps), "map"]
    assert all(error.raw_error == 0 for error in errors[: names.index(first)])
    assert errors[-1].raw_error > 0


def test_what_is_not_finite_is_a_drift(small) -> None:
    taps, spec = tapped_spec(small, SPEC)
    wrong = copy.deepcopy(small)
    wrong.one.bias[0] = float("nan")
    session = TorchSession(Tapped(wrong, taps), spec)
    drift = first_drift(compare_blocks(session, Tapped(small, taps).eval(), spec, IMAGES, 1e-3))
    assert drift is not None
    assert drift.name == "one"


def test_nothing_over_its_limit_is_no_drift(small) -> None:
    taps, spec = tapped_spec(small, SPEC)
    session = TorchSession(Tapped(copy.deepcopy(small), taps), spec)
    errors = compare_blocks(session, Tapped(small, taps).eval(), spec, IMAGES, 1e-3)
    assert first_drift(errors) is None
    assert len(errors) == 7


@pytest.mark.parametrize("name", ["rtmpose-t", "rtmdet-nano"])
def test_blocks_of_our_families(name) -> None:
    loaded = random_model(name)
    taps, spec = tapped_spec(loaded.module, loaded.spec)
    names = [str(tap) for tap in taps]
    assert names[0] == "backbone.stem.0"
    assert len(set(names)) == len(names)
    assert len(spec.outputs) == len(names) + len(loaded.spec.outputs)
    if name == "rtmdet-nano":
        assert Tap("neck.upsample", 1) in taps


def rtmpose(root: Path, **changes: object) -> Artifact:
    """An artifact's manifest and reference, without engine files: enough to be refused."""
    spec = random_model("rtmpose-t").spec
    shared = {name: getattr(spec, name) for name in ModelSpec.__struct_fields__}
    plain = Manifest(
        **shared, runtime="onnxruntime", precision="fp32", lineage=Lineage(weights="random")
    )
    root.mkdir()
    outputs = {out.name: np.zeros((1, *out.shape[1:]), np.float32) for out in spec.outputs}
    pictures = np.zeros((1, 256, 192, 3), np.uint8)
    save_reference(root / REFERENCE, make_reference(pictures, outputs, spec, "zeros"))
    return seal(root, msgspec.structs.replace(plain, **changes))


def test_int8_has_no_layer_limits(tmp_path) -> None:
    with pytest.raises(InputError, match="int8"):
        measure_block_drift(rtmpose(tmp_path / "art", precision="int8"), "random")


@pytest.mark.parametrize(
    "lineage",
    [Lineage(weights="checkpoint", checkpoint_sha256="0" * 64), Lineage(weights="foreign")],
)
def test_other_weights_are_refused(tmp_path, lineage) -> None:
    with pytest.raises(InputError, match="was not made from"):
        measure_block_drift(rtmpose(tmp_path / "art", lineage=lineage), "random")
