"""OpenPose's JSON as a folder of one file a frame."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from edge.media.openpose_json import openpose_people
from edge.media.sinks.pictures import FolderSink, head_of
from edge.media.sinks.sink import origin_of, put_file, states_of
from edge.types import Frame, Poses


class OpenPoseSink(FolderSink):
    """OpenPose's JSON (format 1.3), one file a frame, body in BODY_25 order; see `edge.media.openpose_json`.

    Beside OpenPose's fields: image_name, frame, time_s; state of a person where it is known.
    """

    def write(self, frame: Frame, poses: Poses, states: Sequence[str] = ()) -> None:
        """Add the frame's people."""
        people = openpose_people(poses)
        for person, state in zip(people, states_of(poses, states), strict=True):
            if state:
                person["state"] = state
        record = {"version": 1.3, **origin_of(frame), "people": people}
        path = self._part / f"{self._stem(frame, 12)}_keypoints.json"
        put_file(path, msgspec.json.encode(record), self.path / path.name)

    def _wrote(self, path: Path) -> bool:
        return path.name.endswith("_keypoints.json") and b'"image_name":' in head_of(path)
