"""Cameras and network streams: a thread reads frames as they arrive, and a slow consumer gets the newest."""

import itertools
import threading
import time
from collections.abc import Iterator

import cv2

from edge.media.source import Losses, Source
from edge.media.video import frame_rate
from edge.types import Frame
from runtimes.errors import SourceError

STREAM_TIMEOUT_MS = 10_000
# Failed reads in a row, or seconds of them, after which a stream has ended; a damaged frame is one failed read.
_FAILED_READS = 30
_FAILED_S = STREAM_TIMEOUT_MS / 1000
# Cameras and streams report too low rates, or none; recordings repeat frames rather than lose them.
_LEAST_FPS = 30.0


def captured_live(capture: cv2.VideoCapture, name: str, problem: str) -> Source:
    """Return an opened camera or stream as a source; raises SourceError with `problem` where it gives no frame.

    name: begins the names of its frames. Frames carry their number in the stream, and the time since the first one
    at which they arrived.
    """
    reader = LiveReader(capture, name)
    frames = reader.frames()
    first = next(frames, None)
    if first is None:
        reader.close()
        raise SourceError(problem)
    fps = max(frame_rate(capture), _LEAST_FPS)
    return Source(
        fps,
        None,
        live=True,
        _frames=itertools.chain((first,), frames),
        _close=reader.close,
        losses=reader.losses,
    )


class LiveReader:
    """A thread that reads a capture until it ends or is closed, and keeps the newest frame.

    The thread owns the capture and releases it.
    """

    def __init__(self, capture: cv2.VideoCapture, name: str) -> None:
        self.losses = Losses()
        self._capture = capture
        self._name = name
        self._changed = threading.Condition()
        self._newest: Frame | None = None
        self._ended = False
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._read_all, name="edgepose-live", daemon=True)
        self._thread.start()

    def frames(self) -> Iterator[Frame]:
        """Yield the newest frame each time; raises SourceError where the stream ends after its first frame."""
        given = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._newest is not None or self._ended)
                frame, self._newest = self._newest, None
            if frame is None:
                break
            given += 1
            yield frame
        if given and not self._closed.is_set():
            raise SourceError(
                f"no more frames after {given + self.losses.dropped}: the stream ended, or its connection broke off"
            )

    def close(self) -> None:
        """End the thread; it releases the camera or stream once its read returns."""
        self._closed.set()
        self._thread.join(timeout=2 * _FAILED_S)

    def _read_all(self) -> None:
        try:
            self._read_frames()
        finally:
            self._capture.release()
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _read_frames(self) -> None:
        began, arrived, failed = 0.0, time.monotonic(), 0
        for index in itertools.count():
            if self._closed.is_set():
                return
            read, image = self._capture.read()
            now = time.monotonic()
            if not read:
                failed += 1
                if failed >= _FAILED_READS or now - arrived > _FAILED_S:
                    return
                continue
            self.losses.unread += failed
            failed, arrived, began = 0, now, began or now
            self._put(Frame(image, index, now - began, f"{self._name}_{index:06d}"))

    def _put(self, frame: Frame) -> None:
        with self._changed:
            self.losses.dropped += self._newest is not None
            self._newest = frame
            self._changed.notify_all()
