"""The teacher cache: a teacher's heatmaps of every training person, computed once and stored on disk.

A directory of shards (float16 heatmaps) and an index with the hashes of teacher, people and shards. Each shard is
written atomically, so an interrupted run continues after the last complete one.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from edge.geometry import Size, make_crops
from edge.types import F32, F64, U8
from quantize.distill.data.instances import Instance
from quantize.distill.data.keypoint_transfer import KeypointMap, select, warp_maps
from quantize.distill.data.patch_cache import PatchCache
from quantize.distill.data.samples import warp_patch
from quantize.distill.data.targets import strides
from quantize.distill.teachers.teacher import Teacher, predict_maps
from runtimes.artifact import sha256_of
from runtimes.codec_spec import HeatmapCodec
from runtimes.errors import ArtifactError
from runtimes.files import atomic_file
from runtimes.record import MALFORMED, Record

INDEX = "index.json"
SHARD_SIZE = 256
BATCH = 8
UDP = HeatmapCodec(refine="udp")


class Index(Record, frozen=True, kw_only=True):
    """The index of a cache directory: what the heatmaps are of, and the sha256 of the complete shards, in order."""

    format: int = 1
    teacher: str
    people: str
    map_wh: Size
    keypoints: int
    count: int
    shards: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TeacherCache:
    """A teacher's heatmaps by row of the patch cache.

    maps: one memory-mapped float16 (n, K, h, w) per shard; crops: float32 (N, 2, 3), frame to the teacher's input;
    stride: input pixels of the teacher per bin.
    """

    maps: tuple[NDArray[np.float16], ...]
    crops: F32
    stride: F64

    def maps_of(self, rows: Sequence[int]) -> F32:
        """Return heatmaps float32 (len(rows), K, h, w)."""
        taken = [self.maps[row // SHARD_SIZE][row % SHARD_SIZE] for row in rows]
        return np.stack(taken).astype(np.float32)


def build_teacher_cache(
    directory: Path,
    teacher: Teacher,
    patch_cache: PatchCache,
    keypoints: KeypointMap,
    map_wh: Size,
    progress: Callable[[int, int], None],
) -> TeacherCache:
    """Run the teacher on every person, or continue an interrupted run, and return the cache.

    map_wh: size in bins at which heatmaps are stored (resampled from the teacher's own). progress(done, total).
    Raises ArtifactError where the directory holds another cache or a damaged shard, OSError where the disk is full;
    complete shards stay.
    """
    wanted = Index(
        teacher=teacher.identity,
        people=_digest(patch_cache.instances),
        map_wh=map_wh,
        keypoints=len(keypoints.indices),
        count=len(patch_cache),
    )
    directory.mkdir(parents=True, exist_ok=True)
    index = _read_index(directory, wanted)
    first = len(index.shards) * SHARD_SIZE
    for start in range(first, len(patch_cache), SHARD_SIZE):
        rows = range(start, min(start + SHARD_SIZE, len(patch_cache)))
        progress(start, len(patch_cache))
        path = _shard_path(directory, start // SHARD_SIZE)
        maps = _predict(teacher, patch_cache, rows, keypoints, map_wh)
        with atomic_file(path) as stream:
            np.save(stream, maps, allow_pickle=False)
        index = msgspec.structs.replace(index, shards=(*index.shards, sha256_of(path)))
        with atomic_file(directory / INDEX) as stream:
            stream.write(msgspec.json.encode(index))
    progress(len(patch_cache), len(patch_cache))
    return _open(directory, index, teacher, patch_cache)


def upright_crops(teacher: Teacher, instances: Sequence[Instance]) -> F32:
    """Return the inference crop of each person's box in the teacher's input: float32 (N, 2, 3), frame to input."""
    boxes = np.stack([instance.box for instance in instances])
    crops = make_crops(boxes, (0, 0), teacher.spec.crop, teacher.spec.image.wh)
    return np.stack([crop.matrix for crop in crops])


def cache_stride(teacher: Teacher, map_wh: Size) -> F64:
    """Return the teacher's input pixels per stored bin: first and last bin are the first and last pixel."""
    return strides(teacher.spec.image.wh, map_wh, UDP)


def _predict(
    teacher: Teacher,
    patch_cache: PatchCache,
    rows: Sequence[int],
    keypoints: KeypointMap,
    map_wh: Size,
) -> NDArray[np.float16]:
    stored = []
    for start in range(0, len(rows), BATCH):
        some = rows[start : start + BATCH]
        predicted = predict_maps(teacher, _crops(teacher, patch_cache, some))
        scale = predicted.stride / cache_stride(teacher, map_wh)
        matrix = np.concatenate([np.diag(scale), np.zeros((2, 1))], axis=1)
        maps = select(torch.from_numpy(predicted.maps), keypoints)
        resampled, _ = warp_maps(maps, np.tile(matrix, (len(some), 1, 1)), map_wh)
        stored.append(resampled.numpy().astype(np.float16))
    return np.concatenate(stored)


def _crops(teacher: Teacher, patch_cache: PatchCache, rows: Sequence[int]) -> U8:
    boxes = np.stack([patch_cache.instances[row].box for row in rows])
    spec = teacher.spec
    crops = make_crops(boxes, (0, 0), spec.crop, spec.image.wh)
    images = [
        warp_patch(patch_cache.patch(row), crop, spec.crop.pad_value)
        for row, crop in zip(rows, crops, strict=True)
    ]
    return np.stack(images)


def _read_index(directory: Path, wanted: Index) -> Index:
    path = directory / INDEX
    if not path.exists():
        return wanted
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Index)
    except MALFORMED as error:
        raise ArtifactError(f"{path}: is damaged ({error}); delete {directory}") from error
    if msgspec.structs.replace(found, shards=()) != wanted:
        raise ArtifactError(
            f"{directory}: is the cache of another teacher or of other people; delete it or name another folder"
        )
    return found


def _open(directory: Path, index: Index, teacher: Teacher, patch_cache: PatchCache) -> TeacherCache:
    maps = []
    for number, wanted in enumerate(index.shards):
        path = _shard_path(directory, number)
        if not path.is_file() or sha256_of(path) != wanted:
            raise ArtifactError(f"{path}: is missing or damaged; delete {directory}")
        maps.append(np.load(path, mmap_mode="r", allow_pickle=False))
    crops = upright_crops(teacher, patch_cache.instances)
    return TeacherCache(tuple(maps), crops, cache_stride(teacher, index.map_wh))


def _shard_path(directory: Path, number: int) -> Path:
    return directory / f"{number:05d}.npy"


def _digest(instances: Sequence[Instance]) -> str:
    digest = hashlib.sha256()
    for instance in instances:
        digest.update(instance.key.encode())
        digest.update(instance.box.tobytes())
    return digest.hexdigest()
