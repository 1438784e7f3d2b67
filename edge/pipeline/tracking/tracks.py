"""State of all tracks of a source, one row a track."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.pipeline.options import TrackOptions
from edge.pipeline.tracking import box_filter
from edge.pipeline.tracking.affinity import boxes_of
from edge.types import F32, F64, I32, Mask, Poses


@dataclass(frozen=True, slots=True)
class Tracks:
    """Tracks of T people as last seen, and the filtered boxes.

    ids: int32 (T,); states: of T boxes; xy: float32 (T, K, 2); visible: bool (T, K), keypoints that count; boxes:
    float32 (T, 4) xyxy; missing_s: float64 (T,), seconds until the last frame, 0 for those in it.
    """

    ids: I32
    states: box_filter.BoxStates
    xy: F32
    visible: Mask
    boxes: F32
    missing_s: F64

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: Any) -> "Tracks":
        return Tracks(
            self.ids[rows],
            self.states[rows],
            self.xy[rows],
            self.visible[rows],
            self.boxes[rows],
            self.missing_s[rows],
        )


def as_tracks(poses: Poses, visible: Mask, options: TrackOptions) -> Tracks:
    """Return poses as tracks that start now, with the poses' ids; visible: bool (N, K), keypoints that count."""
    boxes = boxes_of(poses, visible, options)
    states = box_filter.start(boxes, options)
    return Tracks(poses.ids, states, poses.xy, visible, boxes, np.zeros(len(poses)))


def join(parts: Sequence[Tracks]) -> Tracks:
    """Return the tracks of all; parts: at least one."""
    if len(parts) == 1:
        return parts[0]
    return Tracks(
        np.concatenate([part.ids for part in parts]),
        box_filter.join([part.states for part in parts]),
        np.concatenate([part.xy for part in parts]),
        np.concatenate([part.visible for part in parts]),
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.missing_s for part in parts]),
    )
