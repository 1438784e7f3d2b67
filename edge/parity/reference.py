"""The reference of a comparison: what a reference model gives for a few inputs, in memory and as reference.npz.

The file lies in every artifact, for `verify` to replay without torch. Its arrays: `images` uint8 (S, H, W, 3) BGR;
`output.NAME` float32, whole, or its values at the sorted flat indices `sample.NAME`; `count` int64 (S,), the number of
people or boxes in each image, laid end to end: poses in `xy` (sum N, K, 2) and `scores`, with `decidable` (sum N, K)
where it was judged; boxes in `boxes` (sum N, 4), `scores`, `labels`. Dense maps are the output itself.
"""

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.codecs import decode_boxes, decode_poses
from edge.parity.decidable import (
    confident_in_people,
    decidable_in_people,
    decidable_keypoints,
)
from edge.types import Detections, Keypoints
from runtimes.base import Outputs
from runtimes.codec_spec import AssociativeEmbeddingCodec, PafCodec
from runtimes.errors import ArtifactError
from runtimes.spec import ModelSpec

MAX_SAMPLES = 8
MAX_OUTPUT_BYTES = 4 << 20
SAMPLE_SEED = 0
# Errors of a damaged archive: zipfile, zlib and numpy each have their own.
DAMAGE = (
    OSError,
    EOFError,
    KeyError,
    ValueError,
    RuntimeError,
    MemoryError,  # a header may announce terabytes
    zipfile.BadZipFile,
    zlib.error,
)
# Eight images of the largest input, and outputs: a small archive can hold gigabytes of zeros.
MAX_FILE_BYTES = 1 << 30
# Kinds of numpy's dtypes, and numbers of axes, of the arrays that every reference or some have.
ARRAYS = {
    "images": ("u", 4),
    "label": ("U", 0),
    "count": ("i", 1),
    "xy": ("f", 3),
    "scores": ("f", None),
    "boxes": ("f", 2),
    "labels": ("i", 1),
    "decidable": ("b", 2),
}


@dataclass(frozen=True, slots=True)
class Reference:
    """Raw outputs of the reference model on `images` uint8 (S, H, W, 3), and what they decode to, one item an image.

    `poses` and `boxes` are empty for models that give something else. `decidable` bool (S, K) for models of one person
    an image, (sum N, K) for bottom-up ones with N people in an image; None where nothing was to be decided.
    `sample` holds, for an output too large to store whole, the sorted flat indices that were kept; `outputs` then has
    just those values. `label` names the model.
    """

    images: NDArray[np.uint8]
    outputs: Outputs
    poses: list[Keypoints]
    boxes: list[Detections]
    decidable: NDArray[np.bool_] | None
    sample: Mapping[str, NDArray[np.int64]]
    label: str


def make_reference(
    images: NDArray[np.uint8], outputs: Outputs, spec: ModelSpec, label: str
) -> Reference:
    """Decode a reference model's outputs and judge, on them alone, which keypoints are decidable."""
    poses = decode_poses(outputs, spec) if spec.gives_keypoints else []
    boxes = decode_boxes(outputs, spec) if spec.is_detector else []
    if isinstance(spec.codec, (PafCodec, AssociativeEmbeddingCodec)):
        # the heatmaps come first, whether fields or tags are an output of their own or not
        heatmaps = outputs[spec.outputs[0].name]
        decidable: NDArray[np.bool_] | None = decidable_in_people(poses, heatmaps, spec.image.wh)
    elif spec.is_bottom_up:
        decidable = confident_in_people(poses, spec.thresholds.keypoint)
    else:
        decidable = decidable_keypoints(outputs, spec) if spec.gives_keypoints else None
    return Reference(images, outputs, poses, boxes, decidable, {}, label)


def save_reference(path: Path, reference: Reference) -> None:
    """Write at most MAX_SAMPLES of a reference; outputs above MAX_OUTPUT_BYTES in all become a seeded sample.

    A reference that was read, and holds a sample already, is written as it is.
    """
    count = min(MAX_SAMPLES, len(reference.images))
    outputs, sample = reference.outputs, reference.sample
    if not sample:
        outputs, sample = _sampled({name: value[:count] for name, value in outputs.items()})
    arrays: dict[str, Any] = {
        "images": reference.images[:count],
        "label": np.array(reference.label),
        **{f"output.{name}": value for name, value in outputs.items()},
        **{f"sample.{name}": indices for name, indices in sample.items()},
        **_pack(reference, count),
    }
    np.savez_compressed(path, **arrays)


