"""What a teacher says of every person, written to disk once: a large teacher runs once, not every epoch.

A directory of shards (float16 maps with the crops they were made of) and an index that names teacher, people and every
shard's sha256. A shard appears whole or not at all, so an interrupted writing goes on where it stopped.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from edge.geometry import Size, make_crops
from edge.types import F32, F64, U8
from quantize.distill.data.instances import Person
from quantize.distill.data.keypoint_transfer import KeypointMap, select, warp_maps
from quantize.distill.data.patch_cache import Album
from quantize.distill.data.samples import warp
from quantize.distill.data.targets import strides
from quantize.distill.teacher import Teacher, ask
from runtimes.artifact import sha256_of
from runtimes.codec_spec import HeatmapCodec
from runtimes.errors import ArtifactError
from runtimes.record import Record

INDEX = "index.json"
SHARD = 256
BATCH = 8
UDP = HeatmapCodec(refine="udp")


class Index(Record, frozen=True, kw_only=True):
    """What lies in a directory of lessons; `shards` are the sha256 of those that are finished, in order."""

    format: int = 1
    teacher: str
    people: str
    map_wh: Size
    keypoints: int
    count: int
    shards: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lessons:
    """A teacher's maps of people, by row.

    maps: one float16 (n, K, h, w) a shard, read from disk as needed; crops: float32 (N, 2, 3), frame to the teacher's
    input; stride: input pixels of the teacher a bin spans.
    """

    maps: tuple[NDArray[np.float16], ...]
    crops: F32
    stride: F64

    def of(self, rows: Sequence[int]) -> F32:
        """Return maps float32 (len(rows), K, h, w)."""
        taken = [self.maps[row // SHARD][row % SHARD] for row in rows]
        return np.stack(taken).astype(np.float32)


def write_lessons(
    directory: Path,
    teacher: Teacher,
    album: Album,
    keypoints: KeypointMap,
    map_wh: Size,
    progress: Callable[[int, int], None],
) -> Lessons:
    """Ask the teacher about everybody, or go on where an earlier writing of the same stopped; return what it said.

    map_wh: the size in bins of what is kept (a teacher's own maps are read at these bins). progress(done, total).
    Raises ArtifactError where the directory holds another teacher's lessons or a damaged shard, OSError where the disk
    is full: what is whole stays.
    """
    wanted = Index(
        teacher=teacher.identity,
        people=_digest(album.people),
        map_wh=map_wh,
        keypoints=len(keypoints.rows),
        count=len(album),
    )
    directory.mkdir(parents=True, exist_ok=True)
    index = _begun(directory, wanted)
    first = len(index.shards) * SHARD
    for start in range(first, len(album), SHARD):
        rows = range(start, min(start + SHARD, len(album)))
        progress(start, len(album))
        path = _shard_path(directory, start // SHARD)
        _write_whole(path, _asked(teacher, album, rows, keypoints, map_wh))
        index = msgspec.structs.replace(index, shards=(*index.shards, sha256_of(path)))
        _write_index(directory, index)
    progress(len(album), len(album))
    return _opened(directory, index, teacher, album)


def upright_crops(teacher: Teacher, people: Sequence[Person]) -> F32:
    """Return the deployed crop of each person's box in the teacher's input: float32 (N, 2, 3), frame to input."""
    boxes = np.stack([person.box for person in people])
    crops = make_crops(boxes, (0, 0), teacher.spec.crop, teacher.spec.image.wh)
    return np.stack([crop.matrix for crop in crops])


def kept_stride(teacher: Teacher, map_wh: Size) -> F64:
    """Return the teacher's input pixels a kept bin spans: the first and last bins lie on the first and last pixels."""
    return strides(teacher.spec.image.wh, map_wh, UDP)


def _asked(
    teacher: Teacher, album: Album, rows: Sequence[int], keypoints: KeypointMap, map_wh: Size
) -> NDArray[np.float16]:
    found = []
    for start in range(0, len(rows), BATCH):
        some = rows[start : start + BATCH]
        answer = ask(teacher, _crops(teacher, album, some))
        scale = answer.stride / kept_stride(teacher, map_wh)
        matrix = np.concatenate([np.diag(scale), np.zeros((2, 1))], axis=1)
        maps = select(torch.from_numpy(answer.maps), keypoints)
        kept, _ = warp_maps(maps, np.tile(matrix, (len(some), 1, 1)), map_wh)
        found.append(kept.numpy().astype(np.float16))
    return np.concatenate(found)


def _crops(teacher: Teacher, album: Album, rows: Sequence[int]) -> U8:
    people = [album.people[row] for row in rows]
    boxes = np.stack([person.box for person in people])
    spec = teacher.spec
    crops = make_crops(boxes, (0, 0), spec.crop, spec.image.wh)
    images = [
        warp(album.patch(row), crop, spec.crop.pad_value)
        for row, crop in zip(rows, crops, strict=True)
    ]
    return np.stack(images)


def _begun(directory: Path, wanted: Index) -> Index:
    path = directory / INDEX
    if not path.exists():
        return wanted
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Index)
    except msgspec.DecodeError as error:
        raise ArtifactError(f"{path}: is damaged ({error}); delete {directory}") from error
    if msgspec.structs.replace(found, shards=()) != wanted:
        raise ArtifactError(
            f"{directory}: holds what another teacher said, or of other people; delete it or name another folder"
        )
    return found


def _opened(directory: Path, index: Index, teacher: Teacher, album: Album) -> Lessons:
    maps = []
    for number, wanted in enumerate(index.shards):
        path = _shard_path(directory, number)
        if not path.is_file() or sha256_of(path) != wanted:
            raise ArtifactError(f"{path}: is missing or damaged; delete {directory}")
        maps.append(np.load(path, mmap_mode="r", allow_pickle=False))
    crops = upright_crops(teacher, album.people)
    return Lessons(tuple(maps), crops, kept_stride(teacher, index.map_wh))


def _shard_path(directory: Path, number: int) -> Path:
    return directory / f"{number:05d}.npy"


def _write_whole(path: Path, values: NDArray[np.float16]) -> None:
    draft = path.with_suffix(".part")
    try:
        with draft.open("wb") as stream:
            np.save(stream, values, allow_pickle=False)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _write_index(directory: Path, index: Index) -> None:
    draft = directory / f"{INDEX}.part"
    draft.write_bytes(msgspec.json.encode(index))
    draft.replace(directory / INDEX)


def _digest(people: Sequence[Person]) -> str:
    digest = hashlib.sha256()
    for person in people:
        digest.update(person.key.encode())
        digest.update(person.box.tobytes())
    return digest.hexdigest()
