"""Reader of COCO detection results: boxes of people that a detector found before, one list for a whole data set.

The file is a list of {image_id, category_id, bbox, score}, bbox xywh, such as SimpleBaseline's
COCO_val2017_detections_AP_H_56_person.json. As in SimpleBaseline and mmpose's `bbox_file`, boxes are neither
suppressed again nor clipped, and by default none is too weak.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from edge.evaluation.coco import XYWH, GroundTruth, Id
from edge.evaluation.coco_values import box_of, id_of, number_of, short, usable
from edge.geometry import solid_boxes
from edge.types import Detections
from runtimes.errors import InputError, warn

_BOM = b"\xef\xbb\xbf"


class _Box(msgspec.Struct):
    """A detection before its values are checked."""

    image_id: Any
    bbox: Any
    score: Any
    category_id: Any


def load_detections(
    path: str | Path, truths: Sequence[GroundTruth], min_score: float = 0.0
) -> list[dict[Id, Detections]]:
    """Read a file of boxes: for each truth those of its category (`person`) that score at least `min_score`.

    truths: one, or several categories of the same images. Every image has an entry, best score first, xyxy; labels are
    0. Boxes of other categories are left out, as are boxes without an area, with a warning that has their numbers; a
    file of which no box is left has a warning too.
    Raises InputError where the file cannot be read or is no such list, where a box is of an image that the truths do
    not list, has a value of the wrong kind or no score, and where no box is of these categories.
    """
    raw = _decode(Path(path))
    boxes = [_checked(each, f"{path}: [{n}]") for n, each in enumerate(raw)]
    _check_images(path, [each.image_id for each in boxes], truths[0])
    people = {truth.person for truth in truths}
    ours = [each for each in boxes if each.category in people]
    if boxes and not ours:
        found = sorted({str(each.category) for each in boxes})
        raise InputError(
            f"{path}: no box is of category {', '.join(map(str, people))}, which the annotations are scored on; its "
            f"boxes are of {', '.join(found[:8])}: choose the category with --category, or correct category_id"
        )
    if others := len(boxes) - len(ours):
        warn(f"{path}: {others} of {len(boxes)} boxes are of other categories and left out")
    solid = [each for each in ours if each.is_solid]
    if empty := len(ours) - len(solid):
        warn(f"{path}: {empty} of {len(boxes)} boxes have no area and are left out")
    strong = [each for each in solid if each.score >= min_score]
    if not strong:
        best = max((each.score for each in solid), default=None)
        said = "it holds none" if best is None else f"the best score is {best:.6g}"
        warn(f"{path}: no box scores {min_score:g} or more ({said}), so there is nobody to score")
    return [
        _by_image(truth, [each for each in strong if each.category == truth.person])
        for truth in truths
    ]


class _Checked(NamedTuple):
    image_id: Id
    category: Id
    box: XYWH
    score: float

    @property
    def is_solid(self) -> bool:
        """Whether the box has an area, in float32 too."""
        x, y, width, height = self.box
        corners = np.array([[x, y, x + width, y + height]], np.float32)
        return bool(solid_boxes(corners)[0])


def _decode(path: Path) -> list[_Box]:
    try:
        data = path.read_bytes().removeprefix(_BOM)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check the path") from error
    try:
        # Python's reader takes NaN and names no field: values are checked with their place afterwards
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON: {error}") from error
    if isinstance(content, Mapping):
        hint = "it is an annotation file" if "annotations" in content else "it is an object"
        raise InputError(
            f"{path}: {hint}; detections are a list of {{image_id, category_id, bbox, score}}"
        )
    try:
        return msgspec.convert(content, list[_Box])
    except msgspec.ValidationError as error:
        raise InputError(
            f"{path}: no list of detections {{image_id, category_id, bbox, score}}: {error}"
        ) from error


def _checked(raw: _Box, place: str) -> _Checked:
    box = box_of(raw.bbox, f"{place}.bbox")
    if box is None or not usable(box):
        raise InputError(f"{place}.bbox is {short(raw.bbox)}, not x, y, width, height in pixels")
    score = number_of(raw.score, f"{place}.score")
    if not math.isfinite(score):
        raise InputError(f"{place}.score is {short(raw.score)}, not a number")
    image_id = id_of(raw.image_id, f"{place}.image_id")
    return _Checked(image_id, id_of(raw.category_id, f"{place}.category_id"), box, score)


def _check_images(path: str | Path, ids: Sequence[Id], truth: GroundTruth) -> None:
    known = {image.id for image in truth.images}
    strays = [each for each in ids if each not in known]
    if strays:
        raise InputError(
            f"{path}: {len(strays)} of {len(ids)} boxes are of images that the annotations do not list, the first of "
            f"image {short(strays[0])}; give the annotations that the boxes were found for"
        )


def _by_image(truth: GroundTruth, found: Sequence[_Checked]) -> dict[Id, Detections]:
    by_image: dict[Id, list[_Checked]] = {image.id: [] for image in truth.images}
    for each in found:
        by_image[each.image_id].append(each)
    return {image_id: _gather(there) for image_id, there in by_image.items()}


def _gather(found: Sequence[_Checked]) -> Detections:
    if not found:
        return Detections.empty()
    boxes = np.array([each.box for each in found], np.float64)
    boxes[:, 2:] += boxes[:, :2]
    scores = np.array([each.score for each in found], np.float32)
    order = np.argsort(-scores, kind="stable")
    return Detections(
        boxes[order].astype(np.float32), scores[order], np.zeros(len(order), np.int32)
    )