def _sampled(outputs: Outputs) -> tuple[Outputs, dict[str, NDArray[np.int64]]]:
    """Return outputs and, where they are too large, the sorted flat indices of the values that were kept of each."""
    total = sum(value.nbytes for value in outputs.values())
    if total <= MAX_OUTPUT_BYTES:
        return outputs, {}
    random = np.random.default_rng(SAMPLE_SEED)
    sample = {}
    for name, value in outputs.items():
        kept = value.size * MAX_OUTPUT_BYTES // total
        sample[name] = np.sort(random.choice(value.size, kept, replace=False)).astype(np.int64)
    return {name: value.reshape(-1)[sample[name]] for name, value in outputs.items()}, sample


def load_reference(path: Path) -> Reference:
    """Read a reference; raises ArtifactError where the file is not one."""
    try:
        with zipfile.ZipFile(path) as members:
            if sum(member.file_size for member in members.infolist()) > MAX_FILE_BYTES:
                raise ValueError("it holds more than any reference")
            if damaged := members.testzip():  # checksums first: numpy parses whatever it is given
                raise zipfile.BadZipFile(f"{damaged} is damaged")
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        _check_arrays(arrays)
        return Reference(
            images=arrays["images"],
            outputs=_with_prefix(arrays, "output."),
            poses=_unpack_poses(arrays),
            boxes=_unpack_boxes(arrays),
            decidable=arrays.get("decidable"),
            sample=_with_prefix(arrays, "sample."),
            label=str(arrays["label"]),
        )
    except DAMAGE as error:
        raise ArtifactError(
            f"{path}: not a reference file ({error}); export the artifact again"
        ) from error


def _check_arrays(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Raise ValueError where an array is of another kind than `save_reference` writes, or does not fit the others."""
    for name, array in arrays.items():
        kinds, axes = ARRAYS.get(name, ("i", 1) if name.startswith("sample.") else ("fiu", None))
        if array.dtype.kind not in kinds or (axes is not None and array.ndim != axes):
            raise ValueError(f"{name} is {array.dtype} {array.shape}")
    count = arrays["count"]
    if count.size not in {0, len(arrays["images"])} or (count < 0).any():
        raise ValueError("count does not fit the images")
    for name in ("xy", "scores", "boxes", "labels", "decidable"):
        if count.size and name in arrays and len(arrays[name]) != count.sum():
            raise ValueError(f"{name} does not fit count")


def _with_prefix(arrays: dict[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {
        name.removeprefix(prefix): value
        for name, value in arrays.items()
        if name.startswith(prefix)
    }


def _pack(reference: Reference, count: int) -> dict[str, NDArray[Any]]:
    """Lay the decoded items of all images one after the other; `count` says where one image ends."""
    poses, boxes = reference.poses[:count], reference.boxes[:count]
    packed: dict[str, NDArray[Any]] = {}
    if poses:
        packed["xy"] = np.concatenate([item.xy for item in poses])
        packed["scores"] = np.concatenate([item.scores for item in poses])
    if boxes:
        packed["boxes"] = np.concatenate([item.boxes for item in boxes])
        packed["scores"] = np.concatenate([item.scores for item in boxes])
        packed["labels"] = np.concatenate([item.labels for item in boxes])
    counts = [len(item) for item in poses] or [len(item) for item in boxes]
    packed["count"] = np.array(counts, np.int64)
    if reference.decidable is not None:
        packed["decidable"] = reference.decidable[: sum(counts)]
    return packed


def _unpack_poses(arrays: dict[str, NDArray[Any]]) -> list[Keypoints]:
    ends = np.cumsum(arrays["count"])[:-1]
    if "xy" not in arrays:
        return []
    people = (np.split(arrays[name], ends) for name in ("xy", "scores"))
    return [Keypoints(*item) for item in zip(*people, strict=True)]


def _unpack_boxes(arrays: dict[str, NDArray[Any]]) -> list[Detections]:
    ends = np.cumsum(arrays["count"])[:-1]
    if "boxes" not in arrays:
        return []
    boxes = (np.split(arrays[name], ends) for name in ("boxes", "scores", "labels"))
    return [Detections(*item) for item in zip(*boxes, strict=True)]
