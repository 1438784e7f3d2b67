"""Whom there is to learn from: people in COCO files, in folders of pictures, and drawn ones.

Knows files and boxes; pixels are read in `album`.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.evaluation.coco import Dataset, boxes_xyxy, keypoints_xyv, load_dataset, people_by_image
from edge.image import read_image
from edge.media.sources import IMAGE_SUFFIXES
from edge.schema import KeypointSchema
from edge.synth import write_dataset
from edge.types import F32, check_shape
from runtimes.errors import InputError

ANNOTATIONS = "person_keypoints.json"


@dataclass(frozen=True, slots=True)
class Person:
    """One person in one picture.

    key: the same in every run, for logs and caches; box: float32 (4,) xyxy; keypoints: float32 (K, 3) as x, y and
    visibility (0 unlabelled, 1 hidden, 2 visible), all in the picture's pixels. Where nobody labelled them all are 0.
    """

    key: str
    picture: Path
    box: F32
    keypoints: F32

    def __post_init__(self) -> None:
        check_shape("Person.box", self.box, (4,), np.float32)
        check_shape("Person.keypoints", self.keypoints, (None, 3), np.float32)

    @property
    def labelled(self) -> bool:
        """Whether there is any ground truth."""
        return bool((self.keypoints[:, 2] > 0).any())


def annotated_people(
    annotations: str | Path, schema: KeypointSchema, images_dir: str | Path | None = None
) -> list[Person]:
    """Return the people of a COCO keypoint file who have a labelled keypoint and a box with an area.

    Raises InputError where the file is none, an image is missing, or the keypoints are not as many as the schema's.
    """
    return people_of(load_dataset(annotations, images_dir), schema, str(annotations))


def people_of(dataset: Dataset, schema: KeypointSchema, name: str) -> list[Person]:
    """Return the people of a loaded dataset, in the order of its images; `name` is for messages and keys."""
    people = []
    for image_id, found in people_by_image(dataset.truth).items():
        labelled = [each for each in found if each.keypoints and min(each.bbox[2:]) > 0]
        for each in labelled:
            if len(each.keypoints) != 3 * len(schema):
                raise InputError(
                    f"{name}: annotation {each.id} has {len(each.keypoints) // 3} keypoints, "
                    f"{schema.name} has {len(schema)}; name the dataset's keypoint set"
                )
        rows = zip(labelled, boxes_xyxy(labelled), keypoints_xyv(labelled), strict=True)
        people += [
            Person(f"{name}#{each.id}", dataset.paths[image_id], box, keypoints)
            for each, box, keypoints in rows
        ]
    people = [person for person in people if person.labelled]
    if not people:
        raise InputError(f"{name}: nobody in it has a labelled keypoint")
    return people


def pictured_people(directory: str | Path, schema: KeypointSchema) -> list[Person]:
    """Return one person a picture, who fills it and whom a teacher has to label; raises InputError without pictures."""
    folder = Path(directory)
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise InputError(f"{folder}: no pictures in it; they end in {', '.join(IMAGE_SUFFIXES)}")
    unknown = np.zeros((len(schema), 3), np.float32)
    return [Person(path.name, path, _whole(path), unknown) for path in paths]


def drawn_people(
    directory: str | Path, seed: int, pictures: int, schema: KeypointSchema
) -> list[Person]:
    """Return drawn people with exact ground truth, rendered into `directory` the first time and read there later.

    The folder's name says what was drawn: another seed or number of pictures is another folder.
    """
    return annotated_people(drawn_annotations(directory, seed, pictures), schema)


def drawn_annotations(directory: str | Path, seed: int, pictures: int) -> Path:
    """Return the annotation file of drawn pictures, rendered where they are not there yet."""
    folder = Path(directory) / f"drawn-seed{seed}-{pictures}"
    annotations = folder / ANNOTATIONS
    if not annotations.is_file():
        try:
            write_dataset(folder, seed, pictures)
        except OSError:
            # another process may have drawn the same meanwhile: whoever was first is right
            if not annotations.is_file():
                raise
    return annotations


def _whole(path: Path) -> F32:
    height, width = read_image(path).shape[:2]
    return np.array((0, 0, width, height), np.float32)
