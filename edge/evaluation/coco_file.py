"""Reader of COCO annotation files as tools really write them.

Taken: ids as numbers or text, flags as booleans, missing sizes, areas, boxes and categories, people without keypoints,
NaN, a byte order mark. What cannot be used is left out and counted in one warning; what contradicts itself is refused.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from edge.evaluation.coco import XYWH, Annotation, Category, CocoImage, GroundTruth, Id, extent_xywh
from edge.evaluation.coco_ids import distinct_annotations, distinct_images
from edge.evaluation.coco_json import RawAnnotation, RawCategory, RawImage, decode_file
from edge.evaluation.coco_values import (
    box_of,
    count_of,
    flag_of,
    head_wh_of,
    id_of,
    is_usable,
    lies_far_outside,
    number_of,
    numbers_of,
    reaches_beyond,
    side_of,
    usable,
)
from edge.evaluation.person_category import check_used, person_category
from edge.geometry import Size
from runtimes.errors import InputError, warn

# What is counted, for one and for many.
_PROBLEMS = {
    "image copy": ("1 image is listed twice", "{} images are listed twice"),
    "copy": (
        "1 annotation is there twice and counts once",
        "{} annotations are there twice and count once",
    ),
    "shared id": (
        "1 annotation has another's id and gets one of its own",
        "{} annotations have another's id and get one of their own",
    ),
    "stray": (
        "1 annotation of an image that the file does not list is left out",
        "{} annotations of images that the file does not list are left out",
    ),
    "no category": (
        "1 annotation without a category_id is left out",
        "{} annotations without a category_id are left out",
    ),
    "bare": (
        "1 person without a usable box or a labelled keypoint is left out",
        "{} people without a usable box or a labelled keypoint are left out",
    ),
    "no box": (
        "1 person has no box: the box around the keypoints is used",
        "{} people have no box: the boxes around their keypoints are used",
    ),
    "bad box": (
        "1 box is negative, empty, not finite or outside its image: the box around the keypoints is used",
        "{} boxes are negative, empty, not finite or outside their image: the boxes around the keypoints are used",
    ),
    "beyond": (
        "1 box reaches beyond its image (COCO boxes are x, y, width, height)",
        "{} boxes reach beyond their images (COCO boxes are x, y, width, height)",
    ),
    "far": (
        "1 person has keypoints far outside the image",
        "{} people have keypoints far outside their images",
    ),
    "bad keypoint": (
        "1 keypoint is not finite and counts as unlabelled",
        "{} keypoints are not finite and count as unlabelled",
    ),
    "bad area": (
        "1 area is not above 0: 0.53 of the box is used",
        "{} areas are not above 0: 0.53 of the box is used",
    ),
}
_KEYPOINTS = ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")


def load_ground_truth(path: str | Path, category: str | None = None) -> GroundTruth:
    """Read a COCO annotation file; fields it does not need are skipped.

    category: name or id of the category of people, for files that name none `person`. A person without a usable box
    gets the one around the labelled keypoints. Warns with the numbers of what was left out or replaced. Raises
    InputError where the file cannot be read, is no such JSON, has two images of one id or a value of the wrong kind,
    annotates none of its images, or where its category of people cannot be determined.
    """
    file = _read(path)
    person = person_category(path, file.categories, file.used, file.with_keypoints, category)
    check_used(path, file.categories, file.used, person)
    # an annotation without a category can only be of the one there is
    only = person if len(file.categories) <= 1 else None
    return _ground_truth(
        file, person, [(n, only if kind is None else kind) for n, kind in enumerate(file.kinds)]
    )


def load_categories(path: str | Path) -> list[GroundTruth]:
    """Read every category that has keypoints on its own, such as AP-10K's animals: `person` of each is one of them.

    Warns and raises as `load_ground_truth`, and where no category has keypoints.
    """
    file = _read(path)
    listed = [each.id for each in file.categories] or sorted(file.used, key=str)
    wanted = [each for each in listed if each in file.with_keypoints]
    if not wanted:
        raise InputError(f"{path}: no annotation has keypoints; there is nothing to evaluate on")
    return [
        _ground_truth(file, each, [(n, kind) for n, kind in enumerate(file.kinds) if kind == each])
        for each in wanted
    ]


@dataclass(frozen=True, slots=True)
class _File:
    """A decoded file: `kinds` has each annotation's category, None where it has none; `copies`: of images, dropped."""

    path: str
    images: tuple[CocoImage, ...]
    categories: tuple[Category, ...]
    annotations: Sequence[RawAnnotation]
    kinds: Sequence[Id | None]
    copies: int

    @property
    def used(self) -> set[Id]:
        """The categories of annotations."""
        return {kind for kind in self.kinds if kind is not None}

    @property
    def with_keypoints(self) -> set[Id]:
        """The categories of annotations that have keypoints."""
        return {
            kind
            for kind, raw in zip(self.kinds, self.annotations, strict=True)
            if kind is not None and isinstance(raw.keypoints, list) and any(raw.keypoints)
        }


