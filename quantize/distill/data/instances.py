"""Person instances: boxes and keypoints from COCO files, unlabelled pictures and drawn pictures.

Files and boxes only; pixels are read in `patch_cache`.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge.evaluation.coco import Annotation, boxes_xyxy, keypoints_xyv, people_by_image
from edge.evaluation.dataset import Dataset, load_dataset
from edge.evaluation.keypoint_names import with_keypoint_set
from edge.geometry import Size, whole_frame
from edge.media.image_files import image_files, read_images
from edge.model import load
from edge.schema import KeypointSchema
from edge.synth import DrawnVersion, write_dataset
from edge.types import F32, check_shape
from quantize.distill.data.found_boxes import find_boxes
from runtimes.errors import InputError

ANNOTATIONS = "person_keypoints.json"
DRAWN_FOLDERS: dict[DrawnVersion, str] = {1: "drawn", 2: "drawn-v2"}


@dataclass(frozen=True, slots=True)
class Instance:
    """One person in one picture.

    key: stable across runs, for logs and caches; box: float32 (4,) xyxy; keypoints: float32 (K, 3), x, y and visibility
    (0 unlabelled, 1 hidden, 2 visible), in the picture's pixels. All 0 where the person has no labels. image_wh: the
    picture's annotated size, None where it is its own.
    """

    key: str
    image_path: Path
    box: F32
    keypoints: F32
    image_wh: Size | None = None

    def __post_init__(self) -> None:
        check_shape("Instance.box", self.box, (4,), np.float32)
        check_shape("Instance.keypoints", self.keypoints, (None, 3), np.float32)

    @property
    def labelled(self) -> bool:
        """Return whether any keypoint is labelled."""
        return bool((self.keypoints[:, 2] > 0).any())


def annotated_instances(
    annotations: str | Path, schema: KeypointSchema, images_dir: str | Path | None = None
) -> list[Instance]:
    """Return the people of a COCO file that have a labelled keypoint.

    Raises InputError where the file is not COCO, an image is missing, no person is labelled, or the keypoints are not
    the schema's.
    """
    dataset = load_dataset(annotations, images_dir)
    truth, own = with_keypoint_set(dataset.truth, schema, str(annotations))
    if own.names != schema.names:
        raise InputError(f"{annotations} has the keypoints of {own.name}, not of {schema.name}")
    people = instances_of(replace(dataset, truth=truth), schema, str(annotations))
    labelled = [each for each in people if each.labelled]
    if not labelled:
        raise InputError(f"{annotations}: no person in it has a labelled keypoint")
    return labelled


def instances_of(dataset: Dataset, schema: KeypointSchema, name: str) -> list[Instance]:
    """Return the people of a data set whose keypoints are the schema's, in the order of its images.

    name: for keys. People without a labelled keypoint are there with none. Raises InputError without any person.
    """
    instances = []
    for image_id, people in people_by_image(dataset.truth).items():
        instances += [
            Instance(
                f"{name}#{each.id}",
                dataset.paths[image_id],
                box,
                _keypoints(each, schema),
                dataset.size(image_id),
            )
            for each, box in zip(people, boxes_xyxy(people), strict=True)
        ]
    if not instances:
        raise InputError(f"{name}: there are no people in it, labelled or not")
    return instances


def _keypoints(person: Annotation, schema: KeypointSchema) -> F32:
    if not person.labelled:
        return np.zeros((len(schema), 3), np.float32)
    return keypoints_xyv([person])[0]


def unlabelled_instances(
    directory: str | Path, schema: KeypointSchema, detector: str = ""
) -> list[Instance]:
    """Return the people in the pictures of a directory, for a teacher to label.

    detector: an artifact's directory or its name, which finds the people (see `found_boxes`); where empty, one person
    fills each picture.
    Raises InputError where the detector finds nobody or is none, SourceError without pictures.
    """
    unlabelled = np.zeros((len(schema), 3), np.float32)
    pictures = image_files(Path(directory))
    if not detector:
        return [
            Instance(path.name, path, whole_frame(picture.shape[1::-1])[0], unlabelled)
            for path, picture in read_images(pictures)
        ]
    with load(detector) as model:
        found = find_boxes(model, pictures)
    people = [
        Instance(f"{path.name}#{number}", path, box, unlabelled)
        for path, boxes in found.items()
        for number, box in enumerate(boxes)
    ]
    if not people:
        raise InputError(f"{directory}: {detector} finds nobody in its pictures")
    return people


def drawn_instances(
    directory: str | Path,
    seed: int,
    pictures: int,
    schema: KeypointSchema,
    version: DrawnVersion = 1,
) -> list[Instance]:
    """Return drawn people with exact ground truth, rendered into `directory` on the first call and read later."""
    return annotated_instances(drawn_annotations(directory, seed, pictures, version), schema)


def drawn_annotations(
    directory: str | Path, seed: int, pictures: int, version: DrawnVersion = 1
) -> Path:
    """Return the annotation file of drawn pictures, rendered if missing into a folder named after the arguments."""
    folder = Path(directory) / f"{DRAWN_FOLDERS[version]}-seed{seed}-{pictures}"
    annotations = folder / ANNOTATIONS
    if not annotations.is_file():
        try:
            write_dataset(folder, seed, pictures, version=version)
        except OSError:
            # another process may have rendered the same pictures in the meantime: the first one wins
            if not annotations.is_file():
                raise
    return annotations
