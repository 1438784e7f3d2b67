"""In-memory cache of the picture around each person, as JPEG: a frame is decoded once, not every epoch."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from edge.image import read_image
from edge.types import U8
from quantize.distill.data.instances import Instance

# Side of the patch over the padded box: holds the farthest view that augmentation draws.
REACH = 1.6
# Patches of JPEGs are compressed a second time; at this quality no loss is visible.
JPEG_QUALITY = 98


@dataclass(frozen=True, slots=True)
class Patch:
    """A region of a picture, uint8 BGR (H, W, 3), and the position of its first pixel there, (x, y)."""

    image: U8
    corner: tuple[int, int]


class PatchCache:
    """Instances by row, and the patch around each; up to `max_bytes` of compressed patches stay in memory."""

    def __init__(
        self, instances: Sequence[Instance], padding: float, max_bytes: int = 2 << 30
    ) -> None:
        self.instances = tuple(instances)
        self._reach = padding * REACH
        self._free_bytes = max_bytes
        self._kept: dict[int, tuple[bytes, tuple[int, int]]] = {}

    def __len__(self) -> int:
        return len(self.instances)

    def patch(self, row: int) -> Patch:
        """Return the patch around a person; raises SourceError where the picture cannot be read.

        The pixels are the same whether the patch was cached or not, so a resumed run sees what the first run saw.
        """
        kept = self._kept.get(row) or self._compressed(row)
        data, corner = kept
        if row not in self._kept and len(data) <= self._free_bytes:
            self._free_bytes -= len(data)
            self._kept[row] = kept
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        return Patch(np.asarray(decoded, np.uint8), corner)

    def _compressed(self, row: int) -> tuple[bytes, tuple[int, int]]:
        patch = self._cut(row)
        _, encoded = cv2.imencode(".jpg", patch.image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        return encoded.tobytes(), patch.corner

    def _cut(self, row: int) -> Patch:
        instance = self.instances[row]
        frame = read_image(instance.image_path, instance.image_wh)
        left, top, right, bottom = instance.box.astype(np.float64)
        # views grow to the input's aspect ratio and rotate: a square holds them all
        half = max(right - left, bottom - top) * self._reach / 2
        centre = np.array((left + right, top + bottom)) / 2
        low = np.floor(np.clip(centre - half, 0, np.array(frame.shape[1::-1]) - 1)).astype(int)
        high = np.ceil(np.clip(centre + half, low + 1, frame.shape[1::-1])).astype(int)
        image = np.ascontiguousarray(frame[low[1] : high[1], low[0] : high[0]])
        return Patch(image, (int(low[0]), int(low[1])))
