"""RTMPose against mmpose 1.3.2: raw outputs and features on the reference's own weights and inputs."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from export.checkpoint import load_checkpoint


def raw_error(got: torch.Tensor, wanted: np.ndarray) -> float:
    return float(np.abs(got.numpy() - wanted).max() / max(1.0, np.abs(wanted).max()))


@pytest.mark.parametrize("name", ["rtmpose-t", "rtmpose-s"])
def test_outputs_and_features_equal_mmpose(oracles, loaded_model, name: str) -> None:
    loaded = loaded_model(f"oracle:{name}")
    reference = np.load(oracles(f"{name}.npz"))
    with torch.no_grad():
        image = torch.from_numpy(reference["input"])
        outputs = loaded.module(image)
        features = loaded.module.backbone(image)[-1]

    assert loaded.spec.model == name
    for tensor, output in zip(loaded.spec.outputs, outputs, strict=True):
        assert output.shape[1:] == tensor.shape[1:]
        assert raw_error(output, reference[tensor.name]) <= 1e-4
    assert raw_error(features, reference["feat0"]) <= 1e-4


def test_a_file_as_mmpose_publishes_it_loads_without_running_anything(
    oracles, tmp_path: Path
) -> None:
    path = tmp_path / "rtmpose-t.pth"
    command = [sys.executable, "-B", oracles("make_legacy.py"), "rtmpose-t", path]
    subprocess.run(command, check=True, capture_output=True)
    loaded = load_checkpoint(path)
    reference = np.load(oracles("rtmpose-t.npz"))
    with torch.no_grad():
        simcc_x, simcc_y = loaded.module(torch.from_numpy(reference["input"]))

    assert raw_error(simcc_x, reference["simcc_x"]) <= 1e-4
    assert raw_error(simcc_y, reference["simcc_y"]) <= 1e-4
    assert loaded.spec.keypoints is not None
    assert loaded.spec.keypoints.name == "coco17"


@pytest.mark.parametrize("name", ["rtmpose-t", "rtmpose-s"])
def test_keys_are_the_official_ones(oracles, loaded_model, name: str) -> None:
    loaded = loaded_model(f"oracle:{name}")
    listed = oracles(f"{name}.keys.txt").read_text().splitlines()
    wanted = {key: shape for key, shape, _ in (line.split("\t") for line in listed)}

    assert {k: str(tuple(v.shape)) for k, v in loaded.module.state_dict().items()} == wanted
