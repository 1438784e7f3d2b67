"""COCO ground truth and result records, with the dialects of COCO-WholeBody and CrowdPose.

`coco_file` reads annotation files, `dataset` finds their images. Boxes are xywh in `bbox`; functions return xyxy.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np

from edge.geometry import Size, keypoint_boxes
from edge.types import F32
from runtimes.errors import InputError

PERSON = 1  # COCO's category id of people

XYWH = tuple[float, float, float, float]
Id = int | str


class CocoImage(msgspec.Struct, frozen=True, kw_only=True):
    """One image: file name, annotated size in pixels where the file gives it, and CrowdPose's crowd index, 0 to 1."""

    id: Id
    file_name: str
    width: int | None = None
    height: int | None = None
    crowd_index: float | None = msgspec.field(name="crowdIndex", default=None)

    @property
    def wh(self) -> Size | None:
        """The size that the annotations are given in; None where the file does not say."""
        return (self.width, self.height) if self.width and self.height else None


class WholeBody(msgspec.Struct, frozen=True, kw_only=True):
    """The keypoint triplets of COCO-WholeBody, (x, y, v or score) flattened; `keypoints` is the body."""

    keypoints: tuple[float, ...] = ()
    foot_kpts: tuple[float, ...] = ()
    face_kpts: tuple[float, ...] = ()
    lefthand_kpts: tuple[float, ...] = ()
    righthand_kpts: tuple[float, ...] = ()


class Annotation(WholeBody, frozen=True, kw_only=True):
    """One labelled person. `bbox` is xywh; `area` is the segment's in square pixels, None where the file has none.

    num_keypoints: as the file says, which only CrowdPose's protocol goes by. ignore: such a person is neither expected
    nor a false positive where it is found, as a crowd region and a person without labels are in any case.
    head_wh: width and height of the head's box, for PCKh.
    """

    id: Id
    image_id: Id
    category_id: Id
    bbox: XYWH
    area: float | None = None
    iscrowd: Literal[0, 1] = 0
    num_keypoints: int | None = None
    ignore: bool = False
    head_wh: tuple[float, float] | None = None

    @property
    def labelled(self) -> bool:
        """Whether any keypoint is labelled; people without are neither expected nor counted as false positives."""
        return any(v > 0 for v in self.keypoints[2::3])


class CocoResult(WholeBody, frozen=True, kw_only=True):
    """One found person: a score, and a bbox xywh, keypoints, or both."""

    image_id: Id
    score: float
    category_id: Id = PERSON
    bbox: XYWH | None = None
    foot_score: float | None = None
    face_score: float | None = None
    lefthand_score: float | None = None
    righthand_score: float | None = None
    wholebody_score: float | None = None


class Category(msgspec.Struct, frozen=True, kw_only=True):
    """An object class and the names of its keypoints."""

    id: Id
    name: str = ""
    keypoints: tuple[str, ...] = ()


class GroundTruth(msgspec.Struct, frozen=True, kw_only=True):
    """A COCO annotation file; `person` is the category of the people in it."""

    images: tuple[CocoImage, ...]
    annotations: tuple[Annotation, ...]
    categories: tuple[Category, ...]
    person: Id = PERSON

    @property
    def people(self) -> list[Annotation]:
        """All annotations of people, crowd regions included."""
        return [each for each in self.annotations if each.category_id == self.person]


def as_results(records: Sequence[CocoResult | Mapping[str, Any]]) -> list[CocoResult]:
    """Return checked results from `Poses.to_coco` records; raises InputError naming the field that is wrong."""
    try:
        return [
            record if isinstance(record, CocoResult) else msgspec.convert(record, CocoResult)
            for record in records
        ]
    except msgspec.ValidationError as error:
        raise InputError(f"not a COCO result: {error}") from error


def subset(truth: GroundTruth, image_ids: Iterable[Id]) -> GroundTruth:
    """Return the ground truth restricted to these images."""
    wanted = set(image_ids)
    return msgspec.structs.replace(
        truth,
        images=tuple(image for image in truth.images if image.id in wanted),
        annotations=tuple(each for each in truth.annotations if each.image_id in wanted),
    )


def people_by_image(truth: GroundTruth) -> dict[Id, list[Annotation]]:
    """Return every image id with its people: no crowd regions, no other categories."""
    people: dict[Id, list[Annotation]] = {image.id: [] for image in truth.images}
    for person in truth.people:
        if not person.iscrowd:
            people[person.image_id].append(person)
    return people


def boxes_xyxy(annotations: Sequence[Annotation]) -> F32:
    """Return boxes float32 (N, 4) xyxy."""
    boxes = np.array([each.bbox for each in annotations], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def keypoints_xyv(annotations: Sequence[Annotation]) -> F32:
    """Return keypoints float32 (N, K, 3) as x, y, v; v 0 is unlabelled, 1 hidden, 2 visible."""
    if not annotations:
        return np.zeros((0, 0, 3), np.float32)
    values = np.array([each.keypoints for each in annotations], np.float32)
    return values.reshape(len(annotations), -1, 3)


def extent_xywh(keypoints: Sequence[float]) -> XYWH:
    """Return the box around all keypoints of one record, (x, y, v or score) flattened, whatever v is."""
    xy = np.array(keypoints, np.float64).reshape(1, -1, 3)[..., :2]
    x0, y0, x1, y1 = keypoint_boxes(xy, np.ones(xy.shape[:2], np.bool_))[0].tolist()
    return x0, y0, x1 - x0, y1 - y0
