"""Threads that carry frames through the stages (AlphaPose, 5.1), bounded queues, results in the caller's thread."""

import atexit
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise

from edge.pipeline.job import Stage, StageName
from edge.pipeline.result import Queues
from edge.pipeline.streaming.feed import Feed
from edge.pipeline.streaming.item import NO_LANE, Item
from edge.pipeline.streaming.lanes import Lanes
from edge.pipeline.streaming.loader import Loader
from edge.pipeline.streaming.plan import plan_for
from runtimes.threads import allowed_cores

# Frames that wait before a stage: enough to even out the times of two stages, few enough for a board's memory.
CAPACITY = 2


class Engine:
    """The stages over one or more sources; a context manager that ends and joins its threads.

    Each source has its own lane before detection, so that one that waits keeps no other waiting; their frames take
    turns. Frames of a source stay in order, through every stage. stages: by name.
    """

    def __init__(self, stages: Mapping[StageName, Stage], feeds: Sequence[Feed]) -> None:
        plan = plan_for(feeds, allowed_cores())
        self._stages = stages
        names = [group[0] for group in plan.groups]
        self._queues: dict[str, Lanes[Item]] = {
            name: Lanes(len(feeds) if name in {names[0], plan.waits} else 1, CAPACITY)
            for name in names
        }
        # frames of one source that wait for the one before
        self._waiting = None if plan.waits is None else self._queues[plan.waits]
        if self._waiting is not None:
            for lane in range(len(feeds)):
                self._waiting.set_lane(lane, limit=1)
        self._queues["results"] = Lanes(1, CAPACITY)
        queues = [*self._queues.values()]
        self._intake, self._results = queues[0], queues[-1]
        self._loaders = [
            Loader(lane, feed, self._intake, plan.live_limit) for lane, feed in enumerate(feeds)
        ]
        self._threads = [
            threading.Thread(
                target=self._run, args=(group, *ends), name=f"edgepose-{group[0]}", daemon=True
            )
            for group, ends in zip(plan.groups, pairwise(queues), strict=True)
        ]

    def __enter__(self) -> "Engine":
        # threads are daemons, so that a stream left open does not keep the program from ending
        atexit.register(self._stop)
        for thread in self._threads:
            thread.start()
        for loader in self._loaders:
            loader.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop()

    def items(self) -> Iterator[Item]:
        """Yield frames done, with their job or error, and the end of each source; in each source's order."""
        while (item := self._results.get()) is not None:
            if item.lane != NO_LANE and self._intake.replaces(item.lane):
                self._intake.finish(item.lane)
            yield item

    def _stop(self) -> None:
        atexit.unregister(self._stop)
        for queue in self._queues.values():
            queue.stop()
        for loader in self._loaders:
            loader.stop()
        for thread in self._threads:
            thread.join()

    def _run(self, names: Sequence[StageName], source: Lanes[Item], sink: Lanes[Item]) -> None:
        failed = Item(NO_LANE)
        failed.attempt(partial(self._carry, names, source, sink))
        if failed.error is not None:
            self._results.end(0, failed)

    def _carry(self, names: Sequence[StageName], source: Lanes[Item], sink: Lanes[Item]) -> None:
        """Take every frame that comes through these stages, and hand it on."""
        while (item := source.get()) is not None:
            for name in names:
                if item.job is not None and item.error is None:
                    item.attempt(partial(item.job.run, name, self._stages[name]))
            if sink is self._results:
                item.queues = self._depths(item.lane)
            if not sink.put(item.lane if sink.count > 1 else 0, item):
                return
            if (
                sink is self._results
                and self._waiting is not None
                and not self._waiting.replaces(item.lane)
            ):
                self._waiting.finish(item.lane)
        for lane in range(sink.count):
            sink.end(lane)

    def _depths(self, lane: int) -> Queues:
        waiting = {name: len(queue) for name, queue in self._queues.items()}
        return Queues(**waiting, dropped=self._intake.dropped(lane))
