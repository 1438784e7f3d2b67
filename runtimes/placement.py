"""Placement of a network: how many of its nodes each backend of an engine executes, as the engine reports it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from runtimes.errors import EngineError, warn

MOST_TYPES = 6  # that a message names


@dataclass(frozen=True, slots=True)
class Placement:
    """Nodes of a loaded network by the backend that executes them.

    nodes: (backend, count) pairs under the engine's names; the first is the backend that was asked for, with 0 where it
    took none. What a node is depends on the engine: a layer of ncnn, an operation of a graph. left: operation types of
    the nodes of other backends, most first.
    """

    nodes: tuple[tuple[str, int], ...]
    left: tuple[tuple[str, int], ...] = ()

    @property
    def backend(self) -> str:
        """The backend that was asked for."""
        return self.nodes[0][0]

    @property
    def taken(self) -> int:
        """Nodes that it executes."""
        return self.nodes[0][1]

    @property
    def total(self) -> int:
        """Nodes of the network."""
        return sum(count for _, count in self.nodes)

    def __str__(self) -> str:
        return ", ".join(f"{backend} {count}" for backend, count in self.nodes)


def placed(backend: str, nodes: Iterable[tuple[str, str]]) -> Placement:
    """Return the placement of nodes, (backend, operation type) each, where `backend` was asked for."""
    listed = list(nodes)
    counts = Counter(where for where, _ in listed)
    others = [(where, count) for where, count in counts.most_common() if where != backend]
    left = Counter(kind for where, kind in listed if where != backend)
    return Placement(((backend, counts[backend]), *others), tuple(left.most_common()))


def require_taken(root: Path, placement: Placement, fix: str) -> None:
    """Raise EngineError where the backend asked for took no node of a network; warn where it left some to others."""
    left = _listed(placement.left)
    if placement.taken == 0:
        raise EngineError(
            f"{root}: {placement.backend} takes none of its {placement.total} nodes ({left}); {fix}"
        )
    rest = placement.total - placement.taken
    if rest:
        others = ", ".join(backend for backend, _ in placement.nodes[1:])
        warn(
            f"{root.name}: {placement.backend} takes {placement.taken} of {placement.total} nodes;"
            f" {rest} run on {others} ({left})"
        )


def _listed(types: tuple[tuple[str, int], ...]) -> str:
    words = [f"{kind} {count}" for kind, count in types[:MOST_TYPES]]
    return ", ".join([*words, *(["..."] if len(types) > MOST_TYPES else [])])
