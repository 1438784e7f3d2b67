"""The parts of pictures that show people, kept compressed in memory: a frame is decoded once, not once an epoch."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from edge.image import read_image
from edge.types import U8
from quantize.distill.data.instances import Person

# Far enough around a box for the farthest view that training takes of it.
REACH = 1.6
# What is cut out of a JPEG is compressed again; at this quality nothing of it is seen.
QUALITY = 98


@dataclass(frozen=True, slots=True)
class Patch:
    """A region of a picture, uint8 BGR (H, W, 3), and where its first pixel lies in it, (x, y)."""

    image: U8
    corner: tuple[int, int]


class Album:
    """People by number, and the patch around each; up to `max_bytes` of compressed patches stay in memory."""

    def __init__(self, people: Sequence[Person], padding: float, max_bytes: int = 2 << 30) -> None:
        self.people = tuple(people)
        self._reach = padding * REACH
        self._room = max_bytes
        self._kept: dict[int, tuple[bytes, tuple[int, int]]] = {}

    def __len__(self) -> int:
        return len(self.people)

    def patch(self, row: int) -> Patch:
        """Return the patch around a person; raises SourceError where the picture cannot be read.

        It is the same whether it was kept or not, so that a resumed training sees what the first one saw.
        """
        kept = self._kept.get(row) or self._compressed(row)
        data, corner = kept
        if row not in self._kept and len(data) <= self._room:
            self._room -= len(data)
            self._kept[row] = kept
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        return Patch(np.asarray(decoded, np.uint8), corner)

    def _compressed(self, row: int) -> tuple[bytes, tuple[int, int]]:
        patch = self._cut(row)
        _, encoded = cv2.imencode(".jpg", patch.image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        return encoded.tobytes(), patch.corner

    def _cut(self, row: int) -> Patch:
        person = self.people[row]
        frame = read_image(person.picture)
        left, top, right, bottom = person.box.astype(np.float64)
        # the view grows to the input's aspect, and turns: a square around it holds every one
        half = max(right - left, bottom - top) * self._reach / 2
        centre = np.array((left + right, top + bottom)) / 2
        low = np.floor(np.clip(centre - half, 0, np.array(frame.shape[1::-1]) - 1)).astype(int)
        high = np.ceil(np.clip(centre + half, low + 1, frame.shape[1::-1])).astype(int)
        image = np.ascontiguousarray(frame[low[1] : high[1], low[0] : high[0]])
        return Patch(image, (int(low[0]), int(low[1])))
