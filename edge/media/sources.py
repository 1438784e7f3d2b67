"""Frame sources: images, folders, videos, cameras, streams, drawn people, all opened by `open_source`.

    with open_source("clip.mp4") as source:
        for frame in source: ...

A source without any frame raises when it is opened, not later.
"""

import glob
from pathlib import Path

import cv2

from edge.image import quiet_opencv
from edge.media.animation import animation_format, open_animation, open_pages
from edge.media.image_files import (
    image_files,
    image_frames,
    images_like,
    images_numbered,
    is_image,
    is_numbered,
)
from edge.media.live.camera import Camera, open_camera, parse_camera
from edge.media.live.capture import OpenCvCapture
from edge.media.live.gstreamer import is_gstreamer, open_gstreamer
from edge.media.live.limits import LiveLimits
from edge.media.live.piped import open_stdin
from edge.media.live.reader import live_source
from edge.media.paths import exists, is_file, is_folder, require_utf8, without_login
from edge.media.source import Source
from edge.media.video import DEFAULT_FPS, captured_file, frame_count, open_video
from edge.types import Frame
from runtimes.errors import SourceError

STREAM_SCHEMES = ("rtsp://", "rtsps://", "rtmp://", "http://", "https://", "udp://", "tcp://")

_SYNTH_FRAMES = 300
_LIMITS = LiveLimits()


def open_source(
    source: str | int | Path, *, fps: float = DEFAULT_FPS, limits: LiveLimits = _LIMITS
) -> Source:
    """Open an image, directory, glob, numbered images (frame_%05d.png), video, camera, stream, or "synth".

    Animations and the pages of one TIFF are frames; of files in a directory the first image is read. A camera is its
    number, /dev/videoN or camera:N?size=1280x720&fps=30&fourcc=MJPG; a stream a URL, a GStreamer pipeline
    (gst:PIPELINE, or anything with " ! "), or frames on stdin ("-" for y4m, raw:WxH:FORMAT@FPS). See docs/sources.md.

    fps: frame rate of images and drawn people; videos, cameras and streams have their own. limits: patience with
    cameras and streams; one that is lost after its first frame is opened again.
    Raises SourceError for a source that is missing, empty or not decodable.
    """
    text = str(source)
    require_utf8(text)
    if not text:
        raise SourceError("the source's name is empty; . is this directory")
    named = _open_named(text, fps, limits)
    if named is not None:
        return named
    path = Path(text)
    if is_file(path):
        return _open_file(path, fps)
    if is_folder(path):
        return image_frames(image_files(path), fps)
    if is_numbered(text):
        paths, places = images_numbered(text)
        return image_frames(paths, fps, places)
    if glob.has_magic(text):
        return image_frames(images_like(text), fps)
    if exists(text):
        raise SourceError(
            f"{text} is neither a file nor a directory; of a pipe: raw:WxH:FORMAT < {text}"
        )
    raise SourceError(
        f"no such file or directory: {without_login(text)}; a source is an image, directory, glob, video, "
        "camera number, rtsp:// or http:// stream, GStreamer pipeline, - for stdin, or synth"
    )


def _open_named(text: str, fps: float, limits: LiveLimits) -> Source | None:
    """Open what is no path; None for others."""
    if text == "synth":
        return _open_synth(fps)
    if text == "-" or text.startswith("raw:"):
        return open_stdin(text)
    if is_gstreamer(text):
        return _open_gstreamer(text, limits)
    if text.startswith(STREAM_SCHEMES):
        return _open_stream(text, limits)
    camera = parse_camera(text)
    return None if camera is None else _open_camera(camera, limits)


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


def _open_camera(camera: Camera, limits: LiveLimits) -> Source:
    number = camera.number
    return live_source(
        lambda: open_camera(camera),
        f"camera{number}",
        f"camera {number} gives no frames; list what is there with: ls /dev/video*, "
        "and close other programs that use it",
        limits,
    )


def _open_gstreamer(pipeline: str, limits: LiveLimits) -> Source:
    return live_source(
        lambda: open_gstreamer(pipeline, limits.timeout_s),
        "gst",
        "the GStreamer pipeline gives no frames",
        limits,
    )


def _open_stream(url: str, limits: LiveLimits) -> Source:
    capture = _capture(url, limits)
    shown = without_login(url)
    if frame_count(capture):  # a video file behind http:// has an end and is not live
        return captured_file(capture, shown, None)
    # opened already: the first time it is taken as it is
    opened = [OpenCvCapture(capture)]
    return live_source(
        lambda: opened.pop() if opened else OpenCvCapture(_capture(url, limits)),
        "stream",
        f"{shown} gives no frames; check the address, the login in it and the network",
        limits,
    )


def _capture(url: str, limits: LiveLimits) -> cv2.VideoCapture:
    keys = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, cv2.CAP_PROP_READ_TIMEOUT_MSEC)
    parameters = [value for key in keys for value in (key, round(1000 * limits.timeout_s))]
    with quiet_opencv():
        return cv2.VideoCapture(url, cv2.CAP_FFMPEG, parameters)


def _open_synth(fps: float) -> Source:
    from edge.synth import draw_clip  # noqa: PLC0415 drawing people is not needed to read a camera

    clip = draw_clip(0, frames=_SYNTH_FRAMES, fps=fps)
    frames = (
        Frame(scene.image, index, index / fps, f"synth_{index:06d}")
        for index, scene in enumerate(clip)
    )
    return Source(fps, _SYNTH_FRAMES, live=False, _frames=frames, _close=frames.close)
