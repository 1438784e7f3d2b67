"""YUV4MPEG2 (y4m): size, rate and raw frames on a pipe."""

from dataclasses import dataclass

from edge.media.live.pixels import PIXEL_FORMATS, PixelFormat
from runtimes.errors import SourceError

MAGIC = b"YUV4MPEG2"
_UNKNOWN_RATE, _DEFAULT_FPS = (0, 0), 30.0
LONGEST_LINE = 256
_MOST_PIXELS = 1 << 28  # 16384 x 16384
# Kinds of 420 differ only in where chroma samples lie, also 420jpeg: FFmpeg writes it for limited range too.
_CHROMA = dict.fromkeys(("420", "420jpeg", "420mpeg2", "420paldv"), "420") | {"mono": "mono"}
_FORMATS = {
    ("420", "LIMITED"): "yuv420p",
    ("420", "FULL"): "yuvj420p",
    ("mono", "LIMITED"): "gray-limited",
    ("mono", "FULL"): "gray",
}
_USUAL_RANGE = {
    "420": "LIMITED",
    "mono": "FULL",
}  # as FFmpeg has them where the header says nothing
_RANGE = "XCOLORRANGE="


@dataclass(frozen=True, slots=True)
class Layout:
    """Size, rate and pixel format of raw frames; raises SourceError for a size beyond what memory may hold."""

    wh: tuple[int, int]
    fps: float
    pixels: PixelFormat

    def __post_init__(self) -> None:
        width, height = self.wh
        if width * height > _MOST_PIXELS:
            raise SourceError(
                f"frames of {width}x{height} are too large; check the size of what is piped in"
            )

    @property
    def bytes_a_frame(self) -> int:
        """Bytes of one frame."""
        return self.pixels.count(*self.wh)


def parse_header(line: bytes) -> Layout:
    """Parse the first line of a stream; raises SourceError for one that is none, or of other pixels."""
    words = line.decode("ascii", "replace").split()
    values = {word[0]: word[1:] for word in words[1:]}
    chroma = values.get("C", "420")
    sampling = _CHROMA.get(chroma)
    ranges = [word.removeprefix(_RANGE) for word in words if word.startswith(_RANGE)]
    try:
        wh = (int(values["W"]), int(values["H"]))
        above, below = (int(part) for part in values.get("F", "30:1").split(":"))
        fps = above / below if (above, below) != _UNKNOWN_RATE else _DEFAULT_FPS
    except (KeyError, ValueError, ZeroDivisionError):
        wh, fps = (0, 0), 0.0
    if not line.startswith(MAGIC) or min(wh) < 1 or not 0 < fps <= 1000:
        raise SourceError(f"no y4m stream: its first line is {line[:60]!r}")
    if sampling is None:
        raise SourceError(
            f"y4m with C{chroma}; convert it: ffmpeg -i IN -pix_fmt yuv420p -f yuv4mpegpipe -"
        )
    range_ = ranges[-1] if ranges else _USUAL_RANGE[sampling]
    name = _FORMATS.get((sampling, range_))
    if name is None:
        raise SourceError(f"y4m with {_RANGE}{range_}; it is FULL or LIMITED")
    return Layout(wh, fps, PIXEL_FORMATS[name])
