"""COCO keypoint results as one file."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from edge.media.sinks.blocks import BlockSink
from edge.media.sinks.sink import origin_of, states_of
from edge.types import Frame, Poses


class CocoSink(BlockSink):
    """COCO keypoint results, a JSON list with one record a person; image_id is the frame's index.

    Beside COCO's fields: image_name, frame, time_s; track_id and state of a person where they are known.
    """

    _tail = b"\n]\n"

    def __init__(self, path: str | Path, *, overwrite: bool = False) -> None:
        super().__init__(path, overwrite=overwrite)
        self._separator = b"[\n"

    def write(self, frame: Frame, poses: Poses, states: Sequence[str] = ()) -> None:
        """Add the frame's people."""
        records = poses.to_coco(frame.index)
        for person, state in zip(records, states_of(poses, states), strict=True):
            person.update(origin_of(frame))
            if state:
                person["state"] = state
        if records:
            block = b",\n".join(msgspec.json.encode(record) for record in records)
            self._file.append(self._separator + block)
            self._separator = b",\n"

    def _finish(self) -> None:
        super()._finish()
        if self._separator.startswith(b"["):  # no person in any frame
            self._part.write_bytes(b"[]\n")
