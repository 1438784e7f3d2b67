"""Person instances: boxes and keypoints from COCO files, unlabelled pictures and drawn pictures.

Files and boxes only; pixels are read in `patch_cache`.
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
class Instance:
    """One person in one picture.

    key: stable across runs, for logs and caches; box: float32 (4,) xyxy; keypoints: float32 (K, 3), x, y and visibility
    (0 unlabelled, 1 hidden, 2 visible), in the picture's pixels. All 0 where the person has no labels.
    """

    key: str
    image_path: Path
    box: F32
    keypoints: F32

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
    """Return the people of a COCO keypoint file that have a labelled keypoint and a box with an area.

    Raises InputError where the file is not COCO, an image is missing, or the number of keypoints is not the schema's.
    """
    return instances_of(load_dataset(annotations, images_dir), schema, str(annotations))


def instances_of(dataset: Dataset, schema: KeypointSchema, name: str) -> list[Instance]:
    """Return the people of a loaded data set in the order of its images; `name` goes into messages and keys."""
    instances = []
    for image_id, people in people_by_image(dataset.truth).items():
        labelled = [each for each in people if each.keypoints and min(each.bbox[2:]) > 0]
        for each in labelled:
            if len(each.keypoints) != 3 * len(schema):
                raise InputError(
                    f"{name}: annotation {each.id} has {len(each.keypoints) // 3} keypoints, "
                    f"{schema.name} has {len(schema)}; name the data set's keypoint set"
                )
        rows = zip(labelled, boxes_xyxy(labelled), keypoints_xyv(labelled), strict=True)
        instances += [
            Instance(f"{name}#{each.id}", dataset.paths[image_id], box, keypoints)
            for each, box, keypoints in rows
        ]
    instances = [instance for instance in instances if instance.labelled]
    if not instances:
        raise InputError(f"{name}: no person in it has a labelled keypoint")
    return instances


def unlabelled_instances(directory: str | Path, schema: KeypointSchema) -> list[Instance]:
    """Return one person per picture, filling it, for a teacher to label; raises InputError without pictures."""
    folder = Path(directory)
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise InputError(f"{folder}: no pictures in it; they end in {', '.join(IMAGE_SUFFIXES)}")
    unlabelled = np.zeros((len(schema), 3), np.float32)
    return [Instance(path.name, path, _whole_image(path), unlabelled) for path in paths]


def drawn_instances(
    directory: str | Path, seed: int, pictures: int, schema: KeypointSchema
) -> list[Instance]:
    """Return drawn people with exact ground truth, rendered into `directory` on the first call and read later."""
    return annotated_instances(drawn_annotations(directory, seed, pictures), schema)


def drawn_annotations(directory: str | Path, seed: int, pictures: int) -> Path:
    """Return the annotation file of drawn pictures, rendered if missing into a folder named after seed and count."""
    folder = Path(directory) / f"drawn-seed{seed}-{pictures}"
    annotations = folder / ANNOTATIONS
    if not annotations.is_file():
        try:
            write_dataset(folder, seed, pictures)
        except OSError:
            # another process may have rendered the same pictures in the meantime: the first one wins
            if not annotations.is_file():
                raise
    return annotations


def _whole_image(path: Path) -> F32:
    height, width = read_image(path).shape[:2]
    return np.array((0, 0, width, height), np.float32)
