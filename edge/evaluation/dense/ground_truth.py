"""Ground-truth maps in files: one an image, of its size, and named as it is (photo.jpg: photo.png or photo.npy).

Masks: class numbers in the model's order, 255 does not count; PNG of one channel, or .npy of whole numbers (H, W).
Depth: 16-bit PNG or .npy float (H, W) in any unit; what is not above 0 and finite does not count. Normals: .npy float
(H, W, 3), or RGB PNG of 8 or 16 bits, -1 to 1 spread over its range; vectors shorter than .5 do not count.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.image import quiet_opencv
from edge.types import F32, I32, Mask
from runtimes.errors import InputError

IGNORED = 255  # as in Cityscapes and ADE20K
SHORTEST = 0.5
SUFFIXES = (".png", ".npy")


def find_maps(images: Sequence[Path], folder: Path) -> list[Path]:
    """Return the map of each image; raises InputError with the number of those that have none."""
    there = {path.name for path in folder.iterdir()}
    found, missing = [], []
    for image in images:
        names = [f"{image.stem}{suffix}" for suffix in SUFFIXES]
        name = next((each for each in names if each in there), None)
        if name is None:
            missing.append(names[0])
        else:
            found.append(folder / name)
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(
            f"no {missing[0]} (or .npy){more} in {folder}: each of the {len(images)} images needs a map of its name"
        )
    return found


def read_mask(path: Path, classes: int) -> tuple[I32, Mask]:
    """Return class numbers int32 (H, W) and which count, bool; raises InputError for a number that is no class."""
    values = _read(path)
    if values.ndim != 2 or values.dtype.kind not in "iub":
        raise InputError(
            f"{path} is {_kind(values)}, not one channel of class numbers; colours must be turned into numbers first"
        )
    counts: Mask = values != IGNORED
    used = values[counts]
    if used.size and not 0 <= used.min() <= used.max() < classes:
        raise InputError(
            f"{path}: class {used.max() if used.max() >= classes else used.min()}, and the model has 0 to "
            f"{classes - 1}; number the classes as `edgepose info` lists them, {IGNORED} for what does not count"
        )
    return np.where(counts, values, 0).astype(np.int32), counts


def read_depth(path: Path) -> tuple[F32, Mask]:
    """Return depth float32 (H, W) in the file's unit, and which pixels count, bool (H, W)."""
    values = _read(path)
    eight_bit = path.suffix == ".png" and values.dtype != np.uint16
    if values.ndim != 2 or eight_bit or values.dtype.kind not in "iuf":
        raise InputError(f"{path} is {_kind(values)}, not a 16-bit PNG or .npy of (H, W)")
    depth = values.astype(np.float32)
    counts: Mask = np.isfinite(depth) & (depth > 0)
    return np.where(counts, depth, np.float32(1)), counts


def read_normals(path: Path) -> tuple[F32, Mask]:
    """Return normals of length 1, float32 (3, H, W) as x, y, z, and which pixels count, bool (H, W)."""
    values = _read(path)
    if values.ndim != 3 or values.shape[2] != 3:
        raise InputError(f"{path} is {_kind(values)}, not three channels x, y, z of each pixel")
    if path.suffix == ".png":
        full = np.iinfo(values.dtype).max
        vectors = (
            values[..., ::-1].astype(np.float32) * np.float32(2 / full) - 1
        )  # OpenCV reads BGR
        vectors[(values == 0).all(axis=2)] = 0
    else:
        vectors = values.astype(np.float32)
    lengths = np.linalg.norm(vectors, axis=2)
    counts: Mask = np.isfinite(lengths) & (lengths >= SHORTEST)
    unit = np.where(counts[..., None], vectors / np.where(counts, lengths, 1)[..., None], 0)
    return np.ascontiguousarray(unit.transpose(2, 0, 1), np.float32), counts


def _read(path: Path) -> NDArray[Any]:
    values = _READERS[path.suffix](path)
    if values.ndim == 3 and values.shape[2] == 1:
        return values[..., 0]
    return values


def _read_array(path: Path) -> NDArray[Any]:
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no NumPy array ({error})") from error
    if not isinstance(found, np.ndarray):
        raise InputError(f"{path}: an archive of arrays; save one array with numpy.save")
    return found


def _read_png(path: Path) -> NDArray[Any]:
    with quiet_opencv():
        encoded = np.frombuffer(path.read_bytes(), np.uint8)
        found = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED) if encoded.size else None
    if found is None:
        raise InputError(f"{path} cannot be decoded as PNG")
    array: NDArray[Any] = found
    return array


def _kind(values: NDArray[Any]) -> str:
    return f"{values.dtype} {values.shape}"


_READERS: dict[str, Callable[[Path], NDArray[Any]]] = {
    ".png": _read_png,
    ".npy": _read_array,
}
