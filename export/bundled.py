"""Weights bundled with a checkout, in `weights/`: enough for the demo, for tests and to initialise students (`--init`).

They were trained on the people that `edge.synth` draws and have never seen a real one: not for photographs or cameras.
No wheel has them.
"""

from dataclasses import dataclass
from pathlib import Path

from runtimes.errors import InputError, MissingFilesError
from runtimes.spec import Task

WEIGHTS = Path(__file__).parents[1] / "weights"


@dataclass(frozen=True, slots=True)
class BundledWeights:
    """One bundled checkpoint: its task, file name and licence; the card inside the file says more."""

    task: Task
    file: str
    licence: str

    @property
    def path(self) -> Path:
        """Path of the file in a checkout, for `load_checkpoint`."""
        return WEIGHTS / self.file


# by name; the demo takes the first of a task
BUNDLED = {
    "rtmdet-nano-drawn": BundledWeights("detect", "rtmdet-nano-drawn.safetensors", "Apache-2.0"),
    "rtmpose-t-drawn": BundledWeights("pose-topdown", "rtmpose-t-drawn.safetensors", "Apache-2.0"),
}


def bundled_for(task: Task) -> BundledWeights | None:
    """Return the first entry for a task; None where there is none."""
    return next((each for each in BUNDLED.values() if each.task == task), None)


def require_bundled(folder: Path | None) -> Path:
    """Return `folder`, or the checkout's `weights/` for None, once it is known to hold every bundled file.

    Raises InputError for a folder that lacks one, MissingFilesError where there is no checkout.
    """
    absent = [
        each.file for each in BUNDLED.values() if not ((folder or WEIGHTS) / each.file).is_file()
    ]
    if not absent:
        return folder or WEIGHTS
    if folder is None:
        raise MissingFilesError(
            "an installed edgepose has no weights for the demo; add --weights DIR: the folder weights/ of a checkout"
        )
    raise InputError(f"{folder}: has no {absent[0]}; name the folder weights/ of a checkout")
