"""One frame, or the end of a source, on its way from queue to queue."""

from collections.abc import Callable
from dataclasses import dataclass

from edge.pipeline.job import Job
from edge.pipeline.result import Queues

NO_LANE = -1  # of an error that is no source's and no frame's


@dataclass(slots=True)
class Item:
    """A frame's job, or None at the end of its source; lane: the number of the source.

    error: raised by a stage on this frame, or by the source at its end. It takes the frame's place in the queues, so
    that the consumer gets the results before it first.
    """

    lane: int
    job: Job | None = None
    error: BaseException | None = None
    queues: Queues | None = None

    def attempt(self, work: Callable[[], None]) -> None:
        """Do the work; what it raises is kept for the consumer, in whose thread it is raised."""
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again by the consumer
            self.error = error
