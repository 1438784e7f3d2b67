"""Frame sources: images, folders, videos, cameras, streams, drawn people, all opened by `open_source`.

    with open_source("clip.mp4") as source:
        for frame in source: ...

A source without any frame raises when it is opened, not later.
"""

import glob
import os
import re
from pathlib import Path

import cv2

from edge.image import quiet_opencv
from edge.media.animation import animation_format, open_animation, open_pages
from edge.media.image_files import image_files, image_frames, images_like, is_image
from edge.media.live import STREAM_TIMEOUT_MS, captured_live
from edge.media.source import Source
from edge.media.video import DEFAULT_FPS, captured_file, frame_count, open_video
from edge.types import Frame
from runtimes.errors import SourceError

STREAM_SCHEMES = ("rtsp://", "rtsps://", "rtmp://", "http://", "https://", "udp://", "tcp://")

_SYNTH_FRAMES = 300
_CAMERA = re.compile(r"(?:/dev/video)?(\d+)")


def open_source(source: str | int | Path, *, fps: float = DEFAULT_FPS) -> Source:
    """Open an image, directory, glob, video file, camera (0, "/dev/video0"), stream URL, or "synth".

    Animations and the pages of one TIFF are frames; of files in a directory the first image is read.

    fps: frame rate of images and drawn people; videos, cameras and streams have their own.
    Raises SourceError for a source that is missing, empty or not decodable.
    """
    text = str(source)
    if text == "synth":
        return _open_synth(fps)
    camera = _camera_number(text)
    if camera is not None:
        return _open_camera(camera)
    if text.startswith(STREAM_SCHEMES):
        return _open_stream(text)
    path = Path(text)
    if path.is_dir():
        return image_frames(image_files(path), fps)
    if path.is_file():
        return _open_file(path, fps)
    if glob.has_magic(text):
        return image_frames(images_like(text), fps)
    raise SourceError(
        f"no such file or directory: {text}; a source is an image, directory, glob, video, "
        "camera number, rtsp:// or http:// stream, or synth"
    )


def _camera_number(text: str) -> int | None:
    """Return N of "N", /dev/videoN or a link to it such as /dev/v4l/by-id/...; None for what is no camera."""
    device = os.path.realpath(text) if text.startswith("/dev/") else text
    found = _CAMERA.fullmatch(device)
    return int(found.group(1)) if found and text.isascii() else None


def _open_file(path: Path, fps: float) -> Source:
    if not is_image(path):
        return open_video(path)
    match animation_format(path):
        case "webp" | "avif":
            return open_animation(path)
        case "gif" | "png":  # FFmpeg plays them frame by frame, in constant memory
            return open_video(path)
        case "tiff":
            return open_pages(path, fps)
    return image_frames([path], fps)


def _open_camera(number: int) -> Source:
    with quiet_opencv():
        capture = cv2.VideoCapture(number)
    return captured_live(
        capture,
        f"camera{number}",
        f"camera {number} gives no frames; list what is there with: ls /dev/video*, "
        "and close other programs that use it",
    )


def _open_stream(url: str) -> Source:
    limits = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, cv2.CAP_PROP_READ_TIMEOUT_MSEC)
    parameters = [value for limit in limits for value in (limit, STREAM_TIMEOUT_MS)]
    with quiet_opencv():
        capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, parameters)
    if frame_count(capture):  # a video file behind http:// has an end and is not live
        return captured_file(capture, url, None)
    problem = f"{url} gives no frames; check the address, the login in it and the network"
    return captured_live(capture, "stream", problem)


def _open_synth(fps: float) -> Source:
    from edge.synth import draw_clip  # noqa: PLC0415 drawing people is not needed to read a camera

    clip = draw_clip(0, frames=_SYNTH_FRAMES, fps=fps)
    frames = (
        Frame(scene.image, index, index / fps, f"synth_{index:06d}")
        for index, scene in enumerate(clip)
    )
    return Source(fps, _SYNTH_FRAMES, live=False, _frames=frames, _close=frames.close)
