"""Frames of a GStreamer pipeline: by OpenCV where it was built with GStreamer, else by gst-launch-1.0 as a child."""

import os
import re
import shlex
import shutil
import subprocess
import time
from contextlib import suppress

import cv2
import numpy as np

from edge.image import quiet_opencv
from edge.media.live.capture import Capture, OpenCvCapture
from edge.media.live.messages import ChildMessages
from edge.media.paths import exists, without_login
from edge.types import U8
from runtimes.errors import InputError, MissingDependencyError, SourceError, warn

PREFIX = "gst:"
_LAUNCH = "gst-launch-1.0"
# With -v, GStreamer prints what the sink was promised: size and rate.
_CAPS = re.compile(
    rb"GstFdSink:edgepose\.GstPad:sink: caps = video/x-raw.*?width=\(int\)(\d+), height=\(int\)(\d+)"
    rb"(?:.*?framerate=\(fraction\)(\d+)/(\d+))?"
)
_END_S = 2.0
_DEFAULT_FPS = 30.0


def is_gstreamer(source: str) -> bool:
    """Return whether a source's name is a GStreamer pipeline; a file with " ! " in its name is none."""
    return source.startswith(PREFIX) or (" ! " in source and not exists(source))


def open_gstreamer(source: str, timeout_s: float) -> Capture:
    """Open a pipeline that ends with raw or decoded video, such as "videotestsrc is-live=true ! videoscale".

    Raises MissingDependencyError where neither OpenCV has GStreamer nor gst-launch-1.0 is installed, InputError for a
    pipeline that cannot be split into words, and SourceError, with what GStreamer says, where no frame comes.
    """
    pipeline = source.removeprefix(PREFIX).strip()
    if "GStreamer:                   YES" in cv2.getBuildInformation():
        end = "" if "appsink" in pipeline else " ! videoconvert ! video/x-raw,format=BGR ! appsink"
        with quiet_opencv():
            return OpenCvCapture(cv2.VideoCapture(pipeline + end, cv2.CAP_GSTREAMER))
    launch = shutil.which(_LAUNCH)
    if launch is None:
        raise MissingDependencyError(
            _LAUNCH,
            "",
            f"OpenCV has no GStreamer and {_LAUNCH} is not installed; run: apt install gstreamer1.0-tools "
            "gstreamer1.0-plugins-base gstreamer1.0-plugins-good",
        )
    try:
        words = shlex.split(pipeline)
    except ValueError as error:
        raise InputError(f"GStreamer pipeline {pipeline!r}: {error}") from error
    return GstLaunch(launch, words, timeout_s)


class GstLaunch:
    """A child process that writes BGR frames to a pipe, each row padded to 4 bytes as GStreamer lays them out."""

    def __init__(self, launch: str, words: list[str], timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._caps: list[tuple[tuple[int, int], float]] = []  # the first, and one of another size
        self._messages = ChildMessages(self._note_caps)
        self._pipe, writing = os.pipe()
        tail = ["!", "videoconvert", "!", "video/x-raw,format=BGR", "!", "fdsink", "name=edgepose"]
        try:
            self._child = subprocess.Popen(  # noqa: S603 a list of words, no shell
                [launch, "-v", *words, *tail, f"fd={writing}"],
                stdin=subprocess.DEVNULL,
                stdout=self._messages.writing,
                stderr=self._messages.writing,
                pass_fds=(writing,),
            )
        finally:
            os.close(writing)
            self._messages.close_writing()
        try:
            self._wh, self.fps = self._negotiated()
        except BaseException:  # Ctrl-C too
            self.release()
            raise

    @property
    def over(self) -> bool:
        """Whether the pipeline came to its end; one that failed may work again."""
        return self._child.poll() == 0

    def read(self) -> U8 | None:
        """Return the next frame; None at the end, where none comes in time, and once the size has changed."""
        width, height = self._wh
        row = -(-3 * width // 4) * 4
        data = None if self._changed else self._bytes(row * height)
        if data is None or self._changes_size():
            return None
        rows = np.frombuffer(data, np.uint8).reshape(height, row)
        image: U8 = rows[:, : 3 * width].reshape(height, width, 3).copy()
        return image

    def release(self) -> None:
        """End the child."""
        if self._messages.closed:
            return
        if self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(_END_S)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        os.close(self._pipe)
        self._messages.close()

    @property
    def _changed(self) -> bool:
        return len(self._caps) > 1

    def _note_caps(self, line: bytes) -> None:
        """Note size and rate where a line says them: the first, and the first of another size."""
        found = _CAPS.search(line)
        if not found or self._changed:
            return
        rate = int(found[3]) / int(found[4]) if found[3] and int(found[3]) else _DEFAULT_FPS
        wh = (int(found[1]), int(found[2]))
        if not self._caps or self._caps[0][0] != wh:
            self._caps.append((wh, rate))

    def _negotiated(self) -> tuple[tuple[int, int], float]:
        """Wait for the first bytes, and return size and rate; raises SourceError where none come."""
        ready = self._messages.wait_for(self._pipe, self._timeout_s)
        self._messages.hear()
        if not ready or not self._caps:
            self._wait_for_end(closed=ready)
            raise SourceError(f"the GStreamer pipeline gives no frames: {self._problem()}")
        return self._caps[0]

    def _changes_size(self) -> bool:
        """Return whether GStreamer negotiated another size since: where the new frames begin is not known then."""
        self._messages.hear()
        if self._changed:
            (old, _), (new, _) = self._caps
            warn(
                f"the GStreamer pipeline changed its frames from {old[0]}x{old[1]} to {new[0]}x{new[1]} "
                "and is started again; add: ! videoscale ! video/x-raw,width=W,height=H"
            )
        return self._changed

    def _bytes(self, count: int) -> bytes | None:
        """Read so many bytes; None at the end, and where they do not come in time."""
        data, until = bytearray(), time.monotonic() + self._timeout_s
        while len(data) < count:
            ready = self._messages.wait_for(self._pipe, until - time.monotonic())
            part = os.read(self._pipe, count - len(data)) if ready else b""
            if not part:
                self._wait_for_end(closed=ready)
                return None
            data += part
        return bytes(data)

    def _wait_for_end(self, *, closed: bool) -> None:
        """Give a child that closed its pipe the time to end, so that its exit status is known."""
        if closed:
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(_END_S)

    def _problem(self) -> str:
        """Return GStreamer's error."""
        self._messages.hear()
        lines = self._messages.text.splitlines()
        errors = [line for line in lines if "ERROR" in line or "erroneous" in line]
        return without_login((errors or [f"none came in {self._timeout_s:g} s"])[0].strip())
