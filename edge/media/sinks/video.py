"""Annotated frames as a video file."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from edge.geometry import letterbox_wh
from edge.image import quiet_opencv
from edge.media.sinks.sink import TargetSink
from edge.types import U8, Frame, Poses
from runtimes.errors import InputError, OutputError

Pace = Literal["frames", "file", "time"]
Fit = Literal["refuse", "letterbox"]

_FOURCC = {".mp4": "mp4v", ".avi": "MJPG"}
# Seconds without a frame, after which a recording does not repeat the last one any longer.
_LONGEST_STILL_S = 60.0
# Places by which a file's frames may be off their time: rounded timestamps are no reason to leave one out.
_SLACK = 1.5


class VideoSink(TargetSink):
    """Frames as video: .mp4 (MPEG-4) or .avi (motion JPEG); without any frame there is no file.

    fps: of the file. pace: "frames" shows each frame for 1 / fps; "time" keeps the time of live frames, whose
    distances vary: a frame is repeated until the next one's `time_s`, for a minute at most, and left out where another
    has its place. "file" keeps the time of a video file whose rate varies, in the same way, where it is off by
    more than 1.5 frames; frames that the file has lost take no time. `repeated` and `left_out` count these.
    fit, of frames of another size than the first: "refuse" raises InputError, "letterbox" scales them into its size,
    and `fitted` counts them.
    Raises OutputError where the disk is full: an .avi keeps the frames before, an .mp4 cannot be played. `missing`
    counts the frames that were taken and are not in the complete file.
    """

    def __init__(
        self,
        path: str | Path,
        fps: float,
        *,
        pace: Pace = "frames",
        fit: Fit = "refuse",
        overwrite: bool = False,
    ) -> None:
        suffix = Path(path).suffix.lower()
        if suffix not in _FOURCC:
            raise InputError(
                f"cannot write video as {suffix or 'no suffix'}; use {', '.join(_FOURCC)}"
            )
        super().__init__(path, overwrite=overwrite)
        self.repeated = 0
        self.left_out = 0
        self.fitted = 0
        self.missing = 0
        self._fps = fps
        self._pace = pace
        self._fit = fit
        self._fourcc = cv2.VideoWriter.fourcc(*_FOURCC[suffix])
        self._wh: tuple[int, int] | None = None
        self._writer: cv2.VideoWriter | None = None
        self._clock_s = 0.0
        self._written = 0
        self._last: Frame | None = None
        self._full = False

    def write(self, frame: Frame, poses: Poses, states: Sequence[str] = ()) -> None:
        """Add the frame's image."""
        height, width = frame.image.shape[:2]
        if self._writer is None:
            self._wh = (width, height)
            self._writer = cv2.VideoWriter(str(self._part), self._fourcc, self._fps, self._wh)
            if not self._writer.isOpened():
                raise InputError(f"OpenCV cannot write {width}x{height} video to {self.path}")
        if (width, height) != self._wh:
            frame = self._fitted(frame)
        self._keep_time(frame)
        self._last = frame

    def _fitted(self, frame: Frame) -> Frame:
        """Return a frame of another size in the video's; raises InputError where that is not wanted."""
        height, width = frame.image.shape[:2]
        if self._fit == "refuse" or self._wh is None:
            raise InputError(
                f"frame {frame.index} is {width}x{height}, the video {self._wh}; "
                "write frames of different sizes to a folder"
            )
        self.fitted += 1
        new_width, new_height = letterbox_wh((width, height), self._wh)
        x, y = (self._wh[0] - new_width) // 2, (self._wh[1] - new_height) // 2
        image = np.zeros((self._wh[1], self._wh[0], 3), np.uint8)
        image[y : y + new_height, x : x + new_width] = cv2.resize(
            frame.image, (new_width, new_height)
        )
        return replace(frame, image=image)

    def _keep_time(self, frame: Frame) -> None:
        """Put the frame at the place of its time, after repeats of the last one up to there."""
        if self._pace == "frames" or self._last is None:
            self._put(frame.image)
            return
        place = self._place_of(frame, self._last)
        if place < self._written:
            self.left_out += 1
            return
        for _ in range(self._written, place):
            self._put(self._last.image)
            self.repeated += 1
        self._put(frame.image)

    def _place_of(self, frame: Frame, last: Frame) -> int:
        """Advance the clock to the frame's time, and return its place among the frames of the file."""
        step_s = frame.time_s - last.time_s
        step_s = max(step_s, 0.0) if math.isfinite(step_s) else 1 / self._fps
        if self._pace == "file":
            step_s /= max(frame.index - last.index, 1)
        self._clock_s += min(step_s, _LONGEST_STILL_S)
        exact = self._clock_s * self._fps
        if self._pace == "file" and abs(exact - self._written) < _SLACK:
            return self._written
        return round(exact)

    def _put(self, image: U8) -> None:
        with quiet_opencv():
            fits = self._writer is not None and self._writer.write(image)
        if fits is False:  # OpenCV 4 returns None, and the file is checked at the end
            self._full = True
            raise self._disk_full()
        self._written += 1

    def _finish(self) -> None:
        self._abandon()
        if self._writer is None:
            return
        with quiet_opencv():
            capture = cv2.VideoCapture(str(self._part))
            held = int(capture.read()[0])
            whole = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) >= self._written
            while held and not whole and capture.grab():  # its index is missing too
                held += 1
            capture.release()
        if not held:
            raise self._disk_full()
        self.missing = 0 if whole else max(self._written - held, 0)

    def _put_in_place(self) -> None:
        super()._put_in_place()
        if self.missing and not self._full:
            raise self._disk_full()

    def _abandon(self) -> None:
        if self._writer is not None:
            with quiet_opencv():
                self._writer.release()

    def _disk_full(self) -> OutputError:
        return OutputError(
            f"cannot write {self.path} to its end: the disk is full, or a limit on file sizes is "
            "reached; free space, or name a target on another disk"
        )
