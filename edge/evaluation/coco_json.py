"""The JSON of COCO annotation files, decoded with its values unchecked."""

import json
from pathlib import Path
from typing import Any

import msgspec

from runtimes.errors import InputError

_BOM = b"\xef\xbb\xbf"


class RawImage(msgspec.Struct):
    """An image before its values are checked."""

    id: Any
    file_name: Any = None
    coco_url: Any = None
    width: Any = None
    height: Any = None
    crowd_index: Any = msgspec.field(name="crowdIndex", default=None)


class RawAnnotation(msgspec.Struct):
    """An annotation before its values are checked."""

    image_id: Any
    id: Any = None
    category_id: Any = None
    bbox: Any = None
    area: Any = None
    iscrowd: Any = None
    keypoints: Any = None
    num_keypoints: Any = None
    bbox_head: Any = None
    headbox: Any = None
    foot_kpts: Any = None
    face_kpts: Any = None
    lefthand_kpts: Any = None
    righthand_kpts: Any = None


class RawCategory(msgspec.Struct):
    """A category before its values are checked."""

    id: Any
    name: Any = ""
    keypoints: Any = None


class RawFile(msgspec.Struct):
    """The parts of a file that are read."""

    images: list[RawImage]
    annotations: list[RawAnnotation]
    categories: list[RawCategory] = []


def decode_file(path: Path) -> RawFile:
    """Decode a file; raises InputError where it cannot be read, or is no JSON of this structure."""
    try:
        data = path.read_bytes().removeprefix(_BOM)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check the path") from error
    try:
        return msgspec.json.decode(data, type=RawFile)
    except msgspec.ValidationError as error:
        raise InputError(f"{path} is no COCO annotation file: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _decode_lenient(path, data, error)


def _decode_lenient(path: Path, data: bytes, problem: Exception) -> RawFile:
    """Decode what Python's json takes beyond the standard: NaN, Infinity, UTF-16, whole numbers of any length."""
    try:
        return msgspec.convert(json.loads(data), RawFile)
    except msgspec.ValidationError as error:
        problem = error
    except (ValueError, RecursionError):
        pass  # the strict decoder names the place better
    raise InputError(f"{path} is no COCO annotation file: {problem}") from problem