def _read(path: str | Path) -> _File:
    content = decode_file(Path(path))
    images = tuple(_image(raw, f"{path}: images[{n}]") for n, raw in enumerate(content.images))
    distinct = distinct_images(path, images)
    categories = tuple(
        _category(raw, f"{path}: categories[{n}]") for n, raw in enumerate(content.categories)
    )
    kinds = [_kind(raw, path, n) for n, raw in enumerate(content.annotations)]
    copies = len(images) - len(distinct)
    return _File(
        str(path), tuple(distinct.values()), categories, content.annotations, kinds, copies
    )


def _ground_truth(file: _File, person: Id, wanted: Sequence[tuple[int, Id | None]]) -> GroundTruth:
    """Convert the annotations of these places, whose categories come with them."""
    reader = _Reader(file.path, {image.id: image.wh for image in file.images}, person)
    read = [reader.annotation(file.annotations[n], n, kind) for n, kind in wanted]
    reader.counts["image copy"] = file.copies
    found = distinct_annotations((each for each in read if each is not None), reader.counts)
    _refuse_normalised(file.path, [each for each in found if each.category_id == person])
    reader.report([file.annotations[n] for n, _ in wanted])
    return GroundTruth(
        images=file.images, annotations=found, categories=file.categories, person=person
    )


@dataclass(slots=True)
class _Reader:
    """Converts annotations of one file, and counts what is wrong with those of people."""

    path: str
    sizes: dict[Id, Size | None]
    person: Id
    counts: Counter[str] = field(default_factory=Counter)

    def annotation(self, raw: RawAnnotation, number: int, category: Id | None) -> Annotation | None:
        """Return an annotation; None, counted, where it cannot be used."""
        place = f"{self.path}: annotations[{number}]"
        image_id = id_of(raw.image_id, f"{place}.image_id")
        if image_id not in self.sizes:
            self.counts["stray"] += 1
            return None
        if category is None:
            self.counts["no category"] += 1
            return None
        name = f"[{number}]" if raw.id is None else id_of(raw.id, f"{place}.id")
        is_person = category == self.person
        counts = self.counts if is_person else Counter[str]()
        given = {
            part: _keypoints(value, self.path, name, counts)
            for part in _KEYPOINTS
            if (value := getattr(raw, part)) is not None
        }
        keypoints = given.get("keypoints", ())
        box = _box(raw, place, self.sizes[image_id], keypoints, counts)
        if box is None and is_person:
            counts["bare"] += 1
            return None
        if box is not None:
            counts["beyond"] += reaches_beyond(box, self.sizes[image_id])
            counts["far"] += lies_far_outside(keypoints, self.sizes[image_id])
        area = number_of(raw.area, f"{place}.area")
        if raw.area is not None and not 0 < area < float("inf") and any(keypoints[2::3]):
            counts["bad area"] += 1
        person = Annotation(
            id=name,
            image_id=image_id,
            category_id=category,
            bbox=box or (0.0, 0.0, 0.0, 0.0),
            area=area if 0 < area < float("inf") else None,
            iscrowd=flag_of(raw.iscrowd, f"{place}.iscrowd"),
            num_keypoints=count_of(raw.num_keypoints),
            head_wh=head_wh_of(raw.bbox_head, raw.headbox, place),
        )
        return msgspec.structs.replace(person, **given)

    def report(self, annotations: Sequence[RawAnnotation]) -> None:
        """Warn in one line of what was counted; raise InputError where no annotation is of a listed image."""
        if annotations and self.counts["stray"] == len(annotations):
            first = annotations[0]
            raise InputError(
                f"{self.path}: annotation {first.id} is of image {first.image_id}, which the "
                "file does not list, and so are all others; is it a complete annotation file?"
            )
        notes = [
            texts[count > 1].format(count)
            for problem, texts in _PROBLEMS.items()
            if (count := self.counts[problem])
        ]
        if notes:
            warn(f"{self.path}: {'; '.join(notes)}")


