"""The layouts ViTPose is published in, brought to mmpose 1.x's names; ViTPose++ brought to one plain network.

The authors' layout (mmpose 0.x) and that of Hugging Face's transformers name the same tensors otherwise, keep q, k and
v apart (transformers) and give the positions a class token's, which is added to all of them. ViTPose++
(arXiv:2212.04246) shares the first rows of each block's last linear layer among its tasks and gives each task an expert
for the rest: stacked, they are one layer again. Knows no module.
"""

import re
from collections.abc import Mapping

import torch

from runtimes.errors import CheckpointError

State = dict[str, torch.Tensor]
Renames = tuple[tuple[str, str], ...]

# The order of the experts, and of the heads: `keypoint_head` is the first's.
TASKS = ("coco", "aic", "mpii", "ap10k", "apt36k", "wholebody")

MMPOSE_MARK = "backbone.patch_embed.projection.weight"
AUTHORS_MARK = "backbone.patch_embed.proj.weight"
TRANSFORMERS_MARK = "backbone.embeddings.patch_embeddings.projection.weight"

AUTHORS: Renames = (
    (r"backbone\.patch_embed\.proj\.", "backbone.patch_embed.projection."),
    (r"backbone\.last_norm\.", "backbone.ln1."),
    (r"backbone\.blocks\.(\d+)\.norm(\d)\.", r"backbone.layers.\1.ln\2."),
    (r"backbone\.blocks\.(\d+)\.mlp\.fc1\.", r"backbone.layers.\1.ffn.layers.0.0."),
    (r"backbone\.blocks\.(\d+)\.mlp\.fc2\.", r"backbone.layers.\1.ffn.layers.1."),
    (r"backbone\.blocks\.(\d+)\.mlp\.experts\.", r"backbone.layers.\1.ffn.experts."),
    (r"backbone\.blocks\.(\d+)\.attn\.", r"backbone.layers.\1.attn."),
    (r"keypoint_head\.", "head."),
)
TRANSFORMERS: Renames = (
    (r"backbone\.embeddings\.position_embeddings", "backbone.pos_embed"),
    (r"backbone\.embeddings\.patch_embeddings\.", "backbone.patch_embed."),
    (r"backbone\.layernorm\.", "backbone.ln1."),
    (r"backbone\.encoder\.layer\.(\d+)\.layernorm_before\.", r"backbone.layers.\1.ln1."),
    (r"backbone\.encoder\.layer\.(\d+)\.layernorm_after\.", r"backbone.layers.\1.ln2."),
    (r"backbone\.encoder\.layer\.(\d+)\.mlp\.fc1\.", r"backbone.layers.\1.ffn.layers.0.0."),
    (r"backbone\.encoder\.layer\.(\d+)\.mlp\.fc2\.", r"backbone.layers.\1.ffn.layers.1."),
    (r"backbone\.encoder\.layer\.(\d+)\.mlp\.experts\.", r"backbone.layers.\1.ffn.experts."),
    (r"backbone\.encoder\.layer\.(\d+)\.attention\.attention\.", r"backbone.layers.\1.attn."),
    (
        r"backbone\.encoder\.layer\.(\d+)\.attention\.output\.dense\.",
        r"backbone.layers.\1.attn.proj.",
    ),
    (r"head\.deconv1\.", "head.deconv_layers.0."),
    (r"head\.batchnorm1\.", "head.deconv_layers.1."),
    (r"head\.deconv2\.", "head.deconv_layers.3."),
    (r"head\.batchnorm2\.", "head.deconv_layers.4."),
    (r"head\.conv\.", "head.final_layer."),
)
EXPERT = re.compile(r"(backbone\.layers\.\d+\.ffn\.)experts\.(\d+)\.(weight|bias)")
HEAD = re.compile(r"associate_keypoint_heads\.(\d+)\.")


def to_mmpose(state: Mapping[str, torch.Tensor], task: str | None) -> State | None:
    """Return one plain network under mmpose 1.x's names, or None where the tensors are in no layout of ViTPose.

    task: the one of TASKS to take out of a ViTPose++; None for the one a file was split for, or COCO.
    Raises CheckpointError for a task that the file does not hold, and for experts that fit together in no way.
    """
    named = _named(state)
    if named is None or not any(map(EXPERT.fullmatch, named)):
        return named
    network = {
        key: value for key, value in named.items() if not (EXPERT.fullmatch(key) or HEAD.match(key))
    }
    if _is_split(named):
        _check_split(named, task)
        return network
    chosen = _held(named, task)
    if chosen:
        head = f"associate_keypoint_heads.{chosen - 1}."
        others = {key: value for key, value in network.items() if not key.startswith("head.")}
        own = {f"head.{k.removeprefix(head)}": v for k, v in named.items() if k.startswith(head)}
        network = others | own
    return network | _merged(named, chosen)


