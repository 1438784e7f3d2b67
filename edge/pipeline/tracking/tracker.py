"""Stable ids of the people of one source: tracks with predicted boxes, and the poses that continue them."""

from dataclasses import dataclass, replace

import numpy as np

from edge.geometry import solid_boxes
from edge.pipeline.options import TrackOptions
from edge.pipeline.tracking import box_filter
from edge.pipeline.tracking.affinity import Seen, distances, enough, moved, size_changes, visible
from edge.pipeline.tracking.clock import Clock
from edge.pipeline.tracking.gallery import Gallery
from edge.pipeline.tracking.matching import CHI2_95, Evidence, match
from edge.pipeline.tracking.tracks import Tracks, as_tracks, join
from edge.schema import KeypointSchema
from edge.types import F32, F64, I32, Indices, Mask, Poses, check_shape

STRONG = 0.5  # box score from which a pose chooses its track first (ByteTrack's track_thresh)
SAME_SIZE = 2.0  # motion alone continues a track only where the size is at most so many times larger or smaller


@dataclass(frozen=True, slots=True)
class TrackBoxes:
    """Boxes of all tracks, live and lost, where they are expected.

    ids: int32 (T,); boxes: float32 (T, 4) xyxy, around confident keypoints and padded; missing_s: float64 (T,), seconds
    from the last frame with the person to the last frame, so 0 for live tracks.
    """

    ids: I32
    boxes: F32
    missing_s: F64

    def __len__(self) -> int:
        return len(self.ids)


