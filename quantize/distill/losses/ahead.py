"""Targets computed ahead: by the threads that load a batch, not by the one that trains."""

from abc import ABC, abstractmethod
from typing import Generic, Protocol, TypeVar, runtime_checkable

from quantize.distill.data.batches import Batch

T = TypeVar("T")


@runtime_checkable
class Prepares(Protocol):
    """A loss that can compute its targets ahead."""

    def prepare(self, batch: Batch) -> None:
        """Compute the targets of a batch and keep them in it; called in any thread."""


class TargetLoss(ABC, Generic[T]):
    """A loss whose targets depend on the batch alone."""

    __slots__ = ()

    @abstractmethod
    def targets(self, batch: Batch) -> T:
        """Return the targets of a batch, on the CPU."""

    def prepare(self, batch: Batch) -> None:
        """Compute the targets of a batch and keep them in it; called in any thread."""
        batch.prepared[id(self)] = self.targets(batch)

    def take_targets(self, batch: Batch) -> T:
        """Return the targets that were kept, once, or compute them."""
        kept: T | None = batch.prepared.pop(id(self), None)
        return self.targets(batch) if kept is None else kept


def prepare(loss: object, batch: Batch) -> None:
    """Let a loss compute its targets ahead, if it can."""
    if isinstance(loss, Prepares):
        loss.prepare(batch)
