"""Holes in video files by the structure of their containers: data that was overwritten or cut out.

FFmpeg searches for the next whole frame behind a hole and says nothing, so that what is lost is found here.
"""

import os
import re
import struct
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TypeAlias

_Chunk: TypeAlias = tuple[bytes, int, int]
"""Of an AVI file's index: the chunk's id, its offset, its bytes."""

_AVI_ENTRY = struct.Struct("<4sIII")  # of idx1: chunk id, flags, offset, bytes
_VIDEO_CHUNK = re.compile(rb"\d\dd[bc]")
_BLOCK = 1 << 20
# Chunks of one size among which the one in the file is sought, and those behind it that are compared.
_ALIKE, _RUN = 1000, 30
_MOST_HOLES = 1000
_TS_PACKET = 188
_SEGMENT, _CLUSTER = 0x18538067, 0x1F43B675
_EBML = 0x1A45DFA3
# Elements that lie at a Matroska file's top, in its segment and in its clusters.
_TOP_IDS = {_EBML, _SEGMENT, 0xEC}
_SEGMENT_IDS = {
    0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367, 0xEC, 0xBF, _CLUSTER,
}  # fmt: skip
_CLUSTER_IDS = {0xE7, 0xA3, 0xA0, 0xA7, 0xAB, 0xEC, 0xBF, 0x5854, 0xAF}


def has_hole(path: Path) -> bool:
    """Return whether a Matroska, WebM, FLV or MPEG-TS file is damaged in its structure; False for other containers."""
    with path.open("rb") as file:
        head = file.read(_TS_PACKET + 1)
        size = os.fstat(file.fileno()).st_size
        if head.startswith(_EBML.to_bytes(4, "big")):
            return not _elements_fit(file, 0, size, _TOP_IDS)
        if head.startswith(b"FLV"):
            return not _tags_fit(file, size)
        if head[:1] == b"G" == head[_TS_PACKET : _TS_PACKET + 1]:
            return any(_bytes_at(file, at, 1) != b"G" for at in range(0, size, _TS_PACKET))
    return False


def surviving_frames(path: Path) -> list[int] | None:
    """Return the numbers of an AVI file's frames that are found by its index, where others are not.

    The container has no times: FFmpeg counts the frames that it finds. None where no frame is missing, and where the
    file is no AVI or has no index (`idx1`).
    """
    with path.open("rb") as file:
        head = file.read(1 << 16)
        if not (head.startswith(b"RIFF") and head[8:12] == b"AVI "):
            return None
        size = os.fstat(file.fileno()).st_size
        entries = _avi_index(file, size)
        cut = int.from_bytes(head[4:8], "little") + 8 - size
        places = _places(file, entries, head.find(b"movi"), cut)
    kinds = [kind for kind, _, _ in entries if _VIDEO_CHUNK.fullmatch(kind)]
    frames = [number for number, entry in enumerate(entries) if entry[0] == kinds[0]]
    found = [number for number, entry in enumerate(frames) if entry in places]
    return found if 0 < len(found) < len(frames) else None


