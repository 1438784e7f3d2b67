"""Image sets for int8, without an image in common, cut by the deployed preprocessing.

`calibration` gives activation ranges, `search` the sensitivity of layers, `held_out` the verdict and nothing else.
Images are assigned by the hash of their pixels: the same images give the same sets, in any order and under any name.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.codecs.people import person_labels, with_labels
from edge.evaluation.dataset import Dataset, first_people, load_dataset
from edge.media.image_files import image_files, read_images
from edge.model import Model
from edge.synth import iterate_crops
from edge.types import F32, U8
from export.inputs import photo_inputs
from runtimes.errors import InputError
from runtimes.spec import Calibration, ModelSpec

# The most images of each set. Detectors are judged by the share of boxes matched, whose interval narrows with more.
CALIBRATION, SEARCH, HELD_OUT = 128, 64, 128
DETECTOR_HELD_OUT = 256
# The fewest images in all three sets.
FEWEST = 32
SYNTH_SEED = 7_000_000
SYNTH = "synth"

# Image uint8 BGR (H, W, 3) -> boxes of people xyxy (N, 4), the highest score first.
PersonFinder = Callable[[U8], F32]


@dataclass(frozen=True, slots=True)
class Picture:
    """An image uint8 BGR (H, W, 3), a person's box xyxy (4,) in it, and the hash of its pixels."""

    frame: U8
    box: F32
    sha256: str


@dataclass(frozen=True, slots=True)
class ImageSets:
    """Inputs uint8 BGR (N, H, W, 3) of one model; `source` in words, `sha256` of the calibration set."""

    calibration: NDArray[np.uint8]
    search: NDArray[np.uint8]
    held_out: NDArray[np.uint8]
    source: str
    sha256: str

    def record(self, method: str) -> Calibration:
        """Return the manifest's record of a calibration on these sets."""
        return Calibration(
            source=self.source, samples=len(self.calibration), sha256=self.sha256, method=method
        )


def gather_sets(
    spec: ModelSpec,
    source: str | Path,
    images_dir: Path | None = None,
    *,
    finder: PersonFinder | None = None,
    exclude: frozenset[str] = frozenset(),
    category: str | None = None,
) -> ImageSets:
    """Return the sets of a directory, a COCO.json (one labelled person an image) or `synth` (drawn people).

    finder: detects people in the images of a directory, for models of one person; without it, each image is taken for
    a crop of one. exclude: hashes of images that must not be used, those of an evaluation. category: of the people in
    a COCO.json. Raises InputError where too few images are usable, with their number.
    """
    label = "drawn people" if str(source) == SYNTH else f"photographs of {Path(source).name}"
    wanted = CALIBRATION + SEARCH + (DETECTOR_HELD_OUT if spec.is_detector else HELD_OUT)
    found: dict[str, Picture] = {}
    empty = 0
    regions = _regions(source, images_dir, category, finder if spec.takes_boxes else None)
    for frame, box in regions:
        if box is None:
            empty += 1
            continue
        key = pixel_hash(frame)
        if key not in exclude:
            found.setdefault(key, Picture(frame, box, key))
        if len(found) == wanted:
            break
    if len(found) < FEWEST:
        without = f" and {empty} more without a person" if empty else ""
        raise InputError(
            f"{source}: {len(found)} usable images{without}; int8 needs at least {FEWEST} with people, some to "
            f"calibrate and others to judge by, and takes up to {wanted}"
        )
    return _split(spec, list(found.values()), label)


def person_finder(detector: Model, det_classes: Sequence[str] = ()) -> PersonFinder:
    """Return a function that detects people in an image, the highest score first.

    det_classes: the detector's classes that are people, as `person_labels` takes them.
    """
    labels = person_labels(detector.spec, det_classes)

    def find(frame: U8) -> F32:
        found = with_labels(detector.detect(frame), labels)
        boxes: F32 = found.boxes[np.argsort(-found.scores, kind="stable")]
        return boxes

    return find


def pixel_hash(frame: U8) -> str:
    """Return the sha256 of an image's shape and pixels."""
    digest = hashlib.sha256(repr(frame.shape).encode())
    digest.update(np.ascontiguousarray(frame).tobytes())
    return digest.hexdigest()


def pixel_hashes(dataset: Dataset | None) -> frozenset[str]:
    """Return the hashes of a data set's images, which evaluate and so must not calibrate."""
    images = (dataset.image(image_id) for image_id in dataset.paths) if dataset else ()
    return frozenset(map(pixel_hash, images))


def _split(spec: ModelSpec, pictures: Sequence[Picture], label: str) -> ImageSets:
    """Split the images, in the order of their hashes, in the proportions of full sets; further ones are held out."""
    total = CALIBRATION + SEARCH + HELD_OUT
    shared = sorted(pictures[:total], key=lambda each: each.sha256)
    first = len(shared) * CALIBRATION // total
    second = first + len(shared) * SEARCH // total
    parts = (shared[:first], shared[first:second], [*shared[second:], *pictures[total:]])
    images = [
        photo_inputs(spec, [(each.frame, each.box) for each in part], label).images
        for part in parts
    ]
    digest = hashlib.sha256("".join(each.sha256 for each in parts[0]).encode()).hexdigest()
    return ImageSets(images[0], images[1], images[2], label, digest)


def _regions(
    source: str | Path, images_dir: Path | None, category: str | None, finder: PersonFinder | None
) -> Iterator[tuple[U8, F32 | None]]:
    """Yield images with a person's box, None where there is no person; drawn ones without end."""
    path = Path(source)
    if str(source) == SYNTH:
        yield from iterate_crops(SYNTH_SEED)
    elif path.is_dir():
        yield from _directory(path, finder)
    elif path.is_file():
        yield from first_people(load_dataset(path, images_dir, category))
    else:
        raise InputError(f"--calib {source}: no such directory or COCO.json; `synth` draws people")


def _directory(folder: Path, finder: PersonFinder | None) -> Iterator[tuple[U8, F32 | None]]:
    for _, frame in read_images(image_files(folder)):
        if finder is None:
            yield frame, np.array([0, 0, frame.shape[1], frame.shape[0]], np.float32)
        else:
            boxes = finder(frame)
            yield frame, boxes[0] if len(boxes) else None
