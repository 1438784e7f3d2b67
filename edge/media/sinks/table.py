"""People as rows of a CSV table."""

import csv
import io
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge.media.sinks.blocks import BlockSink
from edge.media.sinks.sink import states_of
from edge.types import Frame, Poses
from runtimes.errors import InputError

_FRAME_OF = ("image_name", "frame", "time_s")
_PERSON_OF = ("person", "track_id", "state", "score", "x0", "y0", "x1", "y1")


class CsvSink(BlockSink):
    """A table, one row a person, in pixels of the frame.

    Columns: image_name, frame, time_s, person (its number in the frame), track_id (-1: none), state ("": unknown),
    score, box as x0, y0, x1, y1; x, y, score a keypoint.
    """

    def __init__(self, path: str | Path, *, overwrite: bool = False) -> None:
        super().__init__(path, overwrite=overwrite)
        self._names: tuple[str, ...] | None = None

    def write(self, frame: Frame, poses: Poses, states: Sequence[str] = ()) -> None:
        """Add the frame's people, after a header on the first frame."""
        text = io.StringIO(newline="")
        rows = csv.writer(text)
        if self._names is None:
            triplets = ((f"{name}_x", f"{name}_y", f"{name}_score") for name in poses.schema.names)
            rows.writerow((*_FRAME_OF, *_PERSON_OF, *itertools.chain.from_iterable(triplets)))
        elif poses.schema.names != self._names:
            raise InputError("a table holds one keypoint set; write another set to another file")
        points = np.concatenate([poses.xy, poses.scores[..., None]], axis=2)
        people = zip(poses.instance_scores(), states_of(poses, states), strict=True)
        for person, (score, state) in enumerate(people):
            numbers: tuple[Any, ...] = (*poses.boxes[person], *points[person].ravel())
            rows.writerow(
                (
                    frame.name,
                    frame.index,
                    f"{frame.time_s:.4f}",
                    person,
                    poses.ids[person],
                    state,
                    f"{score:.5f}",
                    *(f"{number:.3f}" for number in numbers),
                )
            )
        self._file.append(text.getvalue().encode())
        self._names = poses.schema.names
