"""ViTPose++ (arXiv:2212.04246) reduced to the plain ViTPose of one of its tasks.

A mixture of experts shares the first rows of each block's last linear layer among the tasks and gives each task an
expert for the rest: stacked, they are one layer again. Knows no module.
"""

import re
from collections.abc import Mapping

import torch

from export.models.vitpose_layouts import State, mmpose_names
from runtimes.errors import CheckpointError

# The order of the experts, and of the heads: `keypoint_head` is the first's.
TASKS = ("coco", "aic", "mpii", "ap10k", "apt36k", "wholebody")
EXPERT = re.compile(r"(backbone\.layers\.\d+\.ffn\.)experts\.(\d+)\.(weight|bias)")
HEAD = re.compile(r"associate_keypoint_heads\.(\d+)\.")


def plain_network(state: Mapping[str, torch.Tensor], task: str | None) -> State | None:
    """Return one plain network under mmpose 1.x's names, or None where the tensors are not ViTPose's.

    task: one of TASKS, for a ViTPose++; None for the one a file was split for, or COCO.
    Raises CheckpointError for a task that the file does not hold, and for experts that do not fit together.
    """
    named = mmpose_names(state)
    if named is None or not any(map(EXPERT.fullmatch, named)):
        return named
    network = {
        key: value for key, value in named.items() if not (EXPERT.fullmatch(key) or HEAD.match(key))
    }
    if _is_split(named):
        _check_split(named, task)
        return network
    chosen = _index_of(named, task)
    if chosen:
        head = f"associate_keypoint_heads.{chosen - 1}."
        others = {key: value for key, value in network.items() if not key.startswith("head.")}
        own = {f"head.{k.removeprefix(head)}": v for k, v in named.items() if k.startswith(head)}
        network = others | own
    return network | _merged(named, chosen)


def split_task(state: Mapping[str, torch.Tensor]) -> str | None:
    """Return the task that a ViTPose++ file was split for: its layers end in that expert; None where there is none.

    The authors' model_split.py leaves all experts in the files it writes.
    """
    named = mmpose_names(state)
    if named is None or not any(map(EXPERT.fullmatch, named)) or not _is_split(named):
        return None
    return _split_task(named)


def _experts(state: State) -> dict[tuple[str, str], dict[int, torch.Tensor]]:
    """Return the experts by (block, weight or bias), then by task."""
    experts: dict[tuple[str, str], dict[int, torch.Tensor]] = {}
    for key, value in state.items():
        if found := EXPERT.fullmatch(key):
            experts.setdefault((found[1], found[3]), {})[int(found[2])] = value
    return experts


def _is_split(state: State) -> bool:
    """Return whether the last linear layers are merged already; raises CheckpointError where only some are."""
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


def _index_of(state: State, task: str | None) -> int:
    """Return the index of the task among experts and heads; raises CheckpointError where it is absent."""
    heads = {0} | {int(found[1]) + 1 for found in map(HEAD.match, state) if found}
    tasks = [set(of_block) for of_block in _experts(state).values()]
    held = [name for index, name in enumerate(TASKS) if all(index in h for h in (heads, *tasks))]
    if (wanted := task or TASKS[0]) not in held:
        raise CheckpointError(
            f"holds vitpose++ for {', '.join(held) or 'no known task'}, not for {wanted}; choose with --task"
        )
    return TASKS.index(wanted)


def _merged(state: State, task: int) -> State:
    """Return each block's last layer merged: the rows that all tasks share, then the task's own."""
    layers = {
        f"{prefix}layers.1.{kind}": tasks[task] for (prefix, kind), tasks in _experts(state).items()
    }
    return {key: torch.cat([state[key], own]) for key, own in layers.items() if key in state}
