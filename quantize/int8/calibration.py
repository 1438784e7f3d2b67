"""Images for int8: three sets that share no picture, cut by the deployed preprocessing.

`calibrate` gives ranges, `search` chooses layers by agreement with the float artifact, `report` judges and is used for
nothing else. A picture belongs to one set whatever its name is: sets are parted by the hash of its pixels, so that the
same pictures give the same sets, in any order and under any name.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.evaluation.coco import (
    Dataset,
    boxes_xyxy,
    find_images,
    load_ground_truth,
    people_by_image,
)
from edge.image import read_image
from edge.model import Model
from edge.pipeline import people
from edge.synth import draw_crops
from edge.types import F32, U8
from export.inputs import IMAGE_SUFFIXES, photo_inputs
from runtimes.errors import InputError
from runtimes.spec import Calibration, ModelSpec

# Pictures a set holds at most, and the fewest that ranges, or a verdict, can be taken from. Detectors are judged by the
# share of boxes matched, whose interval more pictures narrow.
CALIBRATE, SEARCH, REPORT = 128, 64, 128
DETECTOR_REPORT = 256
FEWEST = 32
SYNTH_SEED = 7_000_000
SYNTH = "synth"

# One picture: uint8 BGR (H, W, 3) and the people in it, xyxy (N, 4).
Finder = Callable[[U8], F32]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture and a box in it, and the hash of its pixels."""

    frame: U8
    box: F32
    sha256: str


@dataclass(frozen=True, slots=True)
class Sets:
    """Three sets of inputs uint8 BGR (N, H, W, 3) for one model; `source` in words, `sha256` of the calibrating one."""

    calibrate: NDArray[np.uint8]
    search: NDArray[np.uint8]
    report: NDArray[np.uint8]
    source: str
    sha256: str

    def record(self, method: str) -> Calibration:
        """Return what the manifest keeps of it."""
        return Calibration(
            source=self.source, samples=len(self.calibrate), sha256=self.sha256, method=method
        )


def gather_sets(
    spec: ModelSpec,
    source: str | Path,
    images_dir: Path | None = None,
    *,
    finder: Finder | None = None,
    avoid: frozenset[str] = frozenset(),
) -> Sets:
    """Return the sets of a directory, a COCO.json (one labelled person a picture) or `synth` (drawn people).

    finder: finds people (a detector) in the pictures of a directory, for models that see one person; without, each
    picture is taken for a crop of one. avoid: hashes of pictures that belong to somebody else, an evaluation.
    Raises InputError where there are too few, saying how many, or nobody in them.
    """
    label = "drawn people" if str(source) == SYNTH else f"photographs of {Path(source).name}"
    wanted = CALIBRATE + SEARCH + (DETECTOR_REPORT if spec.is_detector else REPORT)
    found: dict[str, Picture] = {}
    empty = 0
    regions = _regions(source, images_dir, finder if spec.takes_boxes else None, wanted)
    for frame, box in regions:
        if box is None:
            empty += 1
            continue
        key = pixel_hash(frame)
        if key not in avoid:
            found.setdefault(key, Picture(frame, box, key))
        if len(found) == wanted:
            break
    if len(found) < FEWEST:
        nobody = f" and {empty} more with nobody in them" if empty else ""
        raise InputError(
            f"{source}: {len(found)} usable pictures{nobody}; int8 needs at least {FEWEST} with people, some to "
            f"calibrate and others to judge by, and takes up to {wanted}"
        )
    return _parted(spec, list(found.values()), label)


def people_finder(detector: Model) -> Finder:
    """Return what finds people in a picture, the surest first."""

    def find(frame: U8) -> F32:
        found = people(detector.detect(frame), detector.spec.classes)
        boxes: F32 = found.boxes[np.argsort(-found.scores, kind="stable")]
        return boxes

    return find


def pixel_hash(frame: U8) -> str:
    """Return the sha256 of a picture's shape and pixels."""
    digest = hashlib.sha256(repr(frame.shape).encode())
    digest.update(np.ascontiguousarray(frame).tobytes())
    return digest.hexdigest()


def pixel_hashes(dataset: Dataset | None) -> frozenset[str]:
    """Return the hashes of a dataset's pictures: what must calibrate nothing because it evaluates."""
    paths = dataset.paths.values() if dataset else ()
    return frozenset(pixel_hash(read_image(path)) for path in paths)


def _parted(spec: ModelSpec, pictures: Sequence[Picture], label: str) -> Sets:
    """Cut the pictures, in the order of their hashes, into the three sets; the shares are those of full sets.

    Pictures beyond full sets report.
    """
    total = CALIBRATE + SEARCH + REPORT
    shared = sorted(pictures[:total], key=lambda each: each.sha256)
    first = len(shared) * CALIBRATE // total
    second = first + len(shared) * SEARCH // total
    parts = (shared[:first], shared[first:second], [*shared[second:], *pictures[total:]])
    images = [
        photo_inputs(spec, [(each.frame, each.box) for each in part], label).images
        for part in parts
    ]
    digest = hashlib.sha256("".join(each.sha256 for each in parts[0]).encode()).hexdigest()
    return Sets(images[0], images[1], images[2], label, digest)


def _regions(
    source: str | Path, images_dir: Path | None, finder: Finder | None, most: int
) -> Iterator[tuple[U8, F32 | None]]:
    """Yield pictures with a person's box, None where there is nobody; drawn ones end at `most`."""
    path = Path(source)
    if str(source) == SYNTH:
        yield from draw_crops(SYNTH_SEED, most)
    elif path.is_dir():
        yield from _directory(path, finder)
    elif path.is_file():
        yield from _coco(path, images_dir)
    else:
        raise InputError(f"--calib {source}: no such directory or COCO.json; `synth` draws people")


def _directory(folder: Path, finder: Finder | None) -> Iterator[tuple[U8, F32 | None]]:
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            continue
        frame = read_image(path)
        if finder is None:
            yield frame, np.array([0, 0, frame.shape[1], frame.shape[0]], np.float32)
        else:
            boxes = finder(frame)
            yield frame, boxes[0] if len(boxes) else None


def _coco(annotations: Path, images_dir: Path | None) -> Iterator[tuple[U8, F32 | None]]:
    """Yield each image with its first labelled person, or first box where keypoints are not what the file is about."""
    truth = load_ground_truth(annotations)
    paths = find_images(truth, annotations, images_dir)
    posed = any(each.keypoints for each in truth.annotations)
    for image_id, there in people_by_image(truth).items():
        usable = [each for each in there if each.labelled] if posed else there
        yield read_image(paths[image_id]), boxes_xyxy(usable)[0] if usable else None
