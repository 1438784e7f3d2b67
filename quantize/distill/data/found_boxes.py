"""Boxes of people that a detector finds in pictures, kept in the user's cache: the next run reads them.

One file a detector, named by the hash of its manifest, which has those of its files and its thresholds. In it boxes are
listed by the hash of the picture's file, so that a changed or new picture is detected in, and no other.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from edge.codecs.people import person_labels, with_labels
from edge.geometry import reaching, solid_boxes
from edge.media.image_files import read_images
from edge.model import Model
from edge.pipeline import DET_THRS
from edge.types import F32, U8
from runtimes.artifact import sha256_of
from runtimes.errors import InputError, SourceError, warn
from runtimes.files import atomic_file, cache_dir
from runtimes.record import MALFORMED, Record


class FoundBoxes(Record, frozen=True, kw_only=True):
    """boxes: xyxy in pixels, by the sha256 of the picture's file."""

    format: int = 1
    boxes: dict[str, list[tuple[float, float, float, float]]]


def find_boxes(detector: Model, pictures: Sequence[Path]) -> dict[Path, F32]:
    """Return the boxes of the people in each picture that can be read, float32 (N, 4) xyxy, in the order given.

    Raises InputError for a model that is no detector, SourceError where no picture can be read.
    """
    if not detector.spec.is_detector:
        raise InputError(f"--detector {detector.name}: task {detector.spec.task}, no detector")
    sure = detector.with_threshold(DET_THRS["oks"])
    path = cache_dir() / "boxes" / f"{_identity(sure)}.json"
    known = _read(path)
    hashes = {picture: sha256_of(picture) for picture in pictures}
    missing = [picture for picture in pictures if hashes[picture] not in known]
    if missing:
        try:
            _detect(_finder(sure), missing, hashes, known)
        except SourceError as error:
            if len(missing) == len(pictures):
                raise
            warn(str(error))
        finally:
            _write(path, known)
    return {
        picture: np.array(known[each], np.float32).reshape(-1, 4)
        for picture, each in hashes.items()
        if each in known
    }


def _identity(detector: Model) -> str:
    return hashlib.sha256(msgspec.json.encode(detector.spec, order="deterministic")).hexdigest()


def _finder(detector: Model) -> Callable[[U8], F32]:
    labels = person_labels(detector.spec)

    def find(picture: U8) -> F32:
        boxes = with_labels(detector.detect(picture), labels).boxes
        inside: F32 = boxes[solid_boxes(boxes) & reaching(boxes, picture.shape[1::-1])]
        return inside

    return find


def _detect(
    find: Callable[[U8], F32],
    pictures: Sequence[Path],
    hashes: dict[Path, str],
    known: dict[str, list[tuple[float, float, float, float]]],
) -> None:
    """Add to `known` the boxes of pictures, one after the other."""
    for path, picture in read_images(pictures):
        known[hashes[path]] = [(box[0], box[1], box[2], box[3]) for box in find(picture).tolist()]


def _read(path: Path) -> dict[str, list[tuple[float, float, float, float]]]:
    """Return what was found before; nothing where the file is missing or damaged, so that it is written anew."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=FoundBoxes).boxes
    except (OSError, *MALFORMED):
        return {}


def _write(path: Path, boxes: dict[str, list[tuple[float, float, float, float]]]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as stream:
            stream.write(msgspec.json.encode(FoundBoxes(boxes=boxes)))
    except OSError as error:
        warn(f"{path}: the boxes that were found cannot be kept ({error.strerror})")
