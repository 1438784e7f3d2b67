"""Keypoint schemas: names, skeleton edges, left/right pairs, sigmas; the flip order is derived from the pairs."""

import difflib
import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from runtimes.errors import InputError
from runtimes.record import Record
from runtimes.spec import KeypointsSpec

SCHEMAS = (
    "coco17",
    "body26",
    "coco133",
    "halpe136",
    "sapiens308",
    "openpose18",
    "body25",
    "aic14",
    "mpii16",
    "ap10k17",
    "crowdpose14",
    "posetrack18",
    "hand21",
    "face68",
    "face98",
    "face106",
)

# Sets with names of their own for keypoints that others have (assets/correspondence).
CORRESPONDING = ("sapiens308",)


@dataclass(frozen=True, slots=True)
class KeypointSchema:
    """One keypoint set: `edges` and `left_right` are 0-based index pairs; `sigmas` are COCO's, empty if unpublished."""

    name: str
    names: tuple[str, ...]
    edges: tuple[tuple[int, int], ...] = ()
    left_right: tuple[tuple[int, int], ...] = ()
    sigmas: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.names)
        if not count or len(set(self.names)) != count:
            raise InputError(f"schema {self.name}: keypoint names must be given and differ")
        if any(
            not 0 <= index < count for pair in (*self.edges, *self.left_right) for index in pair
        ):
            raise InputError(
                f"schema {self.name}: an edge or pair names a keypoint outside 0..{count - 1}"
            )
        paired = [index for pair in self.left_right for index in pair]
        if len(set(paired)) != len(paired):
            raise InputError(f"schema {self.name}: a keypoint is in two left/right pairs")
        if self.sigmas and len(self.sigmas) != count:
            raise InputError(f"schema {self.name}: {len(self.sigmas)} sigmas for {count} keypoints")

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Return the number of the keypoint of this name; raises InputError with the nearest names."""
        if name in self.names:
            return self.names.index(name)
        near = difflib.get_close_matches(str(name), self.names, n=3, cutoff=0.5) or self.names[:5]
        raise InputError(f"{self.name} has no keypoint {name!r}; it has {', '.join(near)} ...")

    @property
    def flip_order(self) -> NDArray[np.intp]:
        """Indices that mirror the keypoints, intp (K,): mirrored = keypoints[flip_order]."""
        order = np.arange(len(self.names), dtype=np.intp)
        for left, right in self.left_right:
            order[left], order[right] = right, left
        return order

    @classmethod
    def from_spec(cls, spec: KeypointsSpec) -> "KeypointSchema":
        """Return the schema of a manifest's record."""
        return cls(spec.name, spec.names, spec.edges, spec.pairs, spec.sigmas)

    def to_spec(self) -> KeypointsSpec:
        """Return the record for a manifest."""
        return KeypointsSpec(
            name=self.name,
            names=self.names,
            edges=self.edges,
            pairs=self.left_right,
            sigmas=self.sigmas,
        )


# The name of a known keypoint set, or a set of the user's own.
KeypointSet: TypeAlias = str | KeypointSchema


@functools.cache
def load_schema(name: str) -> KeypointSchema:
    """Return the schema of that name; raises InputError with the known names."""
    if name not in SCHEMAS:
        raise InputError(f"unknown keypoint schema {name!r}; known: {', '.join(SCHEMAS)}")
    data: Any = resources.files("edge").joinpath(f"assets/keypoints/{name}.json").read_bytes()
    return KeypointSchema.from_spec(msgspec.json.decode(data, type=KeypointsSpec))


class Correspondence(Record, frozen=True, kw_only=True):
    """Names that a keypoint set has for keypoints that other sets name otherwise: theirs to its own.

    sources: where each is stated, or what it is inferred from.
    """

    sources: tuple[str, ...]
    names: dict[str, str]


@functools.cache
def common_names(schema: KeypointSchema) -> tuple[str, ...]:
    """Return a set's names as other sets spell them: COCO-WholeBody's for faces and fingers of Sapiens' 308."""
    if schema.name not in CORRESPONDING or schema.names != load_schema(schema.name).names:
        return schema.names
    path = resources.files("edge").joinpath(f"assets/correspondence/{schema.name}.json")
    found = msgspec.json.decode(path.read_bytes(), type=Correspondence)
    common = {own: name for name, own in found.names.items()}
    return tuple(common.get(name, name) for name in schema.names)


def shared_keypoints(source: KeypointSchema, target: KeypointSchema) -> NDArray[np.intp]:
    """Return the index in `source` of each keypoint of `target`, intp (K,); -1 where `source` lacks it."""
    places = {name: place for place, name in enumerate(common_names(source))}
    return np.array([places.get(name, -1) for name in common_names(target)], np.intp)


def schema_of(keypoints: KeypointSet) -> KeypointSchema:
    """Return the set itself, or the known one of that name."""
    return keypoints if isinstance(keypoints, KeypointSchema) else load_schema(keypoints)


def plain_name(text: str) -> str:
    """Return a text as the name of a keypoint set, which becomes a part of file names."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "_", text)


def numbered_schema(count: int) -> KeypointSchema:
    """Return `count` keypoints that nothing names: kp0, kp1, ... without edges, pairs and sigmas."""
    return KeypointSchema(f"{count}keypoints", tuple(f"kp{index}" for index in range(count)))


def numbered_range(stem: str, count: int) -> str:
    """Return names with numbers in short: `kp0 ... kp16`, or `kp0` where it is the only one."""
    return f"{stem}0 ... {stem}{count - 1}" if count > 1 else f"{stem}0"


def known_schema(names: Sequence[str]) -> str | None:
    """Return the name of the known set with exactly these keypoints in this order, as mmpose or we spell them."""
    wanted = canonical_names(names)
    return next(
        (name for name in SCHEMAS if canonical_names(load_schema(name).names) == wanted), None
    )


def pairs_by_name(names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Return the left/right pairs that names show: left_eye and right_eye, L_Eye and R_Eye."""
    plain = canonical_names(names)
    places = {name: place for place, name in enumerate(plain)}
    return tuple(
        (place, places[other])
        for name, place in places.items()
        if "left" in name and (other := name.replace("left", "right")) in places
    )


def canonical_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return keypoint names in one spelling, to compare: without case and separators, `L_` as `left`.

    mmpose has L_F_Paw, `top_head` and `kpt-7`, and other tools leftEye and "Left Eye", where we have another.
    """
    apart = (re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.strip()).casefold() for name in names)
    plain = (re.sub(r"[^\w]+|_+", "_", name).strip("_") for name in apart)
    return tuple(_respelled(name).replace("_", "") for name in plain)


def _respelled(name: str) -> str:
    for pattern, spelling in _SPELLINGS:
        name = re.sub(pattern, spelling, name)
    return name


_SPELLINGS = (
    (r"^l_", "left_"),
    (r"^r_", "right_"),
    (r"_f_paw$", "_front_paw"),
    (r"_b_paw$", "_back_paw"),
    (r"^top_head$", "head"),
    (r"^wrist$", "hand_root"),
    (r"^(kpt|face)_(?=\d+$)", "face_"),
)
