"""Frames of a path, a camera or a URL, or of a sequence of paths, images or frames."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from edge.image import as_image
from edge.media.sources import open_source
from edge.media.video import DEFAULT_FPS
from edge.types import Frame
from runtimes.errors import InputError

Frames: TypeAlias = str | Path | int | Iterable[Any]
"""What `open_source` takes, or an iterable of frames, image paths, PIL images or arrays uint8 BGR (H, W, 3)."""


def frames_of(source: Frames) -> Iterator[Frame]:
    """Yield the frames of a source; what is opened here is closed at the end.

    Images without a time get 30 frames a second. Raises SourceError for a file that cannot be read, and InputError for
    what is no image.
    """
    if isinstance(source, (str, Path, int)):
        with open_source(source) as opened:
            yield from opened
        return
    if isinstance(source, np.ndarray) and source.ndim < 4:
        raise InputError(
            "stream takes a sequence of frames; for one image call pipeline(image), or give [image]"
        )
    if not isinstance(source, Iterable):
        raise InputError(
            f"stream takes a path, a camera number, a URL or a sequence of images, not {type(source).__name__}"
        )
    for index, item in enumerate(source):
        if isinstance(item, Frame):
            yield item
            continue
        name = Path(item).name if isinstance(item, (str, Path)) else ""
        yield Frame(as_image(item), index, index / DEFAULT_FPS, name)