def _image(raw: RawImage, place: str) -> CocoImage:
    name = raw.file_name or raw.coco_url
    if not isinstance(name, str):
        raise InputError(f"{place} has no file_name (nor coco_url)")
    level = number_of(raw.crowd_index, f"{place}.crowdIndex")
    return CocoImage(
        id=id_of(raw.id, f"{place}.id"),
        file_name=name,
        width=side_of(raw.width, f"{place}.width"),
        height=side_of(raw.height, f"{place}.height"),
        crowd_index=level if level == level else None,  # noqa: PLR0124 NaN: not given
    )


def _category(raw: RawCategory, place: str) -> Category:
    names = raw.keypoints if isinstance(raw.keypoints, list) else []
    return Category(
        id=id_of(raw.id, f"{place}.id"),
        name="" if raw.name is None else str(raw.name),
        keypoints=tuple(map(str, names)),
    )


def _kind(raw: RawAnnotation, path: str | Path, number: int) -> Id | None:
    if raw.category_id is None:
        return None
    return id_of(raw.category_id, f"{path}: annotations[{number}].category_id")


def _keypoints(value: Any, path: str, name: Id, counts: Counter[str]) -> tuple[float, ...]:
    """Return keypoints x, y, v; those without a usable position are 0, 0, 0."""
    values = numbers_of(value, f"{path}: annotation {name} keypoints")
    if len(values) % 3:
        raise InputError(
            f"{path}: annotation {name} has {len(values)} keypoint values; COCO keypoints are triplets x, y, v"
        )
    if usable(values):
        return values
    clean: list[float] = []
    for first in range(0, len(values), 3):
        good = usable(values[first : first + 3])
        counts["bad keypoint"] += not good
        clean += values[first : first + 3] if good else (0.0, 0.0, 0.0)
    return tuple(clean)


def _box(
    raw: RawAnnotation,
    place: str,
    wh: Size | None,
    keypoints: tuple[float, ...],
    counts: Counter[str],
) -> XYWH | None:
    """Return the box, else the one around the labelled keypoints, else None."""
    box = box_of(raw.bbox, f"{place}.bbox")
    if box is not None and is_usable(box, wh):
        return box
    points = [keypoints[n : n + 3] for n in range(0, len(keypoints), 3) if keypoints[n + 2] > 0]
    if not points:
        return None
    counts["no box" if box is None else "bad box"] += 1
    x, y, width, height = extent_xywh(sum(points, ()))
    return x, y, max(width, 1.0), max(height, 1.0)


def _refuse_normalised(path: str | Path, people: Sequence[Annotation]) -> None:
    """Raise InputError where all labelled keypoints lie within 0..1: they are parts of the image, and no pixels."""
    values = [
        value
        for person in people
        for n in range(0, len(person.keypoints), 3)
        if person.keypoints[n + 2] > 0
        for value in person.keypoints[n : n + 2]
    ]
    if values and max(map(abs, values)) <= 1:
        raise InputError(
            f"{path}: all keypoints lie within 0..1, normalised by the image's size; COCO has pixels: "
            "multiply boxes and keypoints by width and height"
        )
