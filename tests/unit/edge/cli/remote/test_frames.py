"""Frames of a board: read in any pieces, and nothing in them may name a file elsewhere."""

import json

import pytest

from edge.cli.remote.agent import HELLO
from edge.cli.remote.frames import Err, Exit, File, FrameReader, Out
from runtimes.errors import EngineError


def frame(kind: str, data: bytes = b"", **more: object) -> bytes:
    return json.dumps({"kind": kind, "bytes": len(data), **more}).encode() + b"\n" + data


def file(name: str) -> bytes:
    return frame("file", b"x", output=0, name=name, placed=False, offset=0)


STREAM = (
    b"Welcome to the board\n"
    + HELLO
    + frame("out", b'{"bytes": 3}\n')
    + frame("err", b"")
    + file("a/b.jpg")
    + frame("exit", code=-9)
)


@pytest.mark.parametrize("size", [1, 2, 7, 64, len(STREAM)])
def test_frames_arrive_whole_in_whatever_pieces_they_come(size) -> None:
    reader = FrameReader()
    pieces = [STREAM[at : at + size] for at in range(0, len(STREAM), size)]
    found = [each for piece in pieces for each in reader.feed(piece)]
    assert found == [
        (Out(bytes=13), b'{"bytes": 3}\n'),
        (Err(bytes=0), b""),
        (File(bytes=1, output=0, name="a/b.jpg", placed=False, offset=0), b"x"),
        (Exit(bytes=0, code=-9), b""),
    ]


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "../x",
        "a/../../x",
        "/etc/passwd",
        "a//b",
        "a/",
        ".",
        "./a",
        ".edgepose-x/draft/a",
        "a\0",
    ],
)
def test_names_outside_of_a_result_are_refused(name) -> None:
    with pytest.raises(EngineError, match="unreadable answer of the board"):
        list(FrameReader().feed(HELLO + file(name)))


@pytest.mark.parametrize("name", ["", "a", "..a", "a..b/c.jpg", "x.edgepose-y", "é ü/1.jpg"])
def test_names_of_files_in_a_result_are_taken(name) -> None:
    ((head, _),) = FrameReader().feed(HELLO + file(name))
    assert isinstance(head, File)
    assert head.name == name


@pytest.mark.parametrize(
    "data",
    [b"no json\n", b'{"kind": "mail", "bytes": 0}\n', frame("out", b"", more=1), b"x" * (1 << 17)],
)
def test_anything_else_is_an_error_of_the_board(data) -> None:
    with pytest.raises(EngineError, match="unreadable answer of the board"):
        list(FrameReader().feed(HELLO + data))


def test_more_data_than_a_frame_may_have_is_refused() -> None:
    with pytest.raises(EngineError, match="unreadable answer"):
        list(FrameReader().feed(HELLO + b'{"kind": "out", "bytes": 100000000}\n'))


def test_a_shell_that_prints_without_end_is_named() -> None:
    with pytest.raises(EngineError, match="start-up files"):
        list(FrameReader().feed(b"hello\n" * 20000))
