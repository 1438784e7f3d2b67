"""Progress reports of a training run."""

from collections.abc import Callable
from typing import Protocol

from quantize.distill.loop.train import StepResult


class ProgressListener(Protocol):
    """A receiver of progress: a progress bar or a log."""

    def phase(self, name: str, total: int) -> None:
        """Start a phase of `total` steps; 0 where the number is unknown."""

    def advance(self, done: int, text: str) -> None:
        """Report that `done` steps of the phase are done."""

    def say(self, text: str) -> None:
        """Print a line that stays."""


def step_reporter(listener: ProgressListener, phase: str) -> Callable[[StepResult, int], None]:
    """Return a callback for `train` that reports each step of `total`; the phase starts with the first one."""
    started = False

    def report(step: StepResult, total: int) -> None:
        nonlocal started
        if not started:
            listener.phase(phase, total)
            started = True
        listener.advance(step.number, f"loss {step.loss:.3g}, {step.images_per_s:.0f} images/s")

    return report
