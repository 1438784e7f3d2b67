"""RTMDet against mmdet 3.3.0: raw outputs on the reference's weights, and on real trained ones."""

from pathlib import Path

import numpy as np
import pytest
import torch

from export.checkpoint import load_checkpoint
from export.fold import fold_batchnorm

OUTPUTS = ["cls0", "cls1", "cls2", "reg0", "reg1", "reg2"]


def raw_error(got: torch.Tensor, wanted: np.ndarray) -> float:
    return float(np.abs(got.numpy() - wanted).max() / max(1.0, np.abs(wanted).max()))


@pytest.fixture
def checkpoint(real: Path, reference_weights, request: pytest.FixtureRequest) -> Path:
    if request.param == "rtmdet-nano-real-hw":
        return real / "models/rtmdet-nano-person/rtmdet_nano_person.pth"
    return reference_weights(request.param)


@pytest.mark.parametrize(
    ("checkpoint", "name", "limit"),
    [
        # random weights amplify: the reference's own rounding moves its outputs by up to 2.8e-4
        ("rtmdet-nano", "rtmdet-nano", 5e-4),
        ("rtmdet-nano-real-hw", "rtmdet-nano-real-hw", 1e-4),
    ],
    indirect=["checkpoint"],
)
def test_outputs_equal_mmdet(oracles, checkpoint: Path, name: str, limit: float) -> None:
    """Computed in float64, so that neither the CPU nor the number of threads has a say."""
    loaded = load_checkpoint(checkpoint)
    reference = np.load(oracles(f"{name}.npz"))
    with torch.no_grad():
        outputs = loaded.module.double()(torch.from_numpy(reference["input"]).double())

    assert loaded.spec.model == "rtmdet-nano"
    assert loaded.spec.classes == ("person",)
    assert [tensor.name for tensor in loaded.spec.outputs] == OUTPUTS
    for tensor, output in zip(loaded.spec.outputs, outputs, strict=True):
        assert output.shape[1:] == tensor.shape[1:]
        assert raw_error(output, reference[tensor.name]) <= limit


@pytest.mark.parametrize("checkpoint", ["rtmdet-nano-real-hw"], indirect=True)
def test_folded_real_weights_still_equal_mmdet(oracles, checkpoint: Path) -> None:
    folded = fold_batchnorm(load_checkpoint(checkpoint).module)
    reference = np.load(oracles("rtmdet-nano-real-hw.npz"))
    with torch.no_grad():
        outputs = folded(torch.from_numpy(reference["input"]))

    for name, output in zip(OUTPUTS, outputs, strict=True):
        assert raw_error(output, reference[name]) <= 1e-4


@pytest.mark.parametrize("checkpoint", ["rtmdet-nano-real-hw"], indirect=True)
def test_keys_are_the_official_ones(oracles, checkpoint: Path) -> None:
    state = load_checkpoint(checkpoint).module.state_dict()
    listed = oracles("rtmdet-nano.keys.txt").read_text().splitlines()
    wanted = {key: shape for key, shape, _ in (line.split("\t") for line in listed)}

    assert {key: str(tuple(value.shape)) for key, value in state.items()} == wanted
