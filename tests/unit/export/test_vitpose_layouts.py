"""Layouts of ViTPose: the tasks of a ViTPose++, transformers' config.json, and refusals by name."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from export.checkpoint import load_checkpoint
from export.load import load_weights
from export.models.vitpose import build
from export.models.vitpose_experts import TASKS, plain_network, split_task
from export.random_weights import random_variant
from export.registry import Variant
from runtimes.errors import CheckpointError, InputError

State = dict[str, torch.Tensor]
COUNTS = {"coco": 17, "aic": 14, "mpii": 16, "ap10k": 17, "apt36k": 17, "wholebody": 133}
PART = 96
CONFIG = {
    "model_type": "vitpose",
    "backbone_config": {
        "hidden_size": 384,
        "num_hidden_layers": 3,
        "num_attention_heads": 12,
        "image_size": [256, 192],
        "layer_norm_eps": 1e-12,
    },
}


def network(size: str = "384x3x12", schema: str = "coco17") -> State:
    torch.manual_seed(7)
    return dict(build(Variant("vitpose", size, (192, 256), schema=schema)).state_dict())


def as_authors(state: State) -> State:
    """Return the tensors as the authors name them, a class token's position in front."""
    names = {
        "backbone.patch_embed.projection": "backbone.patch_embed.proj",
        "backbone.layers.": "backbone.blocks.",
        "backbone.ln1.": "backbone.last_norm.",
        ".ffn.layers.0.0.": ".mlp.fc1.",
        ".ffn.layers.1.": ".mlp.fc2.",
        ".ln1.": ".norm1.",
        ".ln2.": ".norm2.",
        "head.": "keypoint_head.",
    }
    named = {}
    for key, value in state.items():
        written = key
        for ours, theirs in names.items():
            written = written.replace(ours, theirs)
        named[written] = value
    token = torch.full((1, 1, state["backbone.pos_embed"].shape[2]), 0.5)
    named["backbone.pos_embed"] = torch.cat([token, named["backbone.pos_embed"] - token], dim=1)
    return named


def as_transformers(state: State) -> State:
    """Return the tensors as transformers names them."""
    written = {}
    for key, value in as_authors(state).items():
        name = key.replace("backbone.blocks.", "backbone.encoder.layer.")
        name = name.replace(
            "backbone.patch_embed.proj", "backbone.embeddings.patch_embeddings.projection"
        )
        name = name.replace("backbone.pos_embed", "backbone.embeddings.position_embeddings")
        name = name.replace("last_norm", "layernorm").replace("norm1.", "layernorm_before.")
        name = name.replace("norm2.", "layernorm_after.")
        name = name.replace(".attn.proj.", ".attention.output.dense.")
        for old, new in (
            ("deconv_layers.0", "deconv1"),
            ("deconv_layers.1", "batchnorm1"),
            ("deconv_layers.3", "deconv2"),
            ("deconv_layers.4", "batchnorm2"),
            ("final_layer", "conv"),
        ):
            name = name.replace(f"keypoint_head.{old}", f"head.{new}")
        if ".attn.qkv." in name:
            for part, rows in zip(("query", "key", "value"), value.chunk(3), strict=True):
                written[name.replace(".attn.qkv.", f".attention.attention.{part}.")] = rows
        else:
            written[name] = value
    return written


def as_mixture(state: State) -> State:
    """Return a ViTPose++ in the authors' layout: random experts, and a head a task."""
    generator = torch.Generator().manual_seed(11)
    mixture = {}
    for key, value in as_authors(state).items():
        if ".mlp.fc2." not in key:
            mixture[key] = value
            continue
        mixture[key] = value[:-PART]
        for index in range(len(TASKS)):
            expert = torch.randn(PART, *value.shape[1:], generator=generator)
            mixture[key.replace("fc2", f"experts.{index}")] = expert
    heads = {
        k.removeprefix("keypoint_head."): v for k, v in mixture.items() if "keypoint_head" in k
    }
    for index, task in enumerate(TASKS[1:]):
        for key, value in heads.items():
            resized = torch.randn(COUNTS[task], *value.shape[1:], generator=generator)
            own = resized if key.startswith("final_layer") else value
            mixture[f"associate_keypoint_heads.{index}.{key}"] = own
    return mixture


def saved(state: State, directory: Path, name: str = "model.pth") -> Path:
    path = directory / name
    torch.save({"state_dict": state}, path)
    return path


