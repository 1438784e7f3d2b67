"""COCO annotation files and result records, with the dialects of COCO-WholeBody and CrowdPose, and their images.

Boxes are xywh in the files and in `bbox`; functions return xyxy.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from edge.geometry import keypoint_boxes
from edge.types import F32
from runtimes.errors import InputError

PERSON = 1  # COCO's category id of people

XYWH = tuple[float, float, float, float]


class CocoImage(msgspec.Struct, frozen=True, kw_only=True):
    """One image: file name, size in pixels, and CrowdPose's crowd index, 0 to 1."""

    id: int
    file_name: str
    width: int
    height: int
    crowd_index: float | None = msgspec.field(name="crowdIndex", default=None)


class WholeBody(msgspec.Struct, frozen=True, kw_only=True):
    """The keypoint triplets of COCO-WholeBody, (x, y, v or score) flattened; `keypoints` is the body."""

    keypoints: tuple[float, ...] = ()
    foot_kpts: tuple[float, ...] = ()
    face_kpts: tuple[float, ...] = ()
    lefthand_kpts: tuple[float, ...] = ()
    righthand_kpts: tuple[float, ...] = ()


class Annotation(WholeBody, frozen=True, kw_only=True):
    """One labelled person. `bbox` is xywh; `area` is the segment's in square pixels, None where the file has none."""

    id: int
    image_id: int
    category_id: int
    bbox: XYWH
    area: float | None = None
    iscrowd: Literal[0, 1] = 0

    @property
    def labelled(self) -> bool:
        """Whether any keypoint is labelled; people without are neither expected nor counted as false positives."""
        return any(v > 0 for v in self.keypoints[2::3])


class CocoResult(WholeBody, frozen=True, kw_only=True):
    """One found person: a score, and a bbox xywh, keypoints, or both."""

    image_id: int
    score: float
    category_id: int = PERSON
    bbox: XYWH | None = None
    foot_score: float | None = None
    face_score: float | None = None
    lefthand_score: float | None = None
    righthand_score: float | None = None
    wholebody_score: float | None = None


class Category(msgspec.Struct, frozen=True, kw_only=True):
    """An object class and the names of its keypoints."""

    id: int
    name: str = ""
    keypoints: tuple[str, ...] = ()


class GroundTruth(msgspec.Struct, frozen=True, kw_only=True):
    """A COCO annotation file."""

    images: tuple[CocoImage, ...]
    annotations: tuple[Annotation, ...]
    categories: tuple[Category, ...]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Ground truth with its images: `paths` maps image ids to files."""

    truth: GroundTruth
    paths: dict[int, Path]


def load_dataset(annotations: str | Path, images_dir: str | Path | None = None) -> Dataset:
    """Read an annotation file and find its images; raises as `load_ground_truth` and `find_images`."""
    truth = load_ground_truth(annotations)
    if not truth.images:
        raise InputError(f"{annotations} lists no images; there is nothing to evaluate on")
    return Dataset(truth, find_images(truth, annotations, images_dir))


def load_ground_truth(path: str | Path) -> GroundTruth:
    """Read a COCO annotation file; fields it does not need are skipped.

    Raises InputError where the file cannot be read, is no such JSON, repeats an id, or annotates
    an image that it does not list.
    """
    try:
        truth = msgspec.json.decode(Path(path).read_bytes(), type=GroundTruth)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check the path") from error
    except msgspec.DecodeError as error:
        raise InputError(f"{path} is no COCO annotation file: {error}") from error
    _check_unique(path, "image", (image.id for image in truth.images))
    _check_unique(path, "annotation", (annotation.id for annotation in truth.annotations))
    known = {image.id for image in truth.images}
    for annotation in truth.annotations:
        if annotation.image_id not in known:
            raise InputError(
                f"{path}: annotation {annotation.id} is of image {annotation.image_id}, which the "
                "file does not list; is it a complete annotation file?"
            )
        if len(annotation.keypoints) % 3:
            raise InputError(
                f"{path}: annotation {annotation.id} has {len(annotation.keypoints)} keypoint "
                "values; COCO keypoints are triplets x, y, v"
            )
    return truth


def as_results(records: Sequence[CocoResult | Mapping[str, Any]]) -> list[CocoResult]:
    """Return checked results from `Poses.to_coco` records; raises InputError naming the field that is wrong."""
    try:
        return [
            record if isinstance(record, CocoResult) else msgspec.convert(record, CocoResult)
            for record in records
        ]
    except msgspec.ValidationError as error:
        raise InputError(f"not a COCO result: {error}") from error


def subset(truth: GroundTruth, image_ids: Iterable[int]) -> GroundTruth:
    """Return the ground truth restricted to these images."""
    wanted = set(image_ids)
    return GroundTruth(
        images=tuple(image for image in truth.images if image.id in wanted),
        annotations=tuple(each for each in truth.annotations if each.image_id in wanted),
        categories=truth.categories,
    )


def people_by_image(truth: GroundTruth) -> dict[int, list[Annotation]]:
    """Return every image id with its people: no crowd regions, no other categories."""
    people: dict[int, list[Annotation]] = {image.id: [] for image in truth.images}
    for annotation in truth.annotations:
        if annotation.category_id == PERSON and not annotation.iscrowd:
            people[annotation.image_id].append(annotation)
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


def find_images(
    truth: GroundTruth, annotations: str | Path, images_dir: str | Path | None = None
) -> dict[int, Path]:
    """Return the path of each image: in `images_dir` if given, else beside the annotation file or in images/ there.

    Raises InputError naming the first image that is missing and the folders searched.
    """
    beside = Path(annotations).parent
    folders = [Path(images_dir)] if images_dir is not None else [beside, beside / "images"]
    found = {}
    for image in truth.images:
        path = next((each for each in _candidates(image, folders) if each.is_file()), None)
        if path is None:
            searched = ", ".join(str(folder) for folder in folders)
            raise InputError(
                f"no image {image.file_name} (of {annotations}) in {searched}; "
                "say where the images are with --images DIR"
            )
        found[image.id] = path
    return found


def _candidates(image: CocoImage, folders: list[Path]) -> Iterable[Path]:
    # some annotation files still name a folder (val2017/x.jpg) that the images were moved out of
    names = dict.fromkeys((image.file_name, Path(image.file_name).name))
    return (folder / name for folder in folders for name in names)


def _check_unique(path: str | Path, what: str, ids: Iterable[int]) -> None:
    seen: set[int] = set()
    for each in ids:
        if each in seen:
            raise InputError(f"{path}: {what} id {each} occurs twice; ids must be unique")
        seen.add(each)