def split_task(state: Mapping[str, torch.Tensor]) -> str | None:
    """Return the task a ViTPose++ file was split for, told by the expert its layers end in; None where nothing tells.

    The authors' model_split.py leaves all experts in the files it writes.
    """
    named = _named(state)
    if named is None or not any(map(EXPERT.fullmatch, named)) or not _is_split(named):
        return None
    return _split_task(named)


def _named(state: Mapping[str, torch.Tensor]) -> State | None:
    """Return the tensors under mmpose's names, positions and q, k, v put together; experts and heads still apart."""
    if MMPOSE_MARK in state:
        return dict(state)
    if AUTHORS_MARK in state:
        named = _renamed(state, AUTHORS)
    elif TRANSFORMERS_MARK in state:
        named = _with_qkv(_renamed(state, TRANSFORMERS))
    else:
        return None
    named.pop("backbone.cls_token", None)  # stays from pretraining; the network has no use for it
    positions = named.get("backbone.pos_embed")
    if positions is not None and positions.ndim == 3:
        named["backbone.pos_embed"] = positions[:, 1:] + positions[:, :1]
    return named


def _renamed(state: Mapping[str, torch.Tensor], renames: Renames) -> State:
    return {_rename(key, renames): value for key, value in state.items()}


def _rename(key: str, renames: Renames) -> str:
    for pattern, replacement in renames:
        renamed, found = re.subn(f"^{pattern}", replacement, key)
        if found:
            return renamed
    return key


def _with_qkv(state: State) -> State:
    """Stack query, key and value wherever all three are there."""
    parts = ("query", "key", "value")
    for query in [key for key in state if ".attn.query." in key]:
        names = [query.replace(".query.", f".{part}.") for part in parts]
        if all(name in state for name in names):
            stacked = torch.cat([state.pop(name) for name in names])
            state[query.replace(".query.", ".qkv.")] = stacked
    return state


def _experts(state: State) -> dict[tuple[str, str], dict[int, torch.Tensor]]:
    """Return the experts by (block, weight or bias) and task."""
    experts: dict[tuple[str, str], dict[int, torch.Tensor]] = {}
    for key, value in state.items():
        if found := EXPERT.fullmatch(key):
            experts.setdefault((found[1], found[3]), {})[int(found[2])] = value
    return experts


def _is_split(state: State) -> bool:
    """Tell whether the last linear layers are whole already; raises CheckpointError where some are and some are not."""
    whole = set()
    for prefix, _ in _experts(state):
        shared, first = (state.get(f"{prefix}layers.{name}.weight") for name in ("1", "0.0"))
        if shared is None or first is None or first.ndim != 2:
            raise CheckpointError(f"looks like vitpose++, but lacks {prefix}layers; copy it again")
        whole.add(shared.shape[0] == first.shape[1])
    if len(whole) != 1:
        raise CheckpointError(
            "looks like vitpose++, but some blocks have their experts merged and others have not; "
            "give the file as it was published"
        )
    return whole.pop()


def _check_split(state: State, task: str | None) -> None:
    found = _split_task(state)
    if task is not None and found is not None and task != found:
        raise CheckpointError(
            f"is a vitpose++ split for {found}, and holds no other task; leave --task {task} out, "
            "or give the unsplit file"
        )


def _split_task(state: State) -> str | None:
    for index, task in enumerate(TASKS):
        ends = [
            (state[f"{prefix}layers.1.{kind}"], tasks.get(index))
            for (prefix, kind), tasks in _experts(state).items()
        ]
        if all(end is not None and torch.equal(whole[-len(end) :], end) for whole, end in ends):
            return task
    return None


def _held(state: State, task: str | None) -> int:
    """Return the place of the task among experts and heads; raises CheckpointError where it is not there."""
    heads = {0} | {int(found[1]) + 1 for found in map(HEAD.match, state) if found}
    tasks = [set(of_block) for of_block in _experts(state).values()]
    held = [name for index, name in enumerate(TASKS) if all(index in h for h in (heads, *tasks))]
    if (wanted := task or TASKS[0]) not in held:
        raise CheckpointError(
            f"holds vitpose++ for {', '.join(held) or 'no known task'}, not for {wanted}; choose with --task"
        )
    return TASKS.index(wanted)


def _merged(state: State, task: int) -> State:
    """Return each block's last layer whole: the rows all tasks share, then the task's own."""
    layers = {
        f"{prefix}layers.1.{kind}": tasks[task] for (prefix, kind), tasks in _experts(state).items()
    }
    return {key: torch.cat([state[key], own]) for key, own in layers.items() if key in state}
