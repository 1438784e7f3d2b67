"""Cameras and network streams: a thread reads frames as they arrive, and a slow consumer gets the newest."""

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

from edge.media.live.capture import Capture, Opener
from edge.media.live.limits import LiveLimits
from edge.media.source import Losses, Source
from edge.types import U8, Frame
from runtimes.errors import EdgeposeError, SourceError, warn

# Failed reads in a row after which a stream is lost; a damaged frame is one failed read.
_FAILED_READS = 30
# Cameras and streams report too low rates, or none; recordings repeat frames rather than lose them.
_LEAST_FPS = 30.0


def live_source(open_: Opener, name: str, problem: str, limits: LiveLimits) -> Source:
    """Open a camera or stream as a source; raises SourceError with `problem` where it gives no frame.

    name: begins the names of its frames. Frames carry their number in the stream, and the time since the first one
    at which they arrived. Once it has given a frame, a source that is lost is opened again.
    """
    capture = open_()
    fps = max(capture.fps, _LEAST_FPS)
    reader = LiveReader(capture, open_, name, limits)
    frames = reader.frames()
    with ExitStack() as unless_it_comes:  # Ctrl-C too
        unless_it_comes.callback(reader.close)
        first = next(frames, None)
        if first is None:
            raise SourceError(problem)
        unless_it_comes.pop_all()
    return Source(
        fps,
        None,
        live=True,
        _frames=itertools.chain((first,), frames),
        _close=reader.close,
        losses=reader.losses,
        _interrupt=reader.interrupt,
    )


class LiveReader:
    """A thread that reads a capture until it ends or is closed, and keeps the newest frame.

    The thread owns the capture: it releases it, and opens it again where it is lost.
    """

    def __init__(self, capture: Capture, open_: Opener, name: str, limits: LiveLimits) -> None:
        self.losses = Losses()
        self._capture = capture
        self._open = open_
        self._name = name
        self._limits = limits
        self._changed = threading.Condition()
        self._newest: Frame | None = None
        self._ended = False
        self._over = False
        self._closed = threading.Event()
        self._began = 0.0
        self._index = 0
        self._arrived = 0
        self._thread = threading.Thread(target=self._read_all, name="edgepose-live", daemon=True)
        self._thread.start()

    def frames(self) -> Iterator[Frame]:
        """Yield the newest frame each time; raises SourceError where the stream is lost after its first frame."""
        given = False
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._newest is not None or self._ended or self._closed.is_set()
                )
                frame, self._newest = self._newest, None
            if frame is None or self._closed.is_set():
                break
            given = True
            yield frame
        if given and not self._closed.is_set() and not self._over:
            raise SourceError(
                f"no more frames after {self._arrived}: the stream ended, or its connection broke off"
            )

    def interrupt(self) -> None:
        """End the frames without waiting for the thread; a signal handler may call it."""
        self._closed.set()
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """End the thread; it releases the camera or stream once its read returns."""
        self.interrupt()
        self._thread.join(timeout=2 * self._limits.timeout_s)

    def _read_all(self) -> None:
        try:
            self._read_until_lost()
            while not self._closed.is_set() and not self._capture.over and self._reconnect():
                self._read_until_lost()
        finally:
            self._over = self._capture.over
            self._capture.release()
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _read_until_lost(self) -> None:
        arrived, failed = time.monotonic(), 0
        while not self._closed.is_set():
            image = self._capture.read()
            now = time.monotonic()
            if image is None:
                failed += 1
                self._index += 1
                late = now - arrived > self._limits.timeout_s
                if self._capture.over or late or failed >= _FAILED_READS:
                    self._index -= failed  # no damaged frames
                    return
                continue
            self.losses.unread += failed
            failed, arrived = 0, now
            self._put(image, now)

    def _reconnect(self) -> bool:
        """Open the source again and take its first frame, as often as needed; False where that is given up."""
        lost = time.monotonic()
        if not self._index or self._limits.give_up_s == 0:
            return False
        self._capture.release()
        warn(f"{self._name}: no more frames arrive; connecting again until they do")
        for wait_s in self._limits.retries_s(lambda: time.monotonic() - lost):
            if self._closed.wait(wait_s):
                return False
            image = self._first_again()
            if image is not None:
                self.losses.reconnects += 1
                self._put(image, time.monotonic())
                return True
        return False

    def _first_again(self) -> U8 | None:
        """Open the source and return its first frame, None where it gives none."""
        try:
            self._capture = self._open()
        except EdgeposeError:  # as at the start, when it is not there yet
            return None
        until = time.monotonic() + self._limits.timeout_s
        for _ in range(_FAILED_READS):  # the first may be damaged
            image = self._capture.read()
            if image is not None:
                return image
            if self._capture.over or self._closed.is_set() or time.monotonic() > until:
                break
        self._capture.release()
        return None

    def _put(self, image: U8, now: float) -> None:
        self._began = self._began or now
        frame = Frame(image, self._index, now - self._began, f"{self._name}_{self._index:06d}")
        self._index += 1
        with self._changed:
            self.losses.add_dropped(int(self._newest is not None))
            self._arrived += 1
            self._newest = frame
            self._changed.notify_all()
