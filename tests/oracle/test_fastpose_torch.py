"""FastPose against AlphaPose's own network: raw outputs and features on its weights and inputs."""

import numpy as np
import pytest
import torch

from export.checkpoint import LoadedModel, load_checkpoint


def raw_error(got: torch.Tensor, wanted: np.ndarray) -> float:
    return float(np.abs(got.numpy() - wanted).max() / max(1.0, np.abs(wanted).max()))


@pytest.fixture(scope="module")
def loaded(reference_state, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """Loaded as AlphaPose saves it: a bare state dict, under DataParallel's prefix."""
    path = tmp_path_factory.mktemp("fastpose") / "fast_res50_256x192.pth"
    state = reference_state("fastpose-res50")
    torch.save({f"module.{key}": value for key, value in state.items()}, path)
    return load_checkpoint(path)


def test_outputs_and_features_equal_alphapose(oracles, loaded: LoadedModel) -> None:
    reference = np.load(oracles("fastpose-res50.npz"))
    with torch.no_grad():
        image = torch.from_numpy(reference["input"])
        (heatmap,) = loaded.module(image)
        features = loaded.module.preact(image)

    assert loaded.spec.model == "fastpose-res50"
    assert heatmap.shape[1:] == loaded.spec.outputs[0].shape[1:]
    assert raw_error(heatmap, reference["heatmap"]) <= 1e-4
    assert raw_error(features, reference["feat"]) <= 1e-4


def test_keys_are_the_official_ones(oracles, loaded: LoadedModel) -> None:
    listed = oracles("fastpose-res50.keys.txt").read_text().splitlines()
    wanted = {key: shape for key, shape, _ in (line.split("\t") for line in listed)}

    assert {k: str(tuple(v.shape)) for k, v in loaded.module.state_dict().items()} == wanted
