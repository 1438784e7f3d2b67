"""Captures that a reader takes frames from: OpenCV's, opened again as they were the first time."""

from collections.abc import Callable
from typing import Protocol

import cv2
import numpy as np

from edge.image import quiet_opencv
from edge.media.video import frame_rate
from edge.types import U8


class Capture(Protocol):
    """An opened camera or stream; one thread reads and releases it."""

    @property
    def fps(self) -> float:
        """Frames a second, as the source says; 30 where it does not."""
        ...

    @property
    def over(self) -> bool:
        """Whether the source said that it has ended, which no reconnection changes."""
        ...

    def read(self) -> U8 | None:
        """Return the next frame, uint8 BGR (H, W, 3); None where it is damaged or does not arrive."""
        ...

    def release(self) -> None:
        """Close the source."""
        ...


Opener = Callable[[], Capture]


class OpenCvCapture:
    """A `cv2.VideoCapture`; it never says that it is over, since a lost connection reads as the end does."""

    over = False

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture

    @property
    def fps(self) -> float:
        """Frames a second by the device or container."""
        return frame_rate(self._capture)

    def read(self) -> U8 | None:
        """Return the next frame."""
        with quiet_opencv():
            read, image = self._capture.read()
        return np.asarray(image, np.uint8) if read else None

    def release(self) -> None:
        """Close the device or connection."""
        self._capture.release()
