"""reference.npz: what the reference model said of a few inputs, for `verify` to replay on a board without torch.

Arrays: `images` uint8 (S, H, W, 3) BGR; `output.NAME` float32, whole, or the values at the flat indices `sample.NAME`;
`count` int64 (S,), how many people or boxes each image has, all laid end to end: poses in `xy` (sum N, K, 2) and
`scores`, with `decidable` (sum N, K) where it was judged; boxes in `boxes` (sum N, 4), `scores`, `labels`.
Maps need nothing more: they are the output itself.
"""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.parity.compare import Reference
from edge.types import Detections, Keypoints
from runtimes.errors import ArtifactError

MAX_SAMPLES = 8
MAX_OUTPUT_BYTES = 4 << 20
SAMPLE_SEED = 0
# What reading a damaged archive can end in: zipfile, zlib and numpy each have their own.
DAMAGE = (OSError, EOFError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error)


def save_reference(path: Path, reference: Reference) -> None:
    """Write at most MAX_SAMPLES of a reference; outputs above MAX_OUTPUT_BYTES in all become a seeded sample."""
    count = min(MAX_SAMPLES, len(reference.images))
    arrays: dict[str, Any] = {
        "images": reference.images[:count],
        "label": np.array(reference.label),
    }
    outputs = {name: value[:count] for name, value in reference.outputs.items()}
    total = sum(value.nbytes for value in outputs.values())
    random = np.random.default_rng(SAMPLE_SEED)
    for name, value in outputs.items():
        if total > MAX_OUTPUT_BYTES:
            kept = value.size * MAX_OUTPUT_BYTES // total
            chosen = np.sort(random.choice(value.size, kept, replace=False))
            arrays[f"sample.{name}"] = chosen.astype(np.int64)
            arrays[f"output.{name}"] = value.reshape(-1)[chosen]
        else:
            arrays[f"output.{name}"] = value
    arrays.update(_pack(reference, count))
    np.savez_compressed(path, **arrays)


def load_reference(path: Path) -> Reference:
    """Read a reference; raises ArtifactError where the file is not one."""
    try:
        with zipfile.ZipFile(path) as members:
            if damaged := members.testzip():  # checksums first: numpy parses whatever it is given
                raise zipfile.BadZipFile(f"{damaged} is damaged")
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        decoded = _unpack(arrays)
        return Reference(
            images=arrays["images"],
            outputs=_with_prefix(arrays, "output."),
            decoded=decoded,
            decidable=arrays.get("decidable"),
            sample=_with_prefix(arrays, "sample."),
            label=str(arrays["label"]),
        )
    except DAMAGE as error:
        raise ArtifactError(
            f"{path}: not a reference file ({error}); export the artifact again"
        ) from error


def _with_prefix(arrays: dict[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {
        name.removeprefix(prefix): value
        for name, value in arrays.items()
        if name.startswith(prefix)
    }


def _pack(reference: Reference, count: int) -> dict[str, NDArray[Any]]:
    """Lay the decoded items of all images one after the other; `count` says where one image ends."""
    items = reference.decoded[:count]
    poses = [item for item in items if isinstance(item, Keypoints)]
    boxes = [item for item in items if isinstance(item, Detections)]
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


def _unpack(arrays: dict[str, NDArray[Any]]) -> list[Keypoints] | list[Detections]:
    ends = np.cumsum(arrays["count"])[:-1]
    if "xy" in arrays:
        people = (np.split(arrays[name], ends) for name in ("xy", "scores"))
        return [Keypoints(*item) for item in zip(*people, strict=True)]
    if "boxes" in arrays:
        boxes = (np.split(arrays[name], ends) for name in ("boxes", "scores", "labels"))
        return [Detections(*item) for item in zip(*boxes, strict=True)]
    return []
