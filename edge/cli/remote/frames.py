"""Messages between `edgepose run --remote` and `edge.cli.remote.agent`: a job, and frames that come back."""

from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Meta

from edge.cli.remote.agent import HELLO
from runtimes.errors import EngineError
from runtimes.record import Record

MOST_NOISE = 64 << 10  # bytes that a shell's start-up files may print first
MOST_HEAD, MOST_DATA = 64 << 10, 64 << 20
Size = Annotated[int, Meta(ge=0, le=1 << 50)]
# below its result, and in no folder that our own staging uses
Name = Annotated[
    str,
    Meta(
        pattern=r"^(?!.*(^|/)(\.{0,2}|\.edgepose-[^/]*)(/|$))[^\x00-\x1f]+\Z|^\Z", max_length=4096
    ),
]


class Job(Record, frozen=True, kw_only=True):
    """What the agent runs. outputs: paths of results; many: these are folders with results of several sources.

    terminal: columns and lines of a terminal that shows the progress, null where there is none.
    """

    arguments: list[str]
    cwd: str
    outputs: list[str]
    many: bool
    environment: dict[str, str]
    terminal: tuple[int, int] | None


class Out(Record, frozen=True, kw_only=True, tag_field="kind", tag="out"):
    """Bytes of stdout."""

    bytes: Size


class Err(Record, frozen=True, kw_only=True, tag_field="kind", tag="err"):
    """Bytes of stderr."""

    bytes: Size


class File(Record, frozen=True, kw_only=True, tag_field="kind", tag="file"):
    """Bytes of a result from `offset` to its end so far; name: of a file in a folder; placed: it is in its place."""

    bytes: Size
    output: Size
    name: Name
    placed: bool
    offset: Size


class Placed(Record, frozen=True, kw_only=True, tag_field="kind", tag="placed"):
    """A result is complete; name: of one source's file or folder in it."""

    bytes: Size
    output: Size
    name: Name


class Exit(Record, frozen=True, kw_only=True, tag_field="kind", tag="exit"):
    """The run has ended; code: as subprocess has it, negative after a signal."""

    bytes: Size
    code: int


Frame = Out | Err | File | Placed | Exit
_DECODER = msgspec.json.Decoder(Frame)


def can_name(name: str) -> bool:
    """Return whether results of a file of this name can come back, as they cannot with control characters in it."""
    try:
        msgspec.convert(name, Name)
    except msgspec.ValidationError:
        return False
    return True


class FrameReader:
    """Frames of a stream of bytes that arrives in pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._greeted = False
        self._head: Frame | None = None

    def feed(self, data: bytes) -> Iterator[tuple[Frame, bytes]]:
        """Yield the frames that these bytes complete; raises EngineError for anything that is no frame."""
        self._buffer += data
        while frame := self._next():
            yield frame

    def _next(self) -> tuple[Frame, bytes] | None:
        if not self._greeted and not self._greet():
            return None
        if self._head is None:
            end = self._buffer.find(b"\n")
            if end < 0 and len(self._buffer) <= MOST_HEAD:
                return None
            try:
                self._head = _DECODER.decode(bytes(self._buffer[: max(end, 0)]))
            except msgspec.DecodeError as error:
                raise EngineError(f"unreadable answer of the board ({error})") from error
            if self._head.bytes > MOST_DATA:
                raise EngineError(f"unreadable answer of the board ({self._head.bytes} bytes)")
            del self._buffer[: end + 1]
        if len(self._buffer) < self._head.bytes:
            return None
        head, self._head = self._head, None
        data = bytes(self._buffer[: head.bytes])
        del self._buffer[: head.bytes]
        return head, data

    def _greet(self) -> bool:
        at = self._buffer.find(HELLO)
        if at < 0 and len(self._buffer) > MOST_NOISE:
            raise EngineError("the board's shell prints too much; make its start-up files quiet")
        if at >= 0:
            del self._buffer[: at + len(HELLO)]
            self._greeted = True
        return at >= 0