def _avi_index(file: BinaryIO, size: int) -> list[_Chunk]:
    """Return each chunk by the index at the end of the file."""
    tail_bytes = min(size, 64 << 20)
    tail = _bytes_at(file, size - tail_bytes, tail_bytes)
    at = tail.rfind(b"idx1")
    if at < 0:
        return []
    length = int.from_bytes(tail[at + 4 : at + 8], "little")
    table = tail[at + 8 : at + 8 + length]
    rows = _AVI_ENTRY.iter_unpack(table[: len(table) // _AVI_ENTRY.size * _AVI_ENTRY.size])
    return [(kind, offset, count) for kind, _, offset, count in rows]


def _places(file: BinaryIO, entries: list[_Chunk], movi: int, cut: int) -> set[int]:
    """Return the numbers of the index's chunks that are found in the file, in order.

    movi: where offsets count from; cut: the bytes that the file lacks. Chunks behind a hole lie nearer to the start
    where bytes were cut out, all by the same number.
    """
    index = _Index(file, entries)
    found: set[int] = set()
    number, after, shift, holes = 0, 0, movi, 0
    while number < len(entries) and holes < _MOST_HOLES:
        at = entries[number][1] + shift
        if at < after or _bytes_at(file, at, 8) != index.headers[number]:
            holes += 1
            number, at = index.next_chunk(number, after, (shift, movi - cut))
            if at < 0:
                break
            shift = at - entries[number][1]
        found.add(number)
        after = at + 8 + entries[number][2]
        number += 1
    return found


class _Index:
    """An AVI file's index, to find its chunks in the file where they are not at their places."""

    def __init__(self, file: BinaryIO, entries: list[_Chunk]) -> None:
        self.headers = [kind + count.to_bytes(4, "little") for kind, _, count in entries]
        self._file = file
        self._entries = entries
        self._numbers: dict[bytes, list[int]] = {}
        for number, header in enumerate(self.headers):
            self._numbers.setdefault(header, []).append(number)
        kinds = {re.escape(kind) for kind, _, _ in entries}
        self._kinds = re.compile(b"|".join(kinds))

    def next_chunk(self, number: int, after: int, shifts: tuple[int, ...]) -> tuple[int, int]:
        """Return the first chunk from `after` on: its number, `number` or later, and its place, -1 where none is.

        Of several of the same size it is one that lies at one of the shifts, else the one that most others follow.
        """
        for at in _matches(self._file, self._kinds, after):
            same = self._numbers.get(_bytes_at(self._file, at, 8), [])
            first = bisect_left(same, number)
            runs = {each: self._run(at, each) for each in same[first : first + _ALIKE]}
            fitting = [each for each in runs if runs[each] > 1 or each + 1 == len(self.headers)]
            if fitting:
                in_place = [each for each in fitting if at - self._entries[each][1] in shifts]
                return (in_place or [max(fitting, key=runs.__getitem__)])[0], at
        return number, -1

    def _run(self, at: int, number: int) -> int:
        """Return how many chunks follow each other from `at` on, `number` the first."""
        for run, header in enumerate(self.headers[number : number + _RUN]):
            if _bytes_at(self._file, at, 8) != header:
                return run
            count = self._entries[number + run][2]
            at += 8 + count + count % 2
        return _RUN


def _matches(file: BinaryIO, pattern: re.Pattern[bytes], start: int) -> Iterator[int]:
    """Yield where four bytes match the pattern, from `start` to the end of the file."""
    at = start
    while block := _bytes_at(file, at, _BLOCK + 3):
        for match in pattern.finditer(block):
            yield at + match.start()
        at += _BLOCK


def _elements_fit(file: BinaryIO, start: int, end: int, known: set[int]) -> bool:
    """Return whether Matroska elements follow each other from `start` to `end`, those of clusters included."""
    at = start
    while at < end:
        file.seek(at)
        header = file.read(12)
        element, length, head_bytes = _element(header)
        inside = at + head_bytes
        if element not in known or (length is not None and inside + length > end):
            return False
        stop = end if length is None else inside + length
        children = {_SEGMENT: _SEGMENT_IDS, _CLUSTER: _CLUSTER_IDS}.get(element)
        if length is None and children is None:
            return False
        if length is None and element == _CLUSTER:
            at = inside  # a live recording: the cluster lasts until the next one
            known = known | _CLUSTER_IDS
            continue
        if children is not None and not _elements_fit(file, inside, stop, children):
            return False
        at = stop
    return True


def _element(header: bytes) -> tuple[int, int | None, int]:
    """Return an element's id (0: none), the bytes in it (None: not stated), and the bytes of its header."""
    id_bytes = _width(header, 4)
    size_bytes = _width(header[id_bytes:], 8)
    if not (id_bytes and size_bytes) or len(header) < id_bytes + size_bytes:
        return 0, 0, 1
    mask = (1 << 7 * size_bytes) - 1
    size = int.from_bytes(header[id_bytes : id_bytes + size_bytes], "big") & mask
    element = int.from_bytes(header[:id_bytes], "big")
    return element, None if size == mask else size, id_bytes + size_bytes


def _width(data: bytes, most: int) -> int:
    """Return the bytes of a variable-length number by the zeros that it begins with, 0 where they are too many."""
    first = data[0] if data else 0
    width = 9 - first.bit_length()
    return width if first and width <= most else 0


def _tags_fit(file: BinaryIO, size: int) -> bool:
    """Return whether each tag of an FLV file is followed by its length."""
    at = 13
    while at < size:
        file.seek(at)
        length = 11 + int.from_bytes(file.read(4)[1:], "big")
        file.seek(at + length)
        if int.from_bytes(file.read(4), "big") != length:
            return False
        at += length + 4
    return True


def _bytes_at(file: BinaryIO, at: int, count: int) -> bytes:
    file.seek(max(at, 0))
    return file.read(count)
