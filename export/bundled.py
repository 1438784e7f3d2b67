"""Weights that come with edgepose. They learned from drawn people only: enough for the demo and for tests, no more."""

from dataclasses import dataclass
from pathlib import Path

from runtimes.errors import InputError
from runtimes.spec import Task

ASSETS = Path(__file__).parent / "assets"


@dataclass(frozen=True, slots=True)
class Shipped:
    """One file of weights: what it does, its licence, and what to expect of it; see also the card inside it."""

    task: Task
    file: str
    licence: str
    is_for: str
    is_not_for: str

    @property
    def path(self) -> Path:
        """Where it lies; `load_checkpoint` takes it."""
        return ASSETS / self.file


# name: the first of a task is what the demo takes
SHIPPED = {
    "rtmdet-nano-drawn": Shipped(
        "detect",
        "rtmdet-nano-drawn.safetensors",
        "Apache-2.0",
        is_for="finding the people that `edge.synth` draws: demos, tests, trying the tools without a download",
        is_not_for="photographs or cameras: it has never seen a real person",
    ),
    "rtmpose-t-drawn": Shipped(
        "pose-topdown",
        "rtmpose-t-drawn.safetensors",
        "Apache-2.0",
        is_for="poses of the people that `edge.synth` draws, and a beginning for students of your own (`--init`)",
        is_not_for="photographs or cameras: it has never seen a real person",
    ),
}


def shipped(name: str) -> Shipped:
    """Return the entry of that name; raises InputError for one that does not ship."""
    if name not in SHIPPED:
        raise InputError(f"{name!r} does not ship with edgepose; these do: {', '.join(SHIPPED)}")
    return SHIPPED[name]


def shipped_for(task: Task) -> Shipped | None:
    """Return the first entry that does a task; None where none ships yet."""
    return next((each for each in SHIPPED.values() if each.task == task), None)
