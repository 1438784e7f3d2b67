"""Training pictures of a bottom-up model: frames with all their people, placed on the network's input.

Keypoints and boxes are float32, in pixels of the frame or of the input. Every random number comes from the generator
given.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge.evaluation.coco import Annotation, Id, boxes_xyxy, keypoints_xyv
from edge.evaluation.dataset import Dataset, load_dataset
from edge.evaluation.keypoint_names import with_keypoint_set
from edge.geometry import Size
from edge.image import read_image
from edge.schema import KeypointSchema
from edge.types import F32, U8, Indices
from quantize.distill.bottom_up.targets import PictureTargets, picture_targets
from quantize.distill.data.augment import Augmentation
from quantize.distill.data.batches import SourceSlice
from quantize.distill.data.instances import drawn_annotations
from quantize.distill.data.photometric import distort
from quantize.distill.data.placement import (
    ANCHORS,
    paste_frame,
    place_boxes,
    place_keypoints,
    random_placement,
)
from quantize.distill.data.sources import (
    DRAWN,
    DRAWN_VERSIONS,
    TRAIN_SEED,
    drawn_folder,
    load_sources,
    with_shares,
)
from runtimes.errors import InputError
from runtimes.spec import CropSpec


@dataclass(frozen=True, slots=True)
class PeopleSet:
    """Pictures on disk with all their people, and the slice of each source among them.

    keypoints: of each picture, float32 (N, K, 3), of the N people with a labelled keypoint. unlabelled: float32 (M, 4)
    xyxy, the boxes of crowds and of people without one. sizes: the annotated size of each picture, None where it is its
    own. flip_order: intp (K,), which keypoint is which in a mirror.
    """

    paths: tuple[Path, ...]
    keypoints: tuple[F32, ...]
    unlabelled: tuple[F32, ...]
    slices: tuple[SourceSlice, ...]
    sizes: tuple[Size | None, ...]
    flip_order: Indices

    @property
    def people(self) -> int:
        """The number of people with a labelled keypoint."""
        return sum(map(len, self.keypoints))


def load_people(
    data: Sequence[str],
    schema: KeypointSchema,
    drawn: int,
    images: str | None = None,
    category: str | None = None,
) -> PeopleSet:
    """Return the pictures of all sources: COCO.json, or `synth` or `synth-v2` (`drawn` pictures), each `:WEIGHT`.

    Raises InputError for an unknown source, for another keypoint set (a keypoint that nobody labelled would be learned
    as background), and where no person has a labelled keypoint.
    """

    def load(name: str) -> Dataset:
        if name in DRAWN_VERSIONS:
            path = drawn_annotations(drawn_folder(), TRAIN_SEED, drawn, DRAWN_VERSIONS[name])
            dataset = load_dataset(path)
        elif Path(name).suffix == ".json":
            dataset = load_dataset(name, images, category)
        else:
            raise InputError(
                f"--data {name}: a bottom-up model learns from labelled keypoints; give a COCO.json or `{DRAWN}` or "
                f"`{DRAWN}-v2`, optionally with :WEIGHT"
            )
        truth, own = with_keypoint_set(dataset.truth, schema, name)
        if own.names != schema.names:
            raise InputError(
                f"--data {name}: has the keypoints of {own.name}, the student those of {schema.name}; a bottom-up "
                "model learns from all its keypoints: give data of that set, or --keypoints of the data's"
            )
        return replace(dataset, truth=truth)

    people = people_set(load_sources(data, load), schema)
    if not people.people:
        raise InputError("--data has no person with a labelled keypoint, so nothing can be learned")
    return replace(people, slices=with_shares(data, people.slices))


def people_set(sources: Sequence[tuple[Dataset, float]], schema: KeypointSchema) -> PeopleSet:
    """Return the pictures of COCO data sets with their sampling weights, including pictures without people."""
    paths: list[Path] = []
    keypoints: list[F32] = []
    unlabelled: list[F32] = []
    sizes: list[Size | None] = []
    slices = []
    for dataset, weight in sources:
        slices.append(SourceSlice(len(paths), len(dataset.paths), weight))
        people = _by_image(dataset)
        for image_id, path in dataset.paths.items():
            paths.append(path)
            sizes.append(dataset.size(image_id))
            known = [each for each in people[image_id] if each.labelled and not each.iscrowd]
            rest = [each for each in people[image_id] if each.iscrowd or not each.labelled]
            keypoints.append(keypoints_xyv(known).reshape(-1, len(schema), 3))
            unlabelled.append(boxes_xyxy(rest))
    return PeopleSet(
        tuple(paths),
        tuple(keypoints),
        tuple(unlabelled),
        tuple(slices),
        tuple(sizes),
        schema.flip_order,
    )


def load_sample(
    pictures: PeopleSet,
    row: int,
    input_wh: Size,
    map_wh: Size,
    crop: CropSpec,
    augmentation: Augmentation,
    rng: np.random.Generator,
) -> tuple[U8, PictureTargets]:
    """Return one augmented picture, uint8 BGR (h, w, 3), and its targets; raises SourceError for an unreadable one."""
    frame = read_image(pictures.paths[row], pictures.sizes[row])
    frame_wh = (frame.shape[1], frame.shape[0])
    placement = random_placement(frame_wh, input_wh, augmentation, rng, ANCHORS[crop.kind])
    keypoints = place_keypoints(pictures.keypoints[row], frame_wh, placement, pictures.flip_order)
    unlabelled = place_boxes(pictures.unlabelled[row], frame_wh, placement)
    image = distort(paste_frame(frame, placement, input_wh, crop.pad_value), augmentation, rng)
    return image, picture_targets(keypoints, unlabelled, input_wh, map_wh)


def _by_image(dataset: Dataset) -> dict[Id, list[Annotation]]:
    """Return every image id with its people, crowd regions included."""
    people: dict[Id, list[Annotation]] = {image_id: [] for image_id in dataset.paths}
    for person in dataset.truth.people:
        people[person.image_id].append(person)
    return people
