"""The teacher cache: a teacher's heatmaps of every training person, computed once and stored on disk.

A directory of shards and an index with the hashes of teacher, people and shards. A shard is one byte array: where each
person's record begins, then the records (`data.packed_maps`). Each shard is written atomically, so an interrupted
run continues after the last complete one.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
import torch

from edge.geometry import Crop, Size, make_crops
from edge.schema import KeypointSchema
from edge.types import F32, F64, U8
from quantize.distill.data.batches import prefetch
from quantize.distill.data.instances import Instance
from quantize.distill.data.keypoint_transfer import KeypointMap, map_keypoints, select, warp_maps
from quantize.distill.data.packed_maps import pack, unpack
from quantize.distill.data.patch_cache import PatchCache
from quantize.distill.data.samples import warp_patch
from quantize.distill.data.split_maps import SplitMaps, split_maps
from quantize.distill.data.targets import strides
from quantize.distill.loop.distributed import ALONE, Processes
from quantize.distill.teachers.teacher import PredictedMaps, Teacher, predict_maps
from runtimes.artifact import sha256_of
from runtimes.codec_spec import HeatmapCodec
from runtimes.errors import ArtifactError, InputError
from runtimes.files import atomic_file
from runtimes.record import Record, decode_record

INDEX = "index.json"
FORMAT = 2
SHARD_SIZE = 256
BATCH = 8
UDP = HeatmapCodec(refine="udp")
VIEWS = "upright"  # each person is seen in one crop, as at inference


class Index(Record, frozen=True, kw_only=True):
    """The index of a cache directory: what the heatmaps are of, and the sha256 of the complete shards, in order.

    teacher: hash of its weights; views: how it saw the people; people: hash of their boxes; keypoints: names of the
    student's; sources: the teacher's index of each, -1 where it lacks the keypoint; map_wh: of the rest of the maps.
    """

    format: int = FORMAT
    teacher: str
    views: str
    people: str
    map_wh: Size
    keypoints: tuple[str, ...]
    sources: tuple[int, ...]
    count: int
    shards: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TeacherCache:
    """A teacher's split heatmaps by row of the patch cache.

    shards: one uint8 array, memory-mapped, per SHARD_SIZE people; crops: float32 (N, 2, 3), frame to the teacher's
    input; stride: input pixels of the teacher per bin of the rest, whose size is map_wh.
    """

    shards: tuple[U8, ...]
    keypoints: int
    map_wh: Size
    crops: F32
    stride: F64

    def read(self, rows: Sequence[int]) -> SplitMaps:
        """Return the split maps of these people, in pixels of the teacher's input."""
        packed = [_record(self.shards[row // SHARD_SIZE], row % SHARD_SIZE) for row in rows]
        return unpack(packed, self.keypoints, self.map_wh)


def cached_map_wh(teacher_wh: Size, student_wh: Size) -> Size:
    """Return the size at which the rest of heatmaps is cached: the teacher's, at most twice the student's.

    teacher_wh, student_wh: sizes of their inputs, whose heatmaps have a quarter of each side.
    """
    width, height = (min(a // 4, 2 * (b // 4)) for a, b in zip(teacher_wh, student_wh, strict=True))
    return width, height


def build_teacher_cache(
    directory: Path,
    teacher: Teacher,
    patch_cache: PatchCache,
    schema: KeypointSchema,
    map_wh: Size,
    progress: Callable[[int, int], None],
    processes: Processes = ALONE,
    workers: int = 1,
) -> TeacherCache:
    """Run the teacher on every person, or continue an interrupted run, and return the cache.

    Several processes take turns at the shards, and all have to call this; `workers` threads load crops in each.

    schema: the student's keypoints; map_wh: size in bins at which the rest of the heatmaps is stored (resampled from
    the teacher's own). progress(done, total). Raises ArtifactError where the directory holds another cache or a
    damaged shard, OSError where the disk is full; complete shards stay.
    """
    keypoints = map_keypoints(teacher.schema, schema)
    index = check_teacher_cache(directory, teacher, patch_cache.instances, schema, map_wh)
    directory.mkdir(parents=True, exist_ok=True)
    total = math.ceil(len(patch_cache) / SHARD_SIZE)
    for first in range(len(index.shards), total, processes.count):
        progress(first * SHARD_SIZE, len(patch_cache))
        made = []
        if (number := first + processes.rank) < total:
            rows = range(len(patch_cache))[number * SHARD_SIZE : (number + 1) * SHARD_SIZE]
            shard = join_records(_predict(teacher, patch_cache, rows, keypoints, map_wh, workers))
            path = _shard_path(directory, number)
            with atomic_file(path) as stream:
                np.save(stream, shard, allow_pickle=False)
            made = [sha256_of(path)]
        shards = (*index.shards, *processes.gather(made))
        index = msgspec.structs.replace(index, shards=shards)
        if processes.rank == 0:
            with atomic_file(directory / INDEX) as stream:
                stream.write(msgspec.json.encode(index))
    progress(len(patch_cache), len(patch_cache))
    return _open(directory, index, teacher, patch_cache)


def check_teacher_cache(
    directory: Path,
    teacher: Teacher,
    instances: Sequence[Instance] | None,
    schema: KeypointSchema,
    map_wh: Size,
) -> Index:
    """Return the index of a directory, new or begun; raises ArtifactError where it holds another cache.

    instances: None where they are not known yet, so that other people are not noticed. Raises InputError for a file.
    """
    if directory.exists() and not directory.is_dir():
        raise InputError(f"--teacher-cache {directory}: is a file; name a directory")
    keypoints = map_keypoints(teacher.schema, schema)
    wanted = Index(
        teacher=teacher.identity,
        views=_views(teacher),
        people="" if instances is None else _digest(instances),
        map_wh=map_wh,
        keypoints=schema.names,
        sources=tuple(np.where(keypoints.known, keypoints.indices, -1).tolist()),
        count=0 if instances is None else len(instances),
    )
    return _read_index(directory, wanted, any_people=instances is None)


def cache_records(
    predicted: PredictedMaps, keypoints: KeypointMap, stride: F64, map_wh: Size
) -> list[bytes]:
    """Return the record of each crop. Maps are split as the teacher gives them; only their rest is resampled.

    stride, map_wh: of the rest as it is stored.
    """
    maps = select(torch.from_numpy(predicted.maps), keypoints).numpy()
    split = split_maps(maps, predicted.stride, predicted.sigma)
    matrix = np.concatenate([np.diag(predicted.stride / stride), np.zeros((2, 1))], axis=1)
    rest, _ = warp_maps(torch.from_numpy(split.rest), np.tile(matrix, (len(maps), 1, 1)), map_wh)
    return pack(replace(split, rest=rest.numpy()))


def join_records(records: Sequence[bytes]) -> U8:
    """Return a shard: where each record begins and where the last one ends, uint64, then the records."""
    begins = 8 * (len(records) + 1) + np.cumsum([0, *(len(each) for each in records)])
    return np.frombuffer(begins.astype("<u8").tobytes() + b"".join(records), np.uint8)


def upright_crops(teacher: Teacher, instances: Sequence[Instance]) -> F32:
    """Return the inference crop of each person's box in the teacher's input: float32 (N, 2, 3), frame to input."""
    boxes = np.stack([instance.box for instance in instances])
    crops = make_crops(boxes, (0, 0), teacher.spec.crop, teacher.spec.image.wh)
    return np.stack([crop.matrix for crop in crops])


def cache_stride(teacher: Teacher, map_wh: Size) -> F64:
    """Return the teacher's input pixels per stored bin: first and last bin are the first and last pixel."""
    return strides(teacher.spec.image.wh, map_wh, UDP)


def _record(shard: U8, number: int) -> bytes:
    begin, end = np.frombuffer(shard[8 * number : 8 * number + 16].tobytes(), "<u8").tolist()
    return shard[begin:end].tobytes()


def _predict(
    teacher: Teacher,
    patch_cache: PatchCache,
    rows: Sequence[int],
    keypoints: KeypointMap,
    map_wh: Size,
    workers: int,
) -> list[bytes]:
    crops = upright_crops(teacher, [patch_cache.instances[row] for row in rows])
    matrices = dict(zip(rows, crops, strict=True))
    spec = teacher.spec

    def load(row: int) -> U8:
        crop = Crop(matrices[row], spec.image.wh)
        return warp_patch(patch_cache.patch(row), crop, spec.crop.pad_value)

    records = []
    plan = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
    for images in prefetch(plan, load, np.stack, workers):
        predicted = predict_maps(teacher, images)
        records += cache_records(predicted, keypoints, cache_stride(teacher, map_wh), map_wh)
    return records


def _views(teacher: Teacher) -> str:
    """Return how a teacher sees people: the crop and input size decide what its cached maps are of."""
    crop, (width, height) = teacher.spec.crop, teacher.spec.image.wh
    return f"{VIEWS} {crop.kind} {width}x{height}, padding {crop.padding:g}, udp {crop.udp}, pad value {crop.pad_value}"


def _read_index(directory: Path, wanted: Index, *, any_people: bool) -> Index:
    path = directory / INDEX
    if not path.exists():
        return wanted
    remedy = f"delete {directory} or name another folder"
    try:
        data = path.read_bytes()
        found = decode_record(path, data, Index, FORMAT, "index of a teacher cache", remedy)
    except InputError as error:
        raise ArtifactError(str(error)) from error
    if any_people:
        wanted = msgspec.structs.replace(wanted, people=found.people, count=found.count)
    pairs = (
        ("another teacher", found.teacher, wanted.teacher),
        (f"other views ({found.views}; now {wanted.views})", found.views, wanted.views),
        ("other people", found.people, wanted.people),
        ("other keypoints", found.keypoints, wanted.keypoints),
    )
    differing = [name for name, theirs, ours in pairs if theirs != ours]
    if msgspec.structs.replace(found, shards=()) != wanted:
        of = ", ".join(differing) or "another map size"
        raise ArtifactError(f"{directory}: is the cache of {of}; {remedy}")
    return found


def _open(directory: Path, index: Index, teacher: Teacher, patch_cache: PatchCache) -> TeacherCache:
    shards = []
    for number, wanted in enumerate(index.shards):
        path = _shard_path(directory, number)
        if not path.is_file() or sha256_of(path) != wanted:
            raise ArtifactError(f"{path}: is missing or damaged; delete {directory}")
        shards.append(np.load(path, mmap_mode="r", allow_pickle=False))
    crops = upright_crops(teacher, patch_cache.instances)
    return TeacherCache(
        tuple(shards),
        len(index.keypoints),
        index.map_wh,
        crops,
        cache_stride(teacher, index.map_wh),
    )


def _shard_path(directory: Path, number: int) -> Path:
    return directory / f"{number:05d}.npy"


def _digest(instances: Sequence[Instance]) -> str:
    digest = hashlib.sha256()
    for instance in instances:
        digest.update(instance.key.encode())
        digest.update(instance.box.tobytes())
    return digest.hexdigest()