class Tracker:
    """Ids for the poses of one source, frame after frame; an id is never used again.

    A track starts with the first pose that continues no other, and its id is reported at once. A lost track is kept for
    the time of `track_max_missing` frames and continues where a pose matches it; later the person gets a new id. Time
    stamps drive it: frames may be missing, and their rate may change.
    """

    def __init__(self, options: TrackOptions, schema: KeypointSchema) -> None:
        self._options = options
        self._sigmas = schema.sigmas
        self._clock = Clock()
        self._gallery = Gallery()
        self._next_id = 0
        self._nobody = Poses.empty(schema)
        self.forget()

    @property
    def irregular(self) -> int:
        """Number of frames whose time stamp was not after the one before."""
        return self._clock.irregular

    @property
    def ids(self) -> I32:
        """Ids of all tracks, live and lost, int32 (T,)."""
        return self._tracks.ids

    def forget(self) -> None:
        """End all tracks; ids are not used again."""
        self._tracks = as_tracks(self._nobody, visible(self._nobody, self._options), self._options)

    def merge(self, kept: int, other: int) -> None:
        """Continue the track `other` as `kept`, whose own row ends: they are one person."""
        tracks = self._tracks[self._tracks.ids != kept]
        ids = np.where(tracks.ids == other, np.int32(kept), tracks.ids)
        self._tracks = replace(tracks, ids=ids)

    def predict(self, time_s: float) -> TrackBoxes:
        """Return where each track is expected at this time, as far as it is kept until then; changes nothing."""
        kept = self._expected(self._clock.elapsed_s(time_s), time_s)
        return TrackBoxes(kept.ids, kept.states.boxes(), kept.missing_s)

    def update(
        self,
        poses: Poses,
        time_s: float,
        embeddings: F32 | None = None,
        own: I32 | None = None,
        may_start: Mask | None = None,
    ) -> I32:
        """Return the id of each person in the frame of this time, int32 (N,), all different but for -1.

        embeddings: of their appearance, float32 (N, D), zeros for none. A pose without enough confident keypoints may
        continue a track but starts none: its id is -1 then, as for a box without area, and for a pose that is False in
        may_start, bool (N,). own: int32 (N,), the track whose expected box each pose is from, -1 for none; where that
        is left, a pose that no other track fits continues it.
        """
        if embeddings is not None and not embeddings.size:
            embeddings = None
        if embeddings is not None:
            check_shape("embeddings", embeddings, (len(poses), None), np.float32)
        step_s = self._clock.elapsed_s(time_s)
        tracks = self._expected(step_s, time_s)
        self._clock.advance(time_s)
        found = as_tracks(poses, visible(poses, self._options), self._options)
        usable = solid_boxes(found.boxes)
        chosen = np.full(len(poses), -1, np.intp)
        if len(tracks) and usable.any():
            evidence = self._evidence(found, poses.box_scores, tracks, embeddings)
            chosen[usable] = match(evidence if usable.all() else evidence[usable], self._options)
        starts = usable & enough(found.visible, self._options)
        if own is not None:
            _keep_own(chosen, np.where(usable, own, -1), tracks)
        if may_start is not None:
            starts &= may_start
        ids = np.full(len(poses), -1, np.int32)
        continued = chosen >= 0
        ids[continued] = tracks.ids[chosen[continued]]
        new = starts & ~continued
        ids[new] = np.arange(self._next_id, self._next_id + np.count_nonzero(new))
        self._next_id += int(np.count_nonzero(new))
        self._tracks = self._after(tracks, replace(found, ids=ids), chosen, step_s)
        if embeddings is not None:
            self._gallery.remember(embeddings, ids)
            self._gallery.keep(self._tracks.ids)
        return ids

    def _expected(self, step_s: float, time_s: float) -> Tracks:
        """Return the tracks that are kept until this time, `step_s` after the last frame, where they are expected."""
        limit_s = self._clock.limit_s(self._options.track_max_missing, time_s)
        on_time = self._tracks.missing_s + step_s <= limit_s * (1 + 1e-6)
        kept = self._tracks if on_time.all() else self._tracks[on_time]
        return replace(kept, states=box_filter.extrapolate(kept.states, step_s, self._options))

    def _evidence(
        self, found: Tracks, scores: F32, tracks: Tracks, embeddings: F32 | None
    ) -> Evidence:
        expected = tracks.states.boxes()
        place = distances(
            Seen(found.xy, found.visible, found.boxes),
            Seen(moved(tracks.xy, tracks.boxes, expected), tracks.visible, expected),
            self._sigmas,
        )
        motion = box_filter.squared_distances(tracks.states, found.boxes, self._options) / CHI2_95
        motion[size_changes(found.boxes, expected) > SAME_SIZE] = np.inf
        looks = None
        if embeddings is not None:
            looks = self._gallery.distances(embeddings, tracks.ids)
        return Evidence(place, motion, looks, scores >= STRONG, tracks.missing_s == 0)

    def _after(self, tracks: Tracks, found: Tracks, chosen: Indices, step_s: float) -> Tracks:
        """Return the tracks after a frame: those found again, those that are missing, and new ones.

        found: the poses with their ids; chosen: the track that each continues, intp (N,), -1 for none.
        """
        again = np.flatnonzero(chosen >= 0)
        states = box_filter.correct(tracks.states[chosen[again]], found.boxes[again], self._options)
        parts = [replace(found[again], states=states)]
        if len(again) < len(tracks):
            missing = np.ones(len(tracks), np.bool_)
            missing[chosen[again]] = False
            lost = tracks[missing]
            parts.append(replace(lost, missing_s=lost.missing_s + step_s))
        new = (chosen < 0) & (found.ids >= 0)
        if new.any():
            parts.append(found[new])
        return join(parts)


def _keep_own(chosen: Indices, own: I32, tracks: Tracks) -> None:
    """Let poses without a track continue the one, live or lost, whose box they are from, in place."""
    free = (chosen < 0) & (own >= 0)
    if not free.any():
        return
    rows = {track: row for row, track in enumerate(tracks.ids.tolist())}
    for row in np.flatnonzero(free).tolist():
        track = rows.get(int(own[row]), -1)
        if track not in chosen:
            chosen[row] = track
