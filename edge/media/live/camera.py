"""Cameras by number, with size, rate and pixel format asked for."""

import os
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl

import cv2

from edge.image import quiet_opencv
from edge.media.live.capture import OpenCvCapture
from runtimes.errors import InputError

_NUMBER = re.compile(r"(?:/dev/video)?(\d+)")
_SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")
_OPTIONS = "camera:N?size=1280x720&fps=30&fourcc=MJPG"


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera, and what is asked of it; None leaves it as it is. It may give something else: frames say what."""

    number: int
    wh: tuple[int, int] | None = None
    fps: float | None = None
    fourcc: str | None = None


def parse_camera(source: str) -> Camera | None:
    """Parse N, /dev/videoN, a link to it, or camera:N?size=WxH&fps=F&fourcc=XXXX; None for what is no camera.

    Raises InputError for unknown options.
    """
    prefixed = source.startswith("camera:")
    name, _, options = source.removeprefix("camera:").partition("?" if prefixed else "\0")
    device = os.path.realpath(name) if name.startswith("/dev/") else name
    found = _NUMBER.fullmatch(device)
    if not found or not name.isascii():
        if prefixed:
            raise InputError(f"{source}: a camera is {_OPTIONS}")
        return None
    return _with_options(Camera(int(found.group(1))), options, source)


def _with_options(camera: Camera, options: str, source: str) -> Camera:
    given = dict(parse_qsl(options, keep_blank_values=True))
    size = _SIZE.fullmatch(given.pop("size", "1x1"))
    fps, fourcc = given.pop("fps", None), given.pop("fourcc", None)
    right = size and (fourcc is None or re.fullmatch(r"[ -~]{4}", fourcc))
    if (
        given
        or not right
        or (fps is not None and not re.fullmatch(r"[1-9][0-9]{0,3}(\.\d+)?", fps))
    ):
        raise InputError(f"{source}: a camera is {_OPTIONS}")
    asked = "size=" in options
    return Camera(
        camera.number,
        (int(size[1]), int(size[2])) if size and asked else None,
        float(fps) if fps else None,
        fourcc,
    )


def open_camera(camera: Camera) -> OpenCvCapture:
    """Open a camera, with as few frames in its buffer as it allows: old ones are of no use."""
    with quiet_opencv():
        capture = cv2.VideoCapture(camera.number)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        if camera.fourcc:  # first: sizes depend on it
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*camera.fourcc))
        if camera.wh:
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, camera.wh[0])
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, camera.wh[1])
        if camera.fps:
            capture.set(cv2.CAP_PROP_FPS, camera.fps)
    return OpenCvCapture(capture)
