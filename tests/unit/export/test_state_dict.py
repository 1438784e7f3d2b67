"""Containers and prefixes around a state dict: which tensors are taken, and what is said of it."""

import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch

from export.checkpoint import load_checkpoint
from export.registry import Variant, load_family
from export.state_dict import find_state, unwrap
from export.weights import read_weights
from runtimes.errors import CheckpointError

RAW = {"backbone.w": torch.zeros(2), "head.w": torch.zeros(2)}
EMA = {"backbone.w": torch.ones(2), "head.w": torch.ones(2)}


def prefixed(state: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {prefix + key: value for key, value in state.items()}


def read(content: Any, folder: Path) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    path = folder / "model.pth"
    torch.save(content, path)
    weights = read_weights(path)
    return dict(weights.state), weights.notes


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"state_dict_ema": EMA, "state_dict": RAW}, "state_dict_ema, the averaged ones (the file"),
        ({"state_dict_ema": EMA}, "weights taken from state_dict_ema, the averaged ones"),
        ({"model": RAW, "ema": {"module": EMA, "updates": 7}}, "from ema, the averaged ones"),
        ({"model": RAW, "model_ema": EMA}, "from model_ema, the averaged ones"),
        (
            {"model": RAW, "ema": {"shadow": EMA, "decay": 0.9}},
            "from ema, the averaged ones (the file also has model)",
        ),
        ({"ema_state_dict": EMA}, "from ema_state_dict, the averaged ones"),
        (
            {"ema_state_dict": prefixed(EMA, "module.") | {"steps": torch.tensor(3)}},
            "from ema_state_dict, the averaged ones",
        ),
        ({"model": RAW, "ema": {"n_averaged": torch.tensor(2), **prefixed(EMA, "module.")}}, "ema"),
        # mmengine's EMAHook swaps the two when it saves: `state_dict` is the average
        (
            {
                "state_dict": EMA,
                "ema_state_dict": prefixed(RAW, "module.") | {"steps": torch.tensor(3)},
            },
            "from state_dict, where mmengine's EMA hook keeps the averaged ones (the file also has ema",
        ),
    ],
)
def test_averaged_weights_come_first_and_are_named(content: Any, said: str, tmp_path: Path) -> None:
    state, notes = read(content, tmp_path)
    assert set(state) == set(EMA)
    assert torch.equal(state["backbone.w"], torch.ones(2))
    assert said in notes[0]


@pytest.mark.parametrize(
    "content",
    [
        RAW,
        {"state_dict": RAW},
        {"state_dict": RAW, "ema": None},
        {"state_dict": RAW, "ema": {"decay": 0.99}},
        {"model": RAW, "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}}},
        {"model": {"state_dict": RAW}, "epoch": 3},
        {"module": RAW},
        {"state_dict": RAW, "hyper_parameters": {"lr": 0.1, "names": ["a"]}, "callbacks": {}},
    ],
)
def test_plain_containers_are_taken_in_silence(content: Any, tmp_path: Path) -> None:
    state, notes = read(content, tmp_path)
    assert set(state) == set(RAW)
    assert torch.equal(state["head.w"], torch.zeros(2))
    assert notes == ()


@pytest.mark.parametrize(
    ("prefix", "said"),
    [
        ("student.", "student."),
        ("architecture.", "architecture."),
        ("model.", "model."),
        ("net.", "net."),
        ("model.net.student.", "model.net.student."),
        ("lit_module.pose_model.", "lit_module.pose_model."),
        ("module.model.", "model."),  # DDP's own is no news
    ],
)
def test_one_common_prefix_is_taken_off(prefix: str, said: str, tmp_path: Path) -> None:
    state, notes = read({"state_dict": prefixed(RAW, prefix)}, tmp_path)
    assert set(state) == set(RAW)
    assert notes == (f"the prefix {said} was taken off all tensors",)


def test_training_state_under_a_prefix_is_left_out(tmp_path: Path) -> None:
    training = {
        "data_preprocessor.mean": torch.zeros(3),
        "loss.w": torch.zeros(1),
        "steps": torch.tensor(1.0),
    }
    state, _ = read({"state_dict": prefixed(RAW | training, "model.student.")}, tmp_path)
    assert set(state) == set(RAW)


def test_what_is_not_common_stays() -> None:
    assert unwrap(dict(RAW)) == (RAW, "")
    mixed = prefixed(RAW, "student.") | prefixed(RAW, "teacher.")
    assert unwrap(mixed) == (mixed, "")
    lone = {"backbone.a": torch.zeros(1), "backbone.b": torch.zeros(1)}
    assert unwrap(lone) == (lone, "")
    assert unwrap({"w": torch.zeros(1)})[1] == ""
    assert unwrap({})[1] == ""


def test_lightnings_own_dict_of_settings_is_passed_over(tmp_path: Path) -> None:
    """The file names Lightning's AttributeDict, which is not imported."""
    name = "lightning.fabric.utilities.data"
    settings = type("AttributeDict", (dict,), {"__module__": name})
    parts = ["lightning", "lightning.fabric", "lightning.fabric.utilities", name]
    with pytest.MonkeyPatch.context() as patch:
        for part in parts:
            patch.setitem(sys.modules, part, types.ModuleType(part))
        sys.modules[name].AttributeDict = settings
        path = tmp_path / "lit.ckpt"
        torch.save(
            {"state_dict": prefixed(RAW, "net."), "hyper_parameters": settings(lr=0.1)}, path
        )
    assert set(read_weights(path).state) == set(RAW)


def test_a_whole_network_loads_through_wrappers(tmp_path: Path) -> None:
    variant = Variant("rtmpose", "160x1x1x1x1", (64, 64), schema="coco17")
    state = load_family("rtmpose").build(variant).state_dict()
    path = tmp_path / "model.pth"
    torch.save({"state_dict_ema": prefixed(dict(state), "model.student.")}, path)
    loaded = load_checkpoint(path)
    assert loaded.size == "160x1x1x1x1"
    assert torch.equal(loaded.module.state_dict()["head.mlp.0.g"], state["head.mlp.0.g"])
    torch.save(prefixed(dict(state), "student.") | prefixed(dict(state), "teacher."), path)
    count = len(state)
    with pytest.raises(CheckpointError, match=rf"begin with student\. \({count}\), teacher\."):
        load_checkpoint(path)


def test_a_file_without_weights_names_its_keys(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="it has 'epoch', 'optimizer'") as raised:
        find_state(tmp_path / "a.pth", {"epoch": 3, "optimizer": {}})
    assert "state_dict_ema" in str(raised.value)
    assert "\n" not in str(raised.value)
