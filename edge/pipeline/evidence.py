"""Evidence that the detector is wanted again: motion outside known boxes, a new scene, people who cross or are lost."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from edge.pipeline.boxes import CROSSING, overlapping_others
from edge.pipeline.options import TrackOptions
from edge.pipeline.tracking.clock import Clock
from edge.types import F32, U8, Frame, Mask, Poses

Reason = Literal["start", "interval", "lost", "confidence", "crossing", "scene", "motion"]

_WIDTH = 160  # of the reduced picture
_LEAST_CHANGE = 18  # grey levels beyond those of the neighbourhood that count as change
_PATCH = 5  # reduced pixels: the side of a patch that must change
_PATCH_SHARE = 0.6  # of the patch
_SCENE_SHARE = 0.5  # of the picture outside known boxes: another view, or other light
_FADED = 0.7  # of a person's confidence when last detected
_CROSSING_INTERVAL = 3  # frames from one detection to the next while people cross
_MARGIN = 0.1  # of a box's size, by which people move and cast shadows around it
_RATE = 0.28  # tokens a frame: the share of frames on which the detector runs in the long run
_START = 6.0  # tokens at first
_MOST = 20.0  # tokens that quiet times save up for crowded ones
_STALE_S = 2.0  # for which motion is no evidence again where the detector found no one new
_MOST_SHIFT = 8  # reduced pixels that a camera may have turned


@dataclass(frozen=True, slots=True)
class Reference:
    """The reduced picture of the last detection: darkest and brightest neighbours uint8 (h, w), and its profiles."""

    low: U8
    high: U8
    across: F32
    down: F32


def reduced(image: U8) -> U8:
    """Return a small grey picture uint8 (h, w), about 160 wide: the mean of four green samples a pixel."""
    step = max(min(image.shape[1] // (2 * _WIDTH), image.shape[0]), 1)
    samples = np.ascontiguousarray(image[step // 2 :: step, step // 2 :: step, 1])
    height, width = samples.shape
    size = (max(width // 2, 1), max(height // 2, 1))
    small: U8 = cv2.resize(samples, size, interpolation=cv2.INTER_AREA)
    return small


def reference_of(small: U8) -> Reference:
    """Return what later pictures are compared with."""
    kernel = np.ones((3, 3), np.uint8)
    return Reference(cv2.erode(small, kernel), cv2.dilate(small, kernel), *_profiles(small))


def changed(small: U8, reference: Reference) -> Mask:
    """Return which pixels changed, bool (h, w): neither they nor their neighbours had this grey level.

    A turn of the camera by whole pixels is taken out first; of what it uncovers nothing is said.
    """
    across, down = _profiles(small)
    dx, dy = _shift(across, reference.across), _shift(down, reference.down)
    height, width = small.shape
    here = small[max(dy, 0) : height + min(dy, 0), max(dx, 0) : width + min(dx, 0)]
    there = (
        slice(max(-dy, 0), height + min(-dy, 0)),
        slice(max(-dx, 0), width + min(-dx, 0)),
    )
    beyond = cv2.max(
        cv2.subtract(here, reference.high[there]), cv2.subtract(reference.low[there], here)
    )
    mask = np.zeros(small.shape, np.bool_)
    mask[max(dy, 0) : height + min(dy, 0), max(dx, 0) : width + min(dx, 0)] = beyond > _LEAST_CHANGE
    return mask


def _profiles(small: U8) -> tuple[F32, F32]:
    """Return the mean of each column and of each row."""
    across = cv2.reduce(small, 0, cv2.REDUCE_AVG, dtype=cv2.CV_32F)[0]
    down = cv2.reduce(small, 1, cv2.REDUCE_AVG, dtype=cv2.CV_32F)[:, 0]
    return across, down


def _shift(profile: F32, before: F32) -> int:
    """Return by how many pixels the profile moved on: positive to the right, or down."""
    most = min(_MOST_SHIFT, len(profile) // 4)
    if most < 1:
        return 0
    inner = before[most : len(before) - most]
    windows = np.lib.stride_tricks.sliding_window_view(profile, len(inner))
    offsets = windows - windows.mean(axis=1, keepdims=True) - (inner - inner.mean())
    return int(np.abs(offsets).mean(axis=1).argmin()) - most


class TokenBucket:
    """Budget of detections: a steady rate, saved up for bursts."""

    def __init__(self) -> None:
        self._tokens = _START

    @property
    def allows(self) -> bool:
        """Whether there is a token for one more detection."""
        return self._tokens >= 1

    def fill(self, frames: float) -> None:
        """Add the tokens of so many frames."""
        self._tokens = min(self._tokens + _RATE * frames, _MOST)

    def take(self) -> None:
        """Take the token of a detection; one that is due anyway needs none."""
        self._tokens = max(self._tokens - 1, 0.0)


class StaleMotion:
    """Places of motion where the detector found no one new: a curtain or a tree, until motion grows beyond them."""

    def __init__(self) -> None:
        self._places: Mask | None = None
        self._age_s = 0.0

    def age(self, step_s: float) -> None:
        """Forget the places once they are too old."""
        self._age_s += step_s
        if self._age_s > _STALE_S:
            self.forget()

    def forget(self) -> None:
        """Take motion anywhere as evidence."""
        self._places = None

    def add(self, moving: Mask) -> None:
        """Add motion bool (h, w) that a detection did not explain."""
        if self._places is None:
            self._places, self._age_s = np.zeros(moving.shape, np.bool_), 0.0
        self._places |= moving

    def beyond(self, moving: Mask) -> Mask:
        """Return the motion at other places, bool (h, w)."""
        return moving if self._places is None else moving & ~self._places


class Evidence:
    """Reasons to detect again, frame after frame of one source; `wants`, then `settle` for each frame.

    A detection for a reason other than "start" and "interval" needs a token, so that entrants are looked for frame by
    frame as long as they walk in, and the detector is not called more often than planned in the long run. What
    an empty scene saves is spent on the next crowd.
    """

    def __init__(self, options: TrackOptions) -> None:
        self._options = options
        self._clock = Clock()
        self._since_s = np.inf
        self._reference: Reference | None = None
        self._shape = (0, 0)
        self._known = np.zeros((0, 0), np.bool_)
        self._best: dict[int, float] = {}
        self._lost = self._faded = self._crossing = False
        self._longest = options.det_interval
        self._reason: Reason | None = None
        self._index = 0
        self._budget = TokenBucket()
        self._stale = StaleMotion()
        self._moving = np.zeros((0, 0), np.bool_)

    def wants(self, frame: Frame) -> Reason | None:
        """Return why the detector should run on this frame, None where it need not."""
        step_s = self._clock.advance(frame.time_s)
        self._since_s += step_s
        self._stale.age(step_s)
        self._budget.fill(step_s / self._clock.frame_s)
        small = reduced(frame.image)
        reason = self._reason = self._why(small, frame.index)
        if reason is not None:
            self._budget.take()
            self._since_s, self._index = 0.0, frame.index
            if reason == "start":
                self._stale.forget()
            self._reference = reference_of(small)
            self._shape = frame.image.shape[:2]
            self._known = np.zeros(small.shape, np.bool_)
        return reason

    def settle(self, people: Poses, boxes: F32, *, lost: bool, new: bool) -> None:
        """Take in the people of the frame, and the boxes around their keypoints, float32 (N, 4) xyxy.

        lost: a person of the frame before is not among them; new: a person is, who was not.
        """
        self._mark(np.concatenate([boxes, people.boxes]))
        self._crossing = bool((overlapping_others(people.boxes) > CROSSING[0]).any())
        options = self._options
        least = 1 if len(people) else options.empty_det_interval
        self._longest = max(options.det_interval, least)
        if self._reason is not None:
            self._best = {}
            self._lost = self._faded = False
            if new:
                self._stale.forget()
            elif self._reason == "motion":
                self._stale.add(self._moving)
        else:
            self._lost |= lost
        for each, score in zip(people.ids.tolist(), people.scores.mean(axis=1), strict=True):
            best = max(self._best.get(each, 0.0), float(score))
            self._best[each] = best
            self._faded |= float(score) < _FADED * best

    def _why(self, small: U8, index: int) -> Reason | None:
        if self._reference is None or small.shape != self._known.shape:
            return "start"
        # frames that were dropped leave gaps in the index, where the source counts them
        frames = max(self._since_s / self._clock.frame_s, index - self._index)
        if frames > self._longest - 0.5:
            return "interval"
        if not self._budget.allows:
            return None
        return self._of_people(frames) or self._change(small, self._reference)

    def _of_people(self, frames: float) -> Reason | None:
        """Return what the people tell, `frames` after the last detection."""
        if self._lost:
            return "lost"
        if self._faded:
            return "confidence"
        crossing = self._crossing and frames > _CROSSING_INTERVAL - 0.5
        return "crossing" if crossing else None

    def _change(self, small: U8, reference: Reference) -> Reason | None:
        """Return what the picture tells."""
        outside = changed(small, reference) & ~self._known
        if outside.mean() > _SCENE_SHARE:
            return "scene"
        self._moving = outside
        fresh = self._stale.beyond(outside)
        patches = cv2.blur(fresh.astype(np.float32), (_PATCH, _PATCH))
        return "motion" if patches.max() > _PATCH_SHARE else None

    def _mark(self, boxes: F32) -> None:
        """Add boxes, with a margin, to what is known."""
        height, width = self._known.shape
        scale = np.array([width / self._shape[1], height / self._shape[0]] * 2)
        sizes = boxes[:, 2:] - boxes[:, :2]
        margin = np.concatenate([-sizes, sizes], axis=1) * _MARGIN
        small = (boxes + margin) * scale
        low = np.floor(small[:, :2]).clip(0).astype(int)
        high = np.ceil(small[:, 2:]).clip(0).astype(int) + 1
        for (x0, y0), (x1, y1) in zip(low.tolist(), high.tolist(), strict=True):
            self._known[y0:y1, x0:x1] = True
