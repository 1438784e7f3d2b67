"""Encoded pictures of the newest frames: one encoding a frame however many viewers, and none without a viewer."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

import cv2

from edge.media.draw import draw_poses, put_banner
from edge.media.preview.channel import Channel
from edge.media.preview.results import PoseResult

_NICENESS = 10
"""Added to the priority of the preview's threads, so that the pipeline gets a busy core first (Linux)."""


@dataclass(frozen=True, slots=True)
class Look:
    """Drawing and encoding of pictures.

    threshold: of keypoints that are drawn; note: below every picture; max_width, max_height: larger frames are made
    smaller, and smaller ones never larger; quality: of JPEG; max_fps: pictures a second.
    """

    threshold: float = 0.3
    note: str = ""
    max_width: int = 1280
    max_height: int = 1280
    quality: int = 80
    max_fps: float = 25.0


def be_nice() -> None:
    """Lower the priority of the calling thread."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _NICENESS)


def encode(result: PoseResult, look: Look) -> bytes:
    """Return a JPEG of the frame with its people."""
    image = result.frame.image
    height, width = image.shape[:2]
    scale = min(look.max_width / width, look.max_height / height, 1.0)
    image = draw_poses(image, result.poses, look.threshold, states=result.states)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    if look.note:
        image = put_banner(image, look.note)
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, look.quality])
    return bytes(data.tobytes())


class Pictures:
    """Encoder of newest frames, in a thread of its own; used from the server's event loop. look: the present one."""

    def __init__(self, look: Callable[[], Look]) -> None:
        self._look = look
        self._encoder = ThreadPoolExecutor(1, "edgepose-preview-encoder", initializer=be_nice)
        self._running: dict[Channel, asyncio.Task[None]] = {}

    async def newest(self, channel: Channel) -> tuple[int, bytes]:
        """Return the number and the JPEG of the newest frame, (0, b"") where there is none; waits for its turn."""
        if channel.picture_number != channel.number:
            task = self._running.get(channel)
            if task is None:
                task = self._running[channel] = asyncio.create_task(self._encode(channel))
            await asyncio.shield(task)  # a viewer that leaves takes it from no other
        return channel.picture_number, channel.picture

    async def _encode(self, channel: Channel) -> None:
        loop = asyncio.get_running_loop()
        look = self._look()
        try:
            await asyncio.sleep(channel.picture_due_s - loop.time())
            channel.picture_due_s = loop.time() + 1 / look.max_fps
            number, result = channel.newest()
            if result is not None:
                picture = await loop.run_in_executor(self._encoder, encode, result, look)
                channel.picture, channel.picture_number = picture, number
        finally:
            self._running.pop(channel, None)

    def __enter__(self) -> "Pictures":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._encoder.shutdown(wait=True, cancel_futures=True)