def refused(path: Path, **choice: str) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path, **choice)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("written", [as_authors, as_transformers])
@pytest.mark.parametrize("size", ["384x3x12", "384x3x12-simple", "384x3x12-minimal"])
def test_every_layout_is_the_same_network(written: Any, size: str) -> None:
    state = network(size)
    found = plain_network(written(state), None)

    assert found is not None
    assert set(found) == set(state)
    for key, value in state.items():
        torch.testing.assert_close(found[key], value)
    assert plain_network({"model.0.weight": torch.zeros(1)}, None) is None


@pytest.mark.parametrize("layout", [dict, as_authors, as_transformers])
@pytest.mark.parametrize("size", ["384x2x12-simple", "64x5x1", "192x3x3-minimal"])
def test_vitpose_of_any_depth_and_width_loads(layout: Any, size: str, tmp_path: Path) -> None:
    made = random_variant(Variant("vitpose", size, (48, 64), schema="mpii16"))
    loaded = load_checkpoint(saved(layout(made.module.state_dict()), tmp_path))
    assert loaded.variant == made.variant
    assert loaded.spec.model == f"vitpose-{size}-mpii16-64x48"
    image = torch.randn(2, 3, 64, 48)
    with torch.no_grad():
        (got,), (wanted,) = loaded.module(image), made.module(image)
    torch.testing.assert_close(got, wanted)


def test_a_config_says_the_heads_of_an_unpublished_width(tmp_path: Path) -> None:
    state = as_transformers(network("128x2x4"))
    path = saved(state, tmp_path)
    backbone = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 8}
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | {"backbone_config": backbone}))
    assert load_checkpoint(path).size == "128x2x8"
    with pytest.raises(CheckpointError, match="num_attention_heads 8 instead of 4"):
        load_checkpoint(path, heads=4)


def test_a_class_token_left_from_pretraining_is_dropped() -> None:
    found = plain_network(
        as_authors(network()) | {"backbone.cls_token": torch.zeros(1, 1, 384)}, None
    )
    assert found is not None
    assert "backbone.cls_token" not in found


@pytest.mark.parametrize("task", TASKS)
def test_a_task_brings_its_expert_and_its_head(task: str) -> None:
    mixture, index = as_mixture(network()), TASKS.index(task)
    found = plain_network(mixture, task)

    assert found is not None
    assert set(found) == set(network())
    layer = found["backbone.layers.2.ffn.layers.1.weight"]
    assert torch.equal(layer[:-PART], mixture["backbone.blocks.2.mlp.fc2.weight"])
    assert torch.equal(layer[-PART:], mixture[f"backbone.blocks.2.mlp.experts.{index}.weight"])
    head = f"associate_keypoint_heads.{index - 1}" if index else "keypoint_head"
    assert torch.equal(found["head.final_layer.weight"], mixture[f"{head}.final_layer.weight"])


def test_transformers_mixtures_have_one_head_which_is_cocos(tmp_path: Path) -> None:
    plain = network()
    mixture = {}
    for key, value in as_transformers(plain).items():
        mixture[key] = value[:-PART] if ".mlp.fc2." in key else value
        if ".mlp.fc2." in key:
            for index in range(len(TASKS)):
                mixture[key.replace("fc2", f"experts.{index}")] = value[-PART:] + index
    path = saved(mixture, tmp_path)
    state = load_checkpoint(path).module.state_dict()
    for key, value in plain.items():
        torch.testing.assert_close(state[key], value)
    assert "holds vitpose++ for coco, not for aic" in refused(path, task="aic")


def test_what_a_mixture_does_not_hold_is_refused_by_name(tmp_path: Path) -> None:
    mixture = as_mixture(network())
    path = saved(mixture, tmp_path)
    assert (
        "holds vitpose++ for coco, aic, mpii, ap10k, apt36k, wholebody, not for crowdpose"
        in refused(path, task="crowdpose")
    )
    without = {k: v for k, v in mixture.items() if "experts.5" not in k}
    assert "holds vitpose++ for coco, aic, mpii, ap10k, apt36k, not for wholebody" in refused(
        saved(without, tmp_path), task="wholebody"
    )
    headless = {k: v for k, v in mixture.items() if "associate_keypoint_heads.0" not in k}
    assert "not for aic" in refused(saved(headless, tmp_path), task="aic")
    assert "has 17 keypoints, task mpii has 16" in refused(saved(network(), tmp_path), task="mpii")


