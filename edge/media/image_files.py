"""Image files of a folder or glob, recognised by content: hidden files are skipped, broken ones named and counted."""

import glob
import itertools
import os
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path

import cv2

from edge.image import quiet_opencv, read_image
from edge.media.paths import is_file, is_folder, require_utf8
from edge.media.source import Losses, Source
from edge.types import U8, Frame
from runtimes.errors import SourceError, warn

# A file of such a name is meant as an image, even where its content is none: it is broken, and not passed over.
IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".avif", ".jp2", ".gif", ".ppm", ".pgm", ".pbm", ".hdr",
    ".heic", ".heif", ".jxl",
)  # fmt: skip
# Files of one image after another, which FFmpeg plays.
_VIDEO_SUFFIXES = (".mjpeg", ".mjpg")
_PRINTF = re.compile(r"%0?([0-9]*)d")


def is_image(path: Path) -> bool:
    """Return whether a file is an image by its content, or meant as one by its name."""
    suffix = path.suffix.lower()
    if suffix in _VIDEO_SUFFIXES:
        return False
    require_utf8(path)
    with quiet_opencv():
        # OpenCV before 4.11 reads no GIF, FFmpeg does
        return (suffix in IMAGE_SUFFIXES and suffix != ".gif") or cv2.haveImageReader(str(path))


def image_files(folder: Path) -> list[Path]:
    """Return the images in a folder, in natural order (frame2 before frame10); raises SourceError without any."""
    found = [path for path in folder.iterdir() if _in_a_set(path)]
    if not found:
        raise SourceError(
            f"no images in {folder}; looked for {', '.join(IMAGE_SUFFIXES)} and any other that OpenCV reads"
        )
    return sorted(found, key=_natural)


def images_like(pattern: str) -> list[Path]:
    """Return the images that match a glob, in natural order; raises SourceError without any."""
    found = [Path(name) for name in glob.glob(pattern, recursive=True)]  # noqa: PTH207 Path.glob takes no absolute one
    found = [path for path in found if _in_a_set(path)]
    if not found:
        raise SourceError(f"no image matches {pattern}; quote the pattern and check the folder")
    return sorted(found, key=_natural)


def is_numbered(pattern: str) -> bool:
    """Return whether a name has one number as printf writes it: frame_%05d.png, frame_%d.png."""
    return len(_PRINTF.findall(pattern)) == 1 and pattern.count("%") == 1


def images_numbered(pattern: str) -> tuple[list[Path], list[int]]:
    """Return the images of a numbered pattern, and their places; raises SourceError without any.

    Where most numbers follow each other by the same step, places that a larger step leaves out are missing images.
    """
    before, width, after = _PRINTF.split(pattern)
    digits = f"\\d{{{int(width)},}}" if width else r"\d+"
    name = re.compile(f"{re.escape(Path(before + 'x').name[:-1])}({digits}){re.escape(after)}")
    folder = Path(before + "x").parent
    listed = folder.iterdir() if is_folder(folder) else ()
    found = [(int(match[1]), path) for path in listed if (match := name.fullmatch(path.name))]
    if not found:
        raise SourceError(
            f"no image matches {pattern}; check the folder and the digits of its numbers"
        )
    found.sort()
    return [path for _, path in found], _places([number for number, _ in found])


def _places(numbers: Sequence[int]) -> list[int]:
    """Return the place of each number, in ascending order, in a sequence of even steps; else 0, 1, ..."""
    steps = [after - before for before, after in itertools.pairwise(numbers)]
    step = min(steps, default=1)
    if step < 1 or 2 * steps.count(step) <= len(steps):
        return list(range(len(numbers)))
    return [(number - numbers[0]) // step for number in numbers]


def read_images(paths: Sequence[Path]) -> Iterator[tuple[Path, U8]]:
    """Yield the images that can be read, uint8 BGR (H, W, 3), and warn at the end with the number of the others.

    Raises SourceError where none can be read.
    """
    broken: list[str] = []
    try:
        for _, path, image in _readable(paths, broken.append):
            yield path, image
    finally:
        if 0 < len(broken) < len(paths):
            shown = f"{', '.join(broken[:5])}{' ...' if len(broken) > 5 else ''}"
            warn(f"{paths[0].parent}: {len(broken)} of {len(paths)} images cannot be read: {shown}")


def image_frames(paths: Sequence[Path], fps: float, places: Sequence[int] | None = None) -> Source:
    """Return images as a source whose losses name those that cannot be read; raises SourceError where none can be.

    Frames are named by their files, from the folder that holds all of them: "photo.jpg", "monday/photo.jpg". places:
    their numbers as frames, ascending, of which those left out are missing; None for 0, 1, ...
    """
    places = range(len(paths)) if places is None else places
    holes = [(a + 1, b - 1) for a, b in itertools.pairwise(places) if b > a + 1]
    missing = sum(last - first + 1 for first, last in holes)
    losses = Losses(missing=missing, holes=holes, promised_by="numbers")
    root = os.path.commonpath([path.parent for path in paths])

    def lose(broken: str) -> None:
        losses.unread += 1
        losses.broken.append(broken)

    def frames() -> Generator[Frame]:
        for number, path, image in _readable(paths, lose):
            place = places[number]
            yield Frame(image, place, place / fps, path.relative_to(root).as_posix())

    found = frames()
    first = next(found)
    rest = itertools.chain((first,), found)
    return Source(fps, len(paths), live=False, _frames=rest, _close=found.close, losses=losses)


def _readable(
    paths: Sequence[Path], lose: Callable[[str], object]
) -> Iterator[tuple[int, Path, U8]]:
    """Yield number, path and image of those that can be read, and call `lose` with the names of the others."""
    problem, given = None, 0
    for index, path in enumerate(paths):
        try:
            image = read_image(path)
        except SourceError as error:
            problem = problem or error
            lose(path.name)
            continue
        given += 1
        yield index, path, image
    if problem and not given:
        others = f" (and none of the {len(paths) - 1} others can be read)" if len(paths) > 1 else ""
        raise SourceError(f"{problem}{others}") from problem


def _in_a_set(path: Path) -> bool:
    """Return whether a file counts among the images of a folder: hidden ones (._a.jpg, .DS_Store) do not."""
    if path.name.startswith(".") or not is_file(path):
        return False
    require_utf8(path)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return True
    with quiet_opencv():
        return bool(cv2.haveImageReader(str(path)))


def _natural(path: Path) -> list[tuple[int, str]]:
    """Return a sort key that puts frame2 before frame10."""
    parts = re.split(r"(\d+)", str(path))
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
