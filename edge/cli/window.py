"""The window of --show."""

import os
import sys

from edge.cli.opencv import require_windows
from edge.types import Frame
from runtimes.errors import InputError

WINDOW = "edgepose"
# Qt aborts the whole process where it finds no display, so it is not asked.
DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")


def require_display() -> None:
    """Raise MissingDependencyError for an OpenCV without windows, InputError where no display is set."""
    require_windows()
    if sys.platform == "linux" and not any(os.environ.get(name) for name in DISPLAYS):
        raise InputError("no display for --show; leave it out and use --out FILE.mp4")


def show_frame(frame: Frame) -> bool:
    """Show one frame; False when the user pressed q or escape."""
    import cv2

    try:
        cv2.imshow(WINDOW, frame.image)
        return cv2.waitKey(1) & 0xFF not in (ord("q"), 27)
    except cv2.error as error:
        raise InputError(
            "cannot open a window here; leave --show out and use --out FILE.mp4"
        ) from error
