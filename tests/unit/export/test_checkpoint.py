"""Checkpoints: accepted layouts, facts read from them, and messages where they do not fit."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch

from export.checkpoint import load_checkpoint
from export.random_weights import random_model, random_variant
from export.registry import Variant
from runtimes.errors import CheckpointError

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def nano() -> State:
    return dict(random_model("rtmdet-nano").module.state_dict())


@pytest.fixture(scope="module")
def tiny_pose() -> State:
    return dict(random_model("rtmpose-t").module.state_dict())


def saved(content: Any, directory: Path, name: str = "model.pth") -> Path:
    path = directory / name
    torch.save(content, path)
    return path


def refused(path: Path, **choice: str) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path, **choice)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"model": state, "optimizer": {"lr": 1.0}},
        lambda state: {"ema": {"state_dict": state}, "epoch": 3},
        lambda state: {"state_dict": state, "step": torch.tensor(3)},
        lambda state: {"state_dict": {f"module.{key}": value for key, value in state.items()}},
        lambda state: {"state_dict": {f"module._orig_mod.{k}": v for k, v in state.items()}},
        lambda state: {"state_dict": {k: v.half() if v.ndim else v for k, v in state.items()}},
        lambda state: {"state_dict": {k: v for k, v in state.items() if "num_batches" not in k}},
        lambda state: {"state_dict": state | {"data_preprocessor.mean": torch.zeros(3, 1, 1)}},
        lambda state: {
            "ema_state_dict": {k: torch.zeros_like(v) for k, v in state.items()},
            "state_dict": state,
        },
    ],
    ids=[
        "bare",
        "model",
        "ema",
        "step",
        "module.",
        "compiled",
        "half",
        "old norms",
        "mmdet",
        "ema beside",
    ],
)
def test_layouts_in_the_wild_load(nano: State, tmp_path: Path, wrap: Any) -> None:
    loaded = load_checkpoint(saved(wrap(nano), tmp_path))
    state = loaded.module.state_dict()

    assert loaded.spec.model == "rtmdet-nano"
    assert not loaded.module.training
    assert not any(value.is_meta for value in state.values())
    for key, value in nano.items():
        if value.ndim:
            assert state[key].dtype == torch.float32
            torch.testing.assert_close(state[key], value, rtol=1e-3, atol=1e-3)


def test_safetensors_load_and_lineage_holds_the_hash(tiny_pose: State, tmp_path: Path) -> None:
    writer = pytest.importorskip("safetensors.torch")
    path = tmp_path / "student.safetensors"
    writer.save_file(tiny_pose, path, metadata={"dataset_name": "ap10k"})
    loaded = load_checkpoint(path)

    assert loaded.spec.keypoints is not None
    assert loaded.spec.keypoints.name == "ap10k17"
    assert loaded.lineage.weights == "checkpoint"
    assert loaded.lineage.checkpoint == "student.safetensors"
    assert loaded.lineage.checkpoint_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert loaded.lineage.commercial_use is None  # the publisher is unknown


def test_seventeen_keypoints_are_named_by_task_then_file_then_count(
    tiny_pose: State, tmp_path: Path
) -> None:
    def schema(path: Path, task: str | None = None) -> str:
        keypoints = load_checkpoint(path, task=task).spec.keypoints
        assert keypoints is not None
        return keypoints.name

    silent = saved(tiny_pose, tmp_path)
    animal = saved(
        {"meta": {"dataset_meta": {"dataset_name": "ap10k"}}, "state_dict": tiny_pose},
        tmp_path,
        "animal.pth",
    )
    assert schema(silent) == "coco17"
    assert schema(silent, "ap10k") == "ap10k17"
    assert schema(animal) == "ap10k17"
    assert schema(animal, "coco") == "coco17"
    assert "looks like rtmpose-t, but has 17 keypoints, task mpii has 16" in refused(
        silent, task="mpii"
    )
    assert "unknown task 'cocoo'" in refused(silent, task="cocoo")


def test_a_detector_has_no_task(nano: State, tmp_path: Path) -> None:
    assert "looks like rtmdet-nano, which gives no keypoints" in refused(
        saved(nano, tmp_path), task="coco"
    )


def test_classes_are_named_by_the_file(nano: State, tmp_path: Path) -> None:
    meta = {"dataset_meta": {"classes": ("hand",)}}
    spec = load_checkpoint(saved({"meta": meta, "state_dict": nano}, tmp_path)).spec
    assert spec.classes == ("hand",)
    assert "holds rtmdet-nano" in refused(
        saved({"meta": meta, "state_dict": nano}, tmp_path), name="rtmdet-nano"
    )


@pytest.mark.parametrize("count", [2, 7, 80, 81])
def test_any_number_of_classes(tmp_path: Path, count: int) -> None:
    classes = tuple(f"thing{index}" for index in range(count))
    variant = Variant("rtmdet", "160x1x1x1x1-neck1", (64, 64), classes=classes)
    state = dict(random_variant(variant).module.state_dict())
    meta = {"meta": {"dataset_meta": {"CLASSES": classes}}}
    told = load_checkpoint(saved(meta | {"state_dict": state}, tmp_path))
    assert (told.spec.classes, told.notes) == (classes, ())
    silent = load_checkpoint(saved({"state_dict": state}, tmp_path))
    first, notes = ("person", 0) if count == 80 else ("class0", 1)
    assert (silent.spec.classes[0], len(silent.notes)) == (first, notes)
    meta = {"meta": {"dataset_meta": {"classes": (*classes, "more")}}}
    other = load_checkpoint(saved(meta | {"state_dict": state}, tmp_path))
    assert f"has {count} classes, but the file names {count + 1}" in other.notes[0]


def test_a_name_must_fit_the_weights_or_be_new(nano: State, tmp_path: Path) -> None:
    path = saved(nano, tmp_path)
    assert load_checkpoint(path, name="rtmdet-nano").spec.model == "rtmdet-nano"
    assert load_checkpoint(path, name="my-detector").spec.model == "my-detector"
    assert "holds rtmdet-nano, not rtmdet-tiny" in refused(path, name="rtmdet-tiny")
    assert "holds rtmdet-nano, not rtmpose-t" in refused(path, name="rtmpose-t")
    assert "no PyTorch definition" in refused(path, name="movenet-lightning")
    assert "letters, digits" in refused(path, name="../escape")


def test_levels_get_their_own_memory(tmp_path: Path) -> None:
    """The official file holds a convolution that levels share as one storage under three names."""
    state = dict(random_model("rtmdet-tiny").module.state_dict())
    keys = [f"bbox_head.cls_convs.{level}.0.conv.weight" for level in range(3)]
    for key in keys:
        state[key] = state[keys[0]]
    towers = load_checkpoint(saved(state, tmp_path)).module.bbox_head.cls_convs
    assert len({tower[0].conv.weight.data_ptr() for tower in towers}) == 3
    assert torch.equal(towers[0][0].conv.weight, towers[2][0].conv.weight)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop("neck.out_convs.0.pointwise_conv.conv.weight"), "1 tensor is missing"),
        (lambda s: s.update(extra=torch.zeros(2)), "1 tensor is unexpected (first: extra)"),
        (
            lambda s: s.update({"bbox_head.rtm_reg.0.bias": torch.zeros(5)}),
            "1 tensor differs (first: bbox_head.rtm_reg.0.bias is (5,) instead of (4,))",
        ),
        (
            lambda s: s.update({"backbone.stem.2.conv.weight": torch.zeros(17, 8, 3, 3)}),
            "nearest is rtmdet-nano",
        ),
        (lambda s: s.pop("bbox_head.rtm_cls.0.weight"), "nearest is rtmdet-nano"),
        (lambda s: s.update({"bbox_head.rtm_cls.0.weight": torch.tensor(1.0)}), "nearest is rtm"),
        (lambda s: s.update({"bbox_head.rtm_reg.0.bias": torch.full((4,), torch.nan)}), "NaN"),
        (lambda s: s.update({"bbox_head.rtm_reg.0.bias": torch.zeros(4).int()}), "no plain float"),
        (lambda s: s.update({"bbox_head.rtm_reg.0.bias": torch.zeros(4).to_sparse()}), "no plain"),
        (
            lambda s: s.update({"bbox_head.rtm_reg.0.bias": torch.zeros(4).to(torch.float8_e5m2)}),
            "no plain float tensor (torch.float8_e5m2)",
        ),
        (lambda s: s.update({"bbox_head.rtm_reg.0.bias": torch.zeros(1).expand(4)}), "no plain"),
        (lambda s: s.update(note="text"), "'note' among the weights is no named tensor"),
        (lambda s: s.update({"a\nb": torch.zeros(1)}), r"'a\nb' among the weights"),
    ],
)
def test_weights_that_do_not_fit_say_how(
    nano: State, tmp_path: Path, change: Any, said: str
) -> None:
    state = dict(nano)
    change(state)
    assert said in refused(saved(state, tmp_path))


def test_keys_of_any_size_are_one_short_line(nano: State, tmp_path: Path) -> None:
    key: Any = "a"
    for _ in range(24):  # as text, 2^24 pairs of brackets
        key = (key, key)
    assert "tuple among the weights is no named tensor" in refused(saved(nano | {key: 1}, tmp_path))
    long = refused(saved(nano | {"k" * 100_000: 1}, tmp_path))
    assert len(long) < 500


def test_unknown_and_mixed_weights_are_refused(
    nano: State, tiny_pose: State, tmp_path: Path
) -> None:
    unknown = saved({"vit.layer": torch.zeros(3)}, tmp_path)
    assert "of no known family (rtmpose, rtmdet" in refused(unknown)
    mixed = saved(tiny_pose | nano, tmp_path, "mixed.pth")
    assert "tensors" in refused(mixed)
    neckless = {key: value for key, value in nano.items() if key.startswith("backbone")}
    assert "nearest is rtmdet-nano" in refused(saved(neckless, tmp_path, "backbone.pth"))
    keypoints = dict(tiny_pose)
    keypoints["head.final_layer.weight"] = keypoints["head.final_layer.weight"][:5]
    assert "final_layer.bias is (17,) instead of (5,)" in refused(
        saved(keypoints, tmp_path, "five.pth")
    )
    bins = dict(tiny_pose) | {"head.cls_x.weight": torch.zeros(30, 256)}
    assert "fit no input" in refused(saved(bins, tmp_path, "bins.pth"))


def test_files_that_hold_no_weights(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "absent.pth")
    assert "no such file" in refused(tmp_path)
    (tmp_path / "empty.pth").touch()
    assert "is empty" in refused(tmp_path / "empty.pth")
    for content in (
        {},
        [],
        3,
        {"state_dict": {}},
        {"state_dict": 5},
        torch.zeros(3),
        {"a": {"b": 1}},
    ):
        assert "holds no weights" in refused(saved(content, tmp_path))
    loop: dict[str, Any] = {}
    loop["state_dict"] = loop
    assert "holds no weights" in refused(saved(loop, tmp_path))
