"""TensorBoard events of a training run: losses, learning rate and metrics on the validation set."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runtimes.errors import MissingDependencyError

FOLDER = "tensorboard"


class Events:
    """A writer of scalars; writes nothing if made without one."""

    def __init__(self, writer: Any = None) -> None:
        self._writer = writer

    def add(self, group: str, values: Mapping[str, float | None], step: int) -> None:
        """Write the values that are defined, under `group/name`."""
        if self._writer is not None:
            for name, value in values.items():
                if value is not None:
                    self._writer.add_scalar(f"{group}/{name}", value, step)

    def close(self) -> None:
        """Write what is buffered."""
        if self._writer is not None:
            self._writer.close()


def open_events(folder: Path, done: int) -> Events:
    """Return a writer into a run's folder, whose events after step `done` are superseded.

    Raises MissingDependencyError without the tensorboard package.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 optional
    except ImportError as error:
        raise MissingDependencyError("tensorboard", "train") from error

    return Events(SummaryWriter(str(folder / FOLDER), purge_step=done + 1))
