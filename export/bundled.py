"""Weights bundled with edgepose: enough for the demo, for tests and to initialise students (`--init`).

They were trained on the people that `edge.synth` draws and have never seen a real one: not for photographs or cameras.
"""

from dataclasses import dataclass
from pathlib import Path

from runtimes.spec import Task

ASSETS = Path(__file__).parent / "assets"


@dataclass(frozen=True, slots=True)
class BundledWeights:
    """One bundled checkpoint: its task, file name and licence; the card inside the file says more."""

    task: Task
    file: str
    licence: str

    @property
    def path(self) -> Path:
        """Path of the file, for `load_checkpoint`."""
        return ASSETS / self.file


# by name; the demo takes the first of a task
BUNDLED = {
    "rtmdet-nano-drawn": BundledWeights("detect", "rtmdet-nano-drawn.safetensors", "Apache-2.0"),
    "rtmpose-t-drawn": BundledWeights("pose-topdown", "rtmpose-t-drawn.safetensors", "Apache-2.0"),
}


def bundled_for(task: Task) -> BundledWeights | None:
    """Return the first entry for a task; None where there is none."""
    return next((each for each in BUNDLED.values() if each.task == task), None)
