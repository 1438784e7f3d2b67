"""Division of the stages among threads: as many side by side as the frames and the cores allow."""

from collections.abc import Sequence
from dataclasses import dataclass

from edge.pipeline.job import StageName
from edge.pipeline.streaming.feed import Feed

STAGES: tuple[StageName, ...] = ("detect", "transform", "pose", "post")
_APART = tuple((stage,) for stage in STAGES)
# The two engines, each with what can be done by the thread that calls it.
_AHEAD = (STAGES[:1], STAGES[1:])
# With fewer cores a thread for each stage costs more in switches than it wins by overlap.
CORES_FOR_FOUR = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """Groups of stages that one thread carries a frame through, in order, each group behind a queue.

    waits: the first stage that needs the frame before of its source done, None where no frame does. live_limit: how
    many frames may be under way of a source whose newest frames count.
    """

    groups: tuple[tuple[StageName, ...], ...]
    waits: StageName | None
    live_limit: int


def plan_for(feeds: Sequence[Feed], cores: int) -> Plan:
    """Return how these sources are run on this many cores.

    Where a frame of the only source needs the one before, handing it from thread to thread wins nothing: one thread
    carries it. Several sources overlap: a thread for each stage keeps the slowest one busy. Of a live source as few
    frames are under way as do so: each that waits grows old.
    """
    scene = feeds[0].scene
    if scene.independent:
        return Plan(_APART if cores >= CORES_FOR_FOUR else _AHEAD, None, 3)
    if scene.scheduled:
        return Plan(_AHEAD if len(feeds) == 1 else _APART, "transform", 2)
    return Plan((STAGES,) if len(feeds) == 1 else _APART, "detect", 1)
