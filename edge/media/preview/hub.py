"""All sources of a preview, and the wait for their next frame, which joins the pipeline's thread and the server's."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from edge.media.preview.channel import Channel
from edge.media.preview.results import PoseResult
from edge.media.source import Losses

MOST_CHANNELS = 64
"""Sources that are kept; beyond, the one that has been silent for longest makes room."""
FIRST_FRAME_S = 60.0
"""Time until the first frame, loading the models included, before the preview counts as unhealthy."""


class Hub:
    """Sources of a preview by name, in the order of their first frames.

    models: names to show; stale_s: age of the newest frame from which a source counts as stalled.
    """

    def __init__(self, models: Sequence[str], stale_s: float) -> None:
        self.models = tuple(models)
        self.stale_s = stale_s
        self.streams = 0
        self.ended = False
        self.last_page_s = 0.0
        self._began_s = time.monotonic()
        self._channels: dict[str, Channel] = {}
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: set[asyncio.Future[None]] = set()
        self._waking = False

    # in the pipeline's thread

    def write(self, name: str, result: PoseResult, losses: Losses | None) -> None:
        """Make this the newest result of its source."""
        channel = self._channels.get(name) or self._new_channel(name)
        channel.write(result, losses)
        self.wake()

    def end(self, name: str | None = None) -> None:
        """Mark a source as ended, or all of them and the preview."""
        for channel in self.channels():
            if name is None or channel.name == name:
                channel.end()
        self.ended = self.ended or name is None
        self.wake()

    def wake(self) -> None:
        """Let streams look for a new frame; cheap where there is none."""
        if not self._waking and self._waiting:
            self._waking = True
            self.call(self._release)

    def call(self, function: Callable[[], None]) -> None:
        """Call a function in the server's thread, if it still runs."""
        loop = self._loop
        try:
            if loop is not None:
                loop.call_soon_threadsafe(function)
        except RuntimeError:  # the server has ended
            self._loop = None

    def _new_channel(self, name: str) -> Channel:
        with self._lock:
            if len(self._channels) >= MOST_CHANNELS:
                silent = max(self._channels.values(), key=lambda each: each.age_s() or 0.0)
                del self._channels[silent.name]
            return self._channels.setdefault(name, Channel(name))

    # in the server's thread

    def attach(self) -> None:
        """Take the running event loop as the server's."""
        self._loop = asyncio.get_running_loop()

    def _release(self) -> None:
        self._waking = False
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()

    async def wait(self, channel: Channel | None, after: int, timeout_s: float) -> bool:
        """Wait for a frame of the source newer than number `after`; False at its end, or after `timeout_s`.

        channel: None waits for any source to appear.
        """
        until_s = time.monotonic() + timeout_s
        while not self.ended:
            if channel is None and self._channels:
                return True
            if channel and (channel.number > after or channel.ended):
                return channel.number > after
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                return False
            await self._wait_for_any(channel.number if channel else 0, channel, left_s)
        return channel is not None and channel.number > after

    async def _wait_for_any(self, number: int, channel: Channel | None, timeout_s: float) -> None:
        """Wait for a frame of any source, unless one came after `number` of this source was read."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        if (
            channel is None or channel.number == number
        ):  # read after the future could be seen by `wake`
            await asyncio.wait([future], timeout=min(timeout_s, 0.5))
        self._waiting.discard(future)

    # in any thread

    def channels(self) -> list[Channel]:
        """Return all sources."""
        with self._lock:
            return list(self._channels.values())

    def channel(self, name: str | None) -> Channel | None:
        """Return a source by name, or the first for None; None where there is none."""
        channels = self.channels()
        if name is None:
            return channels[0] if channels else None
        return next((each for each in channels if each.name == name), None)

    def health(self) -> tuple[bool, dict[str, Any]]:
        """Return whether frames arrive from every source that has not ended, and why not."""
        active = [each for each in self.channels() if not each.ended]
        ages = {each.name: each.age_s() or 0.0 for each in active}
        stale = {name: round(age, 1) for name, age in ages.items() if age > self.stale_s}
        if self.ended or (self._channels and not active):
            return False, {"status": "ended"}
        if not active:
            fine = time.monotonic() - self._began_s < FIRST_FRAME_S
            return fine, {"status": "starting" if fine else "no frame yet"}
        if stale:
            return False, {"status": "stale", "age_s": stale}
        return True, {"status": "ok"}
