"""Annotated frames as a video file."""

from pathlib import Path
from typing import Literal

import cv2

from edge.media.sinks import Sink
from edge.types import U8, Frame, Poses
from runtimes.errors import InputError

Pace = Literal["frames", "time"]

_FOURCC = {".mp4": "mp4v", ".avi": "MJPG"}


class VideoSink(Sink):
    """Frames of one size as video: .mp4 (MPEG-4) or .avi (motion JPEG); without any frame there is no file.

    fps: of the file. pace: "frames" shows each frame for 1 / fps; "time" keeps the time of live frames, whose
    distances vary: a frame is repeated until the next one's `time_s`, and left out where another has its place.
    `repeated` and `left_out` count these.
    """

    def __init__(
        self, path: str | Path, fps: float, *, pace: Pace = "frames", overwrite: bool = False
    ) -> None:
        suffix = Path(path).suffix.lower()
        if suffix not in _FOURCC:
            raise InputError(
                f"cannot write video as {suffix or 'no suffix'}; use {', '.join(_FOURCC)}"
            )
        super().__init__(path, overwrite=overwrite)
        self.repeated = 0
        self.left_out = 0
        self._fps = fps
        self._pace = pace
        self._fourcc = cv2.VideoWriter.fourcc(*_FOURCC[suffix])
        self._wh: tuple[int, int] | None = None
        self._writer: cv2.VideoWriter | None = None
        self._began_s = 0.0
        self._written = 0
        self._last: U8 | None = None

    def write(self, frame: Frame, poses: Poses) -> None:
        """Add the frame's image."""
        height, width = frame.image.shape[:2]
        if self._writer is None:
            self._wh = (width, height)
            self._began_s = frame.time_s
            self._writer = cv2.VideoWriter(str(self._part), self._fourcc, self._fps, self._wh)
            if not self._writer.isOpened():
                raise InputError(f"OpenCV cannot write {width}x{height} video to {self.path}")
        if (width, height) != self._wh:
            raise InputError(
                f"frame {frame.index} is {width}x{height}, the video {self._wh}; "
                "write frames of different sizes to a folder"
            )
        if self._pace == "time":
            self._keep_time(self._writer, frame)
        else:
            self._writer.write(frame.image)

    def _keep_time(self, writer: cv2.VideoWriter, frame: Frame) -> None:
        """Write the frame at the place of its time, after repeats of the last one up to there."""
        place = round((frame.time_s - self._began_s) * self._fps)
        if self._last is not None and place < self._written:
            self.left_out += 1
        else:
            for _ in range(self._written, place):
                writer.write(self._last)
                self.repeated += 1
            writer.write(frame.image)
            self._written = place + 1
        self._last = frame.image

    def _finish(self) -> None:
        self._abandon()

    def _abandon(self) -> None:
        if self._writer is not None:
            self._writer.release()
