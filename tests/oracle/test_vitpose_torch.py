"""ViTPose against mmpose 1.3.2, the authors' repository and transformers: three layouts, and ViTPose++'s six tasks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import gelu

from edge.codecs import decode
from edge.codecs.flip import flip_back
from edge.image import read_image
from edge.model import Model
from export.checkpoint import LoadedModel, load_checkpoint
from export.models.vit import Block
from export.models.vitpose_experts import TASKS
from export.torch_session import TorchSession
from runtimes.spec import ModelSpec

MOE = "vitae-vitpose++-s-moe-d3"
SCHEMAS = {
    "coco": "coco17",
    "aic": "aic14",
    "mpii": "mpii16",
    "ap10k": "ap10k17",
    "apt36k": "ap10k17",
    "wholebody": "coco133",
}
State = dict[str, torch.Tensor]


def raw_error(got: torch.Tensor, wanted: np.ndarray) -> float:
    return float(np.abs(got.numpy() - wanted).max() / max(1.0, np.abs(wanted).max()))


def heatmap(loaded: LoadedModel, image: np.ndarray) -> torch.Tensor:
    with torch.no_grad():
        (maps,) = loaded.module(torch.from_numpy(image))
    return maps


@pytest.fixture(scope="module")
def small(loaded_model) -> LoadedModel:
    return loaded_model("oracle:vitpose-s")


@pytest.fixture(scope="module")
def mixture(reference_weights) -> Path:
    return reference_weights(MOE)


def saved(state: State, path: Path) -> Path:
    torch.save({"state_dict": state}, path)
    return path


def test_outputs_and_features_equal_mmpose(small: LoadedModel, oracles) -> None:
    with np.load(oracles("vitpose-s.npz")) as reference:
        image, wanted, features = (reference[k] for k in ("input", "heatmap", "feat0"))
    with torch.no_grad():
        found = small.module.backbone(torch.from_numpy(image))

    assert small.spec.model == "vitpose-s"
    assert small.spec.outputs[0].shape[1:] == wanted.shape[1:]
    assert raw_error(found, features) <= 1e-4
    assert raw_error(heatmap(small, image), wanted) <= 1e-4


@pytest.mark.parametrize("kind", ["noflip", "flip"])
def test_keypoints_in_the_photograph_equal_mmpose(
    small: LoadedModel, oracles, real: Path, kind: str
) -> None:
    with np.load(oracles("vitpose-s.npz")) as reference:
        # the reference's own crops: OpenCV's versions warp up to 5 levels apart, which moves a random network's peaks
        images = np.ascontiguousarray(reference["raw_crop_bgr_u8"].transpose(0, 2, 3, 1))
        boxes, name = reference["bbox_xyxy"], Path(str(reference["image"])).name
        wanted, scores = reference[f"img_keypoints_{kind}"], reference[f"img_scores_{kind}"]
        maps = reference["heatmap"][:2]
    photograph = read_image(real / "mmpose-coco" / name)
    with Model(small.spec, TorchSession(small.module, small.spec)) as model:
        people = model.decode_crops(images, flip=kind == "flip")
        crops = model.crops(photograph, boxes)
        error = float(np.abs(model.session.run({"image": images})["heatmap"] - maps).max())
        if (
            kind == "flip"
        ):  # of the mirrored maps the reference keeps only what it decoded from them
            turned = model.session.run({"image": np.ascontiguousarray(images[:, :, ::-1])})
            maps = (maps + flip_back(turned, small.spec)["heatmap"]) / 2
    xy = [crop.to_frame(person.xy) for crop, person in zip(crops, people, strict=True)]
    distance = np.linalg.norm(np.concatenate(xy) - wanted, axis=2)
    decided = moved(maps, error, small.spec) < 0.05

    assert error <= 1e-4
    assert (
        decided.mean() >= 0.9
    )  # a random network's peaks are flat: one of them hangs on the last bit
    assert distance[decided].max() <= 0.05
    np.testing.assert_allclose(np.concatenate([p.scores for p in people]), scores, atol=1e-4)


def moved(maps: np.ndarray, error: float, spec: ModelSpec) -> np.ndarray:
    """By how many pixels an error of that size moves keypoints, (B, K): the most of a few drawn at random."""
    rng = np.random.default_rng(0)
    still = positions(maps, spec)
    noise = (error * rng.uniform(-1, 1, maps.shape) for _ in range(16))
    far = [np.linalg.norm(positions(maps + each, spec) - still, axis=2) for each in noise]
    return np.max(far, axis=0)


def positions(maps: np.ndarray, spec: ModelSpec) -> np.ndarray:
    found = decode({"heatmap": maps.astype(np.float32)}, spec)
    return np.concatenate([person.xy for person in found])


def test_keys_are_the_official_ones(small: LoadedModel, oracles) -> None:
    listed = oracles("vitpose-s.keys.txt").read_text().splitlines()
    wanted = {key: shape for key, shape, _ in (line.split("\t") for line in listed)}

    assert {k: str(tuple(v.shape)) for k, v in small.module.state_dict().items()} == wanted


def test_the_authors_layout_loads_and_agrees(oracles, loaded_model) -> None:
    loaded = loaded_model("oracle:vitae-vitpose-s")
    with np.load(oracles("vitae-vitpose-s.npz")) as reference:
        assert raw_error(heatmap(loaded, reference["input"]), reference["heatmap"]) <= 1e-4
    assert loaded.spec.model == "vitpose-s"


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_the_transformers_layout_loads_and_agrees(
    oracles, reference_weights, tmp_path: Path, suffix: str
) -> None:
    name = "hf-vitpose-s-d3"
    path = reference_weights(name)
    (tmp_path / "config.json").write_bytes(oracles(f"{name}.config.json").read_bytes())
    if suffix == ".safetensors":
        writer = pytest.importorskip("safetensors.torch")
        state = torch.load(path, weights_only=True)["state_dict"]
        path = tmp_path / "model.safetensors"
        writer.save_file(state, path)
    loaded = load_checkpoint(path)
    with np.load(oracles(f"{name}.npz")) as reference:
        assert raw_error(heatmap(loaded, reference["input"]), reference["heatmap"]) <= 1e-4
    assert (loaded.family, loaded.size) == ("vitpose", "384x3x12")


@pytest.mark.parametrize("task", TASKS)
def test_each_task_of_a_mixture_loads_as_a_plain_network(oracles, mixture: Path, task: str) -> None:
    loaded = load_checkpoint(mixture, task=task)
    with np.load(oracles(f"{MOE}.npz")) as reference:
        wanted, image = reference[f"heatmap_{task}"], reference["input"]

    assert loaded.spec.keypoints is not None
    assert loaded.spec.keypoints.name == SCHEMAS[task]
    assert loaded.spec.outputs[0].shape[1:] == wanted.shape[1:]
    assert raw_error(heatmap(loaded, image), wanted) <= 1e-4


class Mixture(torch.nn.Module):
    """The feed-forward as ViTPose++ defines it: a shared layer and an expert, side by side."""

    def __init__(self, state: State, block: int, expert: int) -> None:
        super().__init__()
        mlp = {k.removeprefix(f"backbone.blocks.{block}.mlp."): v for k, v in state.items()}
        self.first = (mlp["fc1.weight"], mlp["fc1.bias"])
        self.shared = (mlp["fc2.weight"], mlp["fc2.bias"])
        self.own = (mlp[f"experts.{expert}.weight"], mlp[f"experts.{expert}.bias"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = gelu(torch.nn.functional.linear(x, *self.first))
        parts = (torch.nn.functional.linear(hidden, *pair) for pair in (self.shared, self.own))
        return torch.cat(list(parts), dim=-1)


@pytest.mark.parametrize("task", TASKS)
def test_merged_equals_the_mixture(oracles, mixture: Path, task: str) -> None:
    merged = load_checkpoint(mixture, task=task)
    apart = load_checkpoint(mixture, task=task)
    state = torch.load(mixture, weights_only=True)["state_dict"]
    for index, block in enumerate(apart.module.backbone.layers):
        assert isinstance(block, Block)
        block.ffn = Mixture(state, index, TASKS.index(task))
    with np.load(oracles(f"{MOE}.npz")) as reference:
        image = reference["input"]
        assert raw_error(heatmap(merged, image), heatmap(apart, image).numpy()) <= 1e-6


def split(state: State, task: str) -> State:
    """Return what the authors' model_split.py writes for a task: experts stay, and COCO's file keeps all heads."""
    index = TASKS.index(task)
    head = f"associate_keypoint_heads.{index - 1}."
    left = {}
    for key, value in state.items():
        if ".mlp.fc2." in key:
            left[key] = torch.cat([value, state[key.replace("fc2", f"experts.{index}")]])
        elif index and key.startswith(head):
            left[f"keypoint_head.{key.removeprefix(head)}"] = value
        elif not index or not key.startswith(("keypoint_head.", "associate_keypoint_heads.")):
            left[key] = value
    return left


@pytest.mark.parametrize("task", TASKS)
def test_split_files_load_leftovers_and_all(
    oracles, mixture: Path, tmp_path: Path, task: str
) -> None:
    state = split(torch.load(mixture, weights_only=True)["state_dict"], task)
    listed = oracles(f"{MOE}.split-{task}.keys.txt").read_text().splitlines()
    assert set(state) == {line.split("\t")[0] for line in listed}

    loaded = load_checkpoint(saved(state, tmp_path / f"{task}.pth"))
    with np.load(oracles(f"{MOE}.npz")) as reference:
        found = raw_error(heatmap(loaded, reference["input"]), reference[f"heatmap_{task}"])
    assert found <= 1e-4
    assert loaded.spec.keypoints is not None
    assert loaded.spec.keypoints.name == SCHEMAS[task]
