"""Image files, and the cropping of network inputs out of frames. Images are uint8 BGR (H, W, 3).

Resampling is uint8 and bilinear; normalisation is the artifact's. `edge.geometry` makes the crops.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.geometry import Crop, Size, letterbox_wh
from edge.types import U8, check_shape
from runtimes.errors import InputError, OutputError, SourceError, warn
from runtimes.spec import CropSpec

TIFF_MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes of a TIFF: of either byte order, and with offsets of 64 bits."""


def read_image(path: str | Path, wh: Size | None = None) -> U8:
    """Return the image as uint8 BGR (H, W, 3); grey, alpha and 16-bit files are converted, as by cv2.imread.

    wh: the width and height that annotations are given in. Without it the EXIF orientation is applied, as mmpose and
    mmdet do when they read COCO; with it, only where the stored pixels have another size and the turned ones have
    that. Of an animation or several pages, the first is read, of pages with a warning.
    Raises SourceError where the file cannot be read or decoded, or has another size.
    """
    try:
        encoded = np.frombuffer(Path(path).read_bytes(), np.uint8)
    except OSError as error:
        raise SourceError(
            f"cannot read the image {path}: {error.strerror}; check the path"
        ) from error
    if encoded[:4].tobytes() in TIFF_MARKS:
        _warn_of_pages(path)
    if wh is None:
        return _decode(path, encoded, cv2.IMREAD_COLOR)
    stored = _decode(path, encoded, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    height, width = stored.shape[:2]
    if (width, height) == wh:
        return stored
    if (height, width) == wh:
        turned = _decode(path, encoded, cv2.IMREAD_COLOR)
        if turned.shape[1::-1] == wh:
            return turned
    raise SourceError(
        f"{path}: the file is {width}x{height}, the annotation says {wh[0]}x{wh[1]}; "
        "use the images that were annotated"
    )


def _warn_of_pages(path: str | Path) -> None:
    with quiet_opencv():
        count = cv2.imcount(str(path))
    if count > 1:
        warn(f"{path}: the first of {count} pages is read; give the file alone as a source for all")


class _Quiet:
    """OpenCV's log level while threads are in `quiet_opencv`: the first silences it, the last restores it."""

    lock = threading.Lock()
    threads = 0
    level = 0


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """Silence OpenCV's log: errors are reported once, by us."""
    logging = getattr(cv2.utils, "logging", cv2)  # OpenCV before 4.13 has them at its top level
    with _Quiet.lock:
        if not _Quiet.threads:
            _Quiet.level = logging.getLogLevel()
            logging.setLogLevel(0)
        _Quiet.threads += 1
    try:
        yield
    finally:
        with _Quiet.lock:
            _Quiet.threads -= 1
            if not _Quiet.threads:
                logging.setLogLevel(_Quiet.level)


def _decode(path: str | Path, encoded: U8, flags: int) -> U8:
    try:
        with quiet_opencv():
            image: U8 | None = cv2.imdecode(encoded, flags) if len(encoded) else None
    except cv2.error:  # sizes and kinds beyond OpenCV's limits
        image = None
    if image is None:
        raise SourceError(f"{path} is no image that OpenCV can decode; convert it to JPEG or PNG")
    return image


def as_image(image: Any) -> U8:
    """Return uint8 BGR (H, W, 3), contiguous, from an array, an image file's path or a PIL image.

    Grey arrays (H, W) or (H, W, 1) are taken; arrays are taken as BGR, and not copied where they are that already.
    Raises InputError for anything else, and SourceError for a file that cannot be read.
    """
    if isinstance(image, (str, Path)):
        return read_image(image)
    if type(image).__module__.partition(".")[0] == "PIL":
        return np.ascontiguousarray(np.asarray(image.convert("RGB"))[..., ::-1])
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or not image.size:
        raise InputError(_no_image(image))
    if image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 1):
        grey: U8 = np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
        return grey
    if image.ndim != 3 or image.shape[2] != 3:
        raise InputError(_no_image(image))
    return np.ascontiguousarray(image)


def _no_image(image: Any) -> str:
    """Return what is wrong with an image that is not taken, and what to do."""
    wanted = "image must be uint8 BGR (H, W, 3), a path or a PIL image"
    if image is None:
        return (
            f"{wanted}, not None: cv2.imread and VideoCapture.read give None where they cannot read"
        )
    if not isinstance(image, np.ndarray):
        return f"{wanted}, not {type(image).__name__}"
    return f"{wanted}, not {image.dtype} {image.shape}{_advice(image)}"


