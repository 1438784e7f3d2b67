"""Labelled data sets: an annotation file with its images; evaluation, calibration and training read them here."""

import os
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from edge.evaluation.coco import GroundTruth, Id, boxes_xyxy, people_by_image
from edge.evaluation.coco_file import load_categories, load_ground_truth
from edge.geometry import Size
from edge.image import read_image
from edge.types import F32, U8
from runtimes.errors import InputError


@dataclass(frozen=True, slots=True)
class Dataset:
    """Ground truth with its images: `paths` maps image ids to files."""

    truth: GroundTruth
    paths: dict[Id, Path]
    _sizes: dict[Id, Size | None] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_sizes", {image.id: image.wh for image in self.truth.images})

    def size(self, image_id: Id) -> Size | None:
        """Return the annotated width and height of an image; None where the file does not say."""
        return self._sizes[image_id]

    def only(self, image_ids: Container[Id]) -> "Dataset":
        """Return the set with the files of these images alone; the ground truth stays, and is scored as a whole."""
        return Dataset(self.truth, {n: path for n, path in self.paths.items() if n in image_ids})

    def image(self, image_id: Id) -> U8:
        """Return an image uint8 BGR (H, W, 3), turned as it was annotated; raises SourceError as `read_image`."""
        return read_image(self.paths[image_id], self.size(image_id))


def load_dataset(
    annotations: str | Path, images_dir: str | Path | None = None, category: str | None = None
) -> Dataset:
    """Read an annotation file and find its images; raises as `load_ground_truth` and `find_images`."""
    truth = load_ground_truth(annotations, category)
    if not truth.images:
        raise InputError(f"{annotations} lists no images; there is nothing to evaluate on")
    return Dataset(truth, find_images(truth, annotations, images_dir))


def load_category_datasets(
    annotations: str | Path, images_dir: str | Path | None = None
) -> list[Dataset]:
    """Read each category that has keypoints as a data set of all images; raises as `load_dataset`."""
    truths = load_categories(annotations)
    paths = find_images(truths[0], annotations, images_dir)
    return [Dataset(truth, paths) for truth in truths]


def first_people(dataset: Dataset) -> Iterator[tuple[U8, F32 | None]]:
    """Yield each image with a person's box xyxy (4,): the first labelled one, None where there is none.

    The first box of any person where the file labels no keypoints at all.
    """
    has_keypoints = any(person.labelled for person in dataset.truth.people)
    for image_id, there in people_by_image(dataset.truth).items():
        usable = [person for person in there if person.labelled or not has_keypoints]
        yield dataset.image(image_id), boxes_xyxy(usable)[0] if usable else None


def find_images(
    truth: GroundTruth, annotations: str | Path, images_dir: str | Path | None = None
) -> dict[Id, Path]:
    """Return the path of each image: in `images_dir` if given, else beside the annotation file or in images/ there.

    A file name may hold folders that are not there, with slashes or backslashes, and may be a URL: its last parts are
    enough. Raises InputError with the number of images that are missing, the first of them and the folders searched,
    and where two names lead to one file.
    """
    beside = Path(annotations).parent
    folders = [Path(images_dir)] if images_dir is not None else [beside, beside / "images"]
    found: dict[Id, Path] = {}
    names: dict[Path, str] = {}
    missing = []
    for image in truth.images:
        paths = (folder / name for folder in folders for name in _names(image.file_name))
        path = next((each for each in paths if os.path.isfile(each)), None)  # noqa: PTH113 no error for odd names
        if path is None:
            missing.append(image.file_name)
            continue
        other = names.setdefault(path, image.file_name)
        if other != image.file_name:
            raise InputError(
                f"{annotations}: {_printable(other)} and {_printable(image.file_name)} are both found as {path}; "
                "give the folder above theirs with --images DIR"
            )
        found[image.id] = path
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        searched = ", ".join(str(folder) for folder in folders)
        raise InputError(
            f"no image {_printable(missing[0])}{more} (of {annotations}, {len(truth.images)} images) in {searched}; "
            "say where the images are with --images DIR"
        )
    return found


def _names(file_name: str) -> Iterator[str]:
    """Yield the names that an image may have in a folder: the whole, then without its first folders, one by one."""
    yield file_name
    spellings = [file_name, file_name.replace("\\", "/")]
    if "://" in file_name:
        spellings = [unquote(urlsplit(file_name).path)]
    for spelling in dict.fromkeys(spellings):
        parts = PurePosixPath(spelling).parts
        for first in range(len(parts)):
            yield str(PurePosixPath(*parts[first:]))


def _printable(name: str) -> str:
    """Return a name for a message: at most 120 characters, the odd ones escaped."""
    short = name if len(name) <= 120 else f"{name[:117]}..."
    return short if short.isprintable() else ascii(short)