def test_mixed_and_pruned_checkpoints_say_what_differs(tmp_path: Path) -> None:
    mixture = as_mixture(network())
    whole = plain_network(mixture, "coco")
    assert whole is not None
    half = mixture | {
        f"backbone.blocks.1.mlp.fc2.{kind}": whole[f"backbone.layers.1.ffn.layers.1.{kind}"]
        for kind in ("weight", "bias")
    }
    assert "some blocks have their experts merged" in refused(saved(half, tmp_path))
    broken = {k: v for k, v in mixture.items() if k != "backbone.blocks.0.mlp.fc1.weight"}
    assert "lacks backbone.layers.0.ffn.layers" in refused(saved(broken, tmp_path))
    headless = {k: v for k, v in as_authors(network()).items() if "final_layer" not in k}
    message = refused(saved(headless, tmp_path))
    assert "nearest is vitpose-s" in message
    assert "head.final_layer.weight" in message or "tensors are missing" in message
    narrow = network()
    narrow["backbone.layers.1.ffn.layers.0.0.weight"] = torch.zeros(700, 384)
    assert "looks like vitpose-384x3x12, but" in refused(saved(narrow, tmp_path))


@pytest.mark.parametrize("task", TASKS)
def test_a_split_file_says_itself_whose_it_is(tmp_path: Path, task: str) -> None:
    mixture, index = as_mixture(network()), TASKS.index(task)
    parts = {k: v for k, v in mixture.items() if not k.startswith(("keypoint_head", "associate"))}
    for key in [key for key in mixture if ".mlp.fc2." in key]:
        parts[key] = torch.cat([mixture[key], mixture[key.replace("fc2", f"experts.{index}")]])
    head = f"associate_keypoint_heads.{index - 1}." if index else "keypoint_head."
    parts |= {f"keypoint_head.{k.removeprefix(head)}": v for k, v in mixture.items() if head in k}

    assert split_task(parts) == task
    assert split_task(mixture) is None
    assert split_task(network()) is None
    path = saved(parts, tmp_path)
    assert load_checkpoint(path, task=task).spec == load_checkpoint(path).spec
    other = TASKS[(index + 1) % len(TASKS)]
    assert f"is a vitpose++ split for {task}, and holds no other task" in refused(path, task=other)


def test_a_catalogue_name_chooses_the_task(tmp_path: Path) -> None:
    path = saved(as_mixture(network("s")), tmp_path)
    wholebody = load_weights("vitpose++-s-wholebody", str(path))
    assert wholebody.spec.model == "vitpose++-s-wholebody"
    assert wholebody.spec.keypoints is not None
    assert wholebody.spec.keypoints.name == "coco133"
    assert load_weights(str(path), None, task="apt36k").spec.model == "vitpose++-s-apt36k"
    assert load_weights(str(path), None, wh=(288, 384)).spec.outputs[0].shape == (-1, 17, 96, 72)
    with pytest.raises(CheckpointError, match="not vitpose\\+\\+-s-aic"):
        load_weights("vitpose++-s-aic", str(path), task="mpii")
    with pytest.raises(InputError, match="leave it out with --weights random"):
        load_weights("vitpose-s", "random", task="coco")


def test_the_config_beside_a_file_must_describe_it(tmp_path: Path) -> None:
    path = saved(as_transformers(network()), tmp_path)
    beside = tmp_path / "config.json"
    assert load_checkpoint(path).spec.image.wh == (192, 256)

    def with_backbone(**changes: Any) -> None:
        backbone = CONFIG["backbone_config"] | changes
        beside.write_text(json.dumps(CONFIG | {"backbone_config": backbone}))

    with_backbone()
    assert load_checkpoint(path).spec.image.wh == (192, 256)
    with_backbone(image_size=[192, 256])
    wide = load_checkpoint(path)
    assert wide.spec.image.wh == (256, 192)
    assert wide.module.backbone.grid == (12, 16)
    with_backbone(num_attention_heads=6)
    assert "num_attention_heads 6 instead of 12" in refused(path)
    with_backbone(image_size=[256, 256])
    assert "image_size" in refused(path)
    beside.write_text("{")
    assert "config.json: cannot be read" in refused(path)
    beside.write_text('{"model_type": "bert"}')
    assert load_checkpoint(path).spec.image.wh == (192, 256)
    # beside the authors' layout a config belongs to other weights
    with_backbone(num_attention_heads=6)
    load_checkpoint(saved(as_authors(network()), tmp_path, "authors.pth"))
