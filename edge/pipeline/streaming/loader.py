"""The first stage: a thread that reads the frames of one source into its lane."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from edge.media.frames import frames_of
from edge.media.source import Source
from edge.media.sources import open_source
from edge.pipeline.job import Job
from edge.pipeline.streaming.feed import Feed
from edge.pipeline.streaming.item import Item
from edge.pipeline.streaming.lanes import Lanes
from edge.types import Frame
from runtimes.errors import warn

# A source that a thread waits for ends within this time once it is closed; others cannot be interrupted.
_END_S = 5.0


class Loader:
    """Reads one source in a thread of its own; a path, a camera number or a URL is opened and closed there."""

    def __init__(self, lane: int, feed: Feed, queue: Lanes[Item], live_limit: int) -> None:
        self._lane = lane
        self._live_limit = live_limit
        self._feed = feed
        self._queue = queue
        self._source: Source | None = None
        self._thread = threading.Thread(target=self._run, name="edgepose-load", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, after the queue was stopped; a live source is closed, as its next frame may never come."""
        source = self._source
        if source is not None and source.live and self._thread.is_alive():
            source.close()
        self._thread.join(_END_S)
        if self._thread.is_alive():
            warn(
                f"source {self._feed.source} gives no frame and cannot be interrupted; "
                "its thread ends with its next frame"
            )

    def _run(self) -> None:
        last = Item(self._lane)
        last.attempt(self._load)
        self._queue.end(self._lane, last)

    def _load(self) -> None:
        feed, lane = self._feed, self._lane
        with ExitStack() as stack:
            frames = feed.frames
            if isinstance(frames, (str, Path, int)):
                frames = stack.enter_context(open_source(frames))
            if isinstance(frames, Source):
                self._source = frames
            live = isinstance(frames, Source) and frames.live
            newest = live if feed.drop is None else feed.drop == "oldest"
            if newest:
                self._queue.set_lane(lane, limit=self._live_limit, capacity=1, replaces=True)
            iterator = frames_of(frames)
            if isinstance(frames, Iterator):
                iterator = map(_own, iterator)
            self._pass_on(iterator)

    def _pass_on(self, frames: Iterator[Frame]) -> None:
        """Put frames into the lane until they end or the queue is stopped."""
        feed, lane, dropped = self._feed, self._lane, 0
        while True:
            start = time.perf_counter()
            frame = next(frames, None)
            if frame is None:
                return
            load_ms = (time.perf_counter() - start) * 1e3
            job = Job(frame, feed.scene, feed.source, load_ms)
            if not self._queue.put(lane, Item(lane, job)):
                return
            if self._source is not None:
                now = self._queue.dropped(lane)
                self._source.losses.add_dropped(now - dropped)
                dropped = now


def _own(frame: Frame) -> Frame:
    """Return the frame with its pixels copied: an iterator may write its next frame into the same array."""
    return replace(frame, image=frame.image.copy())
