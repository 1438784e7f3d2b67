"""One source in the preview: its newest result, its figures, and its state as JSON."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from edge.media.drawing.style import Colour, id_colour
from edge.media.preview.figures import Figures
from edge.media.preview.results import PoseResult
from edge.media.sinks.sink import states_of
from edge.media.source import Losses


class Channel:
    """Newest result of one source. `write` and `end` run in the pipeline's thread, all else in the server's.

    name: of the source, as in results; picture: the encoded picture of frame number `picture_number`; picture_due_s:
    time of the event loop from which the next may be encoded.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.picture = b""
        self.picture_number = 0
        self.picture_due_s = 0.0
        self._lock = threading.Lock()
        self._figures = Figures()
        self._result: PoseResult | None = None
        self._losses: Losses | None = None
        self._ended = False

    def write(self, result: PoseResult, losses: Losses | None) -> None:
        """Replace the newest result."""
        now_s = time.monotonic()
        with self._lock:
            self._figures.add(result, now_s)
            self._result = result
            self._losses = losses
            self._ended = False

    def end(self) -> None:
        """Mark the source as ended."""
        with self._lock:
            self._ended = True

    @property
    def ended(self) -> bool:
        """Whether no frame will follow."""
        return self._ended

    @property
    def number(self) -> int:
        """Number of the newest result, from 1; 0 where there is none."""
        return self._figures.frames

    def newest(self) -> tuple[int, PoseResult | None]:
        """Return the newest result and its number, from 1."""
        with self._lock:
            return self._figures.frames, self._result

    def age_s(self) -> float | None:
        """Return the seconds since the newest result, None where there is none."""
        last_s = self._figures.last_s
        return None if last_s is None else time.monotonic() - last_s

    def lost(self) -> dict[str, int]:
        """Return counts of frames that were lost, by reason."""
        with self._lock:
            result, losses = self._result, self._losses
        if losses:
            counts = {
                "unread": losses.unread,
                "missing": losses.missing,
                "dropped": losses.dropped,
            }
        else:
            counts = {"unread": 0, "missing": 0, "dropped": 0}
        if result:  # of frames that are given one by one, only the engine knows what it dropped
            counts["dropped"] = max(counts["dropped"], result.queues.dropped)
        return counts

    @contextmanager
    def figures(self) -> Iterator[Figures]:
        """Yield the figures; nothing is written meanwhile."""
        with self._lock:
            yield self._figures

    def state(self) -> dict[str, Any]:
        """Return the state of the source for JSON."""
        now_s = time.monotonic()
        with self.figures() as figures:
            result = self._result
            state = {
                "source": self.name,
                "ended": self._ended,
                "frames": figures.frames,
                "detections": figures.detections,
                "fps": round(figures.fps(now_s), 2),
                "mean_ms": {stage: round(ms, 2) for stage, ms in figures.mean_ms().items()},
                "history": [
                    {
                        "age_s": age,
                        "frames": frames,
                        "mean_ms": round(mean, 2),
                        "max_ms": round(worst, 2),
                    }
                    for age, frames, mean, worst in figures.history(now_s)
                ],
            }
        age_s = self.age_s()
        state["age_s"] = None if age_s is None else round(age_s, 2)
        return state | {"lost": self.lost()} | _frame_state(result)


def _frame_state(result: PoseResult | None) -> dict[str, Any]:
    """Return which frame the newest is, and its people."""
    if result is None:
        return {"frame": None, "people": []}
    frame, poses = result.frame, result.poses
    height, width = frame.image.shape[:2]
    rows = zip(
        poses.ids.tolist(),
        states_of(poses, result.states),
        poses.instance_scores().tolist(),
        poses.boxes.tolist(),
        strict=True,
    )
    people = [
        {
            "id": person_id if person_id >= 0 else None,
            "colour": _hex(id_colour(person_id)),
            "state": state or None,
            "score": round(score, 3),
            "box": [round(each, 1) for each in box],
        }
        for person_id, state, score, box in rows
    ]
    where = {"index": frame.index, "time_s": round(frame.time_s, 3), "name": frame.name}
    return {"frame": where | {"width": width, "height": height}, "people": people}


def _hex(colour: Colour) -> str:
    blue, green, red = colour
    return f"#{red:02x}{green:02x}{blue:02x}"
