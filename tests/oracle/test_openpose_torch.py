"""The OpenPose nets against pytorch-openpose and lightweight OpenPose, on the references' own weights and inputs."""

from pathlib import Path

import numpy as np
import pytest
import torch

from export.checkpoint import LoadedModel, load_checkpoint


def raw_error(got: torch.Tensor, wanted: np.ndarray) -> float:
    return float(np.abs(got.numpy() - wanted).max() / max(1.0, np.abs(wanted).max()))


def saved(state: dict[str, torch.Tensor], directory: Path) -> LoadedModel:
    path = directory / "model.pth"
    torch.save(state, path)
    return load_checkpoint(path)


def listed(oracles, name: str) -> dict[str, str]:
    rows = (line.split("\t") for line in oracles(f"{name}.keys.txt").read_text().splitlines())
    return {key: shape for key, shape, _ in rows}


@pytest.mark.parametrize("layout", ["in memory", "published"])
def test_the_vgg_net_equals_pytorch_openpose(
    oracles, reference_state, tmp_path: Path, layout: str
) -> None:
    state = reference_state("openpose-coco18")
    if layout == "published":  # without what stands before the layer's name
        state = {key.split(".", 1)[1]: value for key, value in state.items()}
        wanted = listed(oracles, "openpose-coco18.published")
        assert {key: str(tuple(value.shape)) for key, value in state.items()} == wanted
    loaded = saved(state, tmp_path)
    reference = np.load(oracles("openpose-coco18.npz"))
    with torch.no_grad():
        heatmap, paf = loaded.module(torch.from_numpy(reference["input"]))

    assert loaded.spec.model == "openpose-coco18"
    assert raw_error(paf, reference["paf"]) <= 1e-4
    assert raw_error(heatmap, reference["heatmap"]) <= 1e-4
    assert float(heatmap.min()) == 0.0  # the port's ReLU after its last heatmaps


def test_the_light_net_equals_lightweight_openpose(
    oracles, reference_state, tmp_path: Path
) -> None:
    loaded = saved({"state_dict": reference_state("lightweight-openpose")}, tmp_path)
    reference = np.load(oracles("lightweight-openpose.npz"))
    with torch.no_grad():
        image = torch.from_numpy(reference["input"])
        heatmap, paf = loaded.module(image)
        first = loaded.module.initial_stage(loaded.module.cpm(loaded.module.model(image)))

    assert loaded.spec.model == "openpose-light"
    assert raw_error(heatmap, reference["stage1_heatmaps"]) <= 1e-4
    assert raw_error(paf, reference["stage1_pafs"]) <= 1e-4
    assert raw_error(first[0], reference["stage0_heatmaps"]) <= 1e-4
    assert raw_error(first[1], reference["stage0_pafs"]) <= 1e-4


@pytest.mark.parametrize("name", ["openpose-coco18", "lightweight-openpose"])
def test_keys_are_the_official_ones(oracles, reference_state, tmp_path: Path, name: str) -> None:
    loaded = saved(reference_state(name), tmp_path)
    state = loaded.module.state_dict()
    assert {key: str(tuple(value.shape)) for key, value in state.items()} == listed(oracles, name)