def _advice(image: NDArray[Any]) -> str:
    channels = image.shape[2] if image.ndim == 3 else 0
    cases = (
        (not image.size, "it has no pixels"),
        (image.dtype.kind == "f", "convert values of 0..1 with (255 * image).astype(numpy.uint8)"),
        (image.dtype != np.uint8, "scale it to 0..255, then .astype(numpy.uint8)"),
        (channels == 4, "drop alpha with image[..., :3] (RGBA: image[..., 2::-1])"),
        (channels and image.shape[0] == 3, "put channels last with image.transpose(1, 2, 0)"),
        (image.ndim == 4, "pass one image at a time"),
    )
    return next((f": {advice}" for applies, advice in cases if applies), "")


def encode_image(path: str | Path, image: U8) -> bytes:
    """Return uint8 BGR (H, W, 3) in the format of the path's suffix; raises InputError where that fails."""
    check_shape("image", image, (None, None, 3), np.uint8)
    target = Path(path)
    try:
        written, encoded = cv2.imencode(target.suffix or "none", image)
    except cv2.error as error:
        raise InputError(
            f"no image format {target.suffix!r} ({target}); use .jpg or .png"
        ) from error
    if not written:
        raise InputError(f"OpenCV could not encode {target}; use .jpg or .png")
    data: bytes = encoded.tobytes()
    return data


def write_image(path: str | Path, image: U8) -> None:
    """Write uint8 BGR (H, W, 3) in the format of the suffix; raises InputError, OutputError for a full disk."""
    encoded = encode_image(path, image)
    try:
        Path(path).write_bytes(encoded)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}; check the folder") from error


def crop_image(frame: U8, crop: Crop, spec: CropSpec) -> U8:
    """Return the network's input uint8 BGR (h, w, 3) cut from a frame uint8 BGR (H, W, 3)."""
    image: U8 = crop_batch(frame, (crop,), spec)[0]
    return image


def crop_batch(frame: U8, crops: Sequence[Crop], spec: CropSpec) -> U8:
    """Return the inputs uint8 BGR (B, h, w, 3), contiguous, of crops that share one size; B is at least 1."""
    check_shape("frame", frame, (None, None, 3), np.uint8)
    if not crops:
        raise InputError(
            "crop_batch needs at least one crop; skip the network where there are no boxes"
        )
    width, height = crops[0].wh
    batch: U8 = np.empty((len(crops), height, width, 3), np.uint8)
    fill = _FILLS[spec.kind]
    for row, crop in zip(batch, crops, strict=True):
        fill(frame, crop, spec.pad_value, row)
    return batch


def _fill_warped(frame: U8, crop: Crop, pad_value: int, out: U8) -> None:
    cv2.warpAffine(
        frame,
        crop.matrix,
        crop.wh,
        dst=out,
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(pad_value, pad_value, pad_value),
    )


def _fill_letterboxed(frame: U8, crop: Crop, pad_value: int, out: U8) -> None:
    height, width = frame.shape[:2]
    new_w, new_h = letterbox_wh((width, height), crop.wh)
    left, top = (int(offset) for offset in crop.matrix[:, 2])
    rows, columns = slice(top, top + new_h), slice(left, left + new_w)
    out[:top], out[top + new_h :] = pad_value, pad_value
    out[rows, :left], out[rows, left + new_w :] = pad_value, pad_value
    # OpenCV can write into rows of a wider image, so the frame is resized in place, without a copy.
    cv2.resize(frame, (new_w, new_h), dst=out[rows, columns], interpolation=cv2.INTER_LINEAR)


def _fill_stretched(frame: U8, crop: Crop, _pad_value: int, out: U8) -> None:
    corners = crop.to_frame(np.array(((0, 0), crop.wh), np.float32))
    (x0, y0), (x1, y1) = np.rint(corners).astype(int)
    cv2.resize(frame[y0:y1, x0:x1], crop.wh, dst=out, interpolation=cv2.INTER_LINEAR)


_FILLS: dict[str, Callable[[U8, Crop, int, U8], None]] = {
    "affine": _fill_warped,
    "letterbox": _fill_letterboxed,
    "letterbox-centre": _fill_letterboxed,
    "square": _fill_warped,
    "stretch": _fill_stretched,
}
