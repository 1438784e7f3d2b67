"""Results that arrive from a board: in place when complete, readable before where they are JSON lines."""

import pytest

from edge.cli.remote.frames import File, Placed
from edge.cli.remote.receiver import Receiver, Target, TextFilter
from runtimes.errors import EngineError

COPY = "/var/cache/edgepose.AbCdEfGh/copy"


def file(data: bytes, name: str = "", *, output: int = 0, offset: int = 0, placed=False) -> File:
    return File(bytes=len(data), output=output, name=name, placed=placed, offset=offset)


def placed(name: str = "", output: int = 0) -> Placed:
    return Placed(bytes=0, output=output, name=name)


def names(folder) -> list[str]:
    return sorted(each.relative_to(folder).as_posix() for each in folder.rglob("*"))


@pytest.mark.parametrize("size", [1, 5, 30, 1000])
def test_the_copy_is_spelled_as_the_original_in_whatever_pieces_it_comes(size) -> None:
    text = (
        f'{{"source":"{COPY}/data/a.mp4"}}\n{COPY[:9]} {COPY}{COPY}x /var/cache/edgepose.'.encode()
    )
    reader = TextFilter(COPY)
    out = b"".join(reader.feed(text[at : at + size]) for at in range(0, len(text), size))
    assert (
        out + reader.rest()
        == b'{"source":"/data/a.mp4"}\n' + COPY[:9].encode() + b" x /var/cache/edgepose."
    )


def test_a_file_is_in_place_when_the_board_says_so_and_not_before(tmp_path) -> None:
    target = tmp_path / "poses.json"
    with Receiver([Target(target, lines=False)], "one", COPY) as receiver:
        receiver.file(file(b"[\n1\n]\n"), b"[\n1\n]\n")
        assert not target.exists()
        receiver.file(file(b",\n2\n]\n", offset=3), b",\n2\n]\n")  # over the bracket
        receiver.placed(placed())
        assert target.read_bytes() == b"[\n1,\n2\n]\n"
    assert names(tmp_path) == ["poses.json"]


def test_what_is_unfinished_is_dropped_with_the_run_and_kept_when_the_connection_ends(
    tmp_path,
) -> None:
    targets = [Target(tmp_path / each, lines=False) for each in ("a.json", "pictures", "a.mp4")]
    for keep, left in (False, []), (True, ["a.json", "pictures", "pictures/1.jpg"]):
        with Receiver(targets, "one", COPY) as receiver:
            receiver.file(file(b"[]\n"), b"[]\n")
            receiver.file(file(b"x", "1.jpg", output=1), b"x")
            receiver.file(file(b"half", output=2), b"half")  # cannot be played
            kept = receiver.keep() if keep else []
        assert names(tmp_path) == left
        assert kept == [each.path for each in targets[:2] if keep]


def test_lines_are_readable_at_once_under_our_names(tmp_path) -> None:
    target = tmp_path / "poses.jsonl"
    target.write_text("old\n")
    with Receiver([Target(target, lines=True)], "one", COPY) as receiver:
        first, second = f'{{"source":"{COPY}/a.mp4"}}\n'.encode(), b"{}\n"
        receiver.file(file(first, placed=True), first)
        assert target.read_bytes() == b'{"source":"/a.mp4"}\n'
        again = first[-8:] + second  # as the agent sends the end again
        receiver.file(file(again, offset=len(first) - 8, placed=True), again)
        receiver.placed(placed())
    assert target.read_bytes() == b'{"source":"/a.mp4"}\n{}\n'
    assert names(tmp_path) == ["poses.jsonl"]


def test_files_of_a_batch_are_complete_or_absent(tmp_path) -> None:
    targets = [Target(tmp_path / "json", lines=False), Target(tmp_path / "lines", lines=True)]
    with Receiver(targets, "batch", COPY) as receiver:
        for name in ("a.json", "b.json"):
            receiver.file(file(b"[]\n", name), b"[]\n")
        for name in ("a.jsonl", "b.jsonl"):
            receiver.file(file(b"{}\n", name, output=1), b"{}\n")
        receiver.placed(placed("a.json"))
        receiver.placed(placed("a.jsonl", output=1))
        receiver.keep()
    assert names(tmp_path) == [
        "json",
        "json/a.json",
        "lines",
        "lines/a.jsonl",
        "lines/b.jsonl.part",
    ]


def test_a_folder_of_one_source_among_several_is_replaced_as_a_whole(tmp_path) -> None:
    (tmp_path / "op/a").mkdir(parents=True)
    (tmp_path / "op/a/old.json").write_text("{}")
    (tmp_path / "op/other").mkdir()
    with Receiver([Target(tmp_path / "op", lines=False)], "together", COPY) as receiver:
        receiver.file(file(b"{}", "a/new.json"), b"{}")
        receiver.placed(placed("a"))
    assert names(tmp_path / "op") == ["a", "a/new.json", "other"]


def test_a_result_that_nobody_asked_for_is_refused(tmp_path) -> None:
    with (
        Receiver([Target(tmp_path / "a", lines=False)], "one", COPY) as receiver,
        pytest.raises(EngineError, match="result 1"),
    ):
        receiver.file(file(b"x", output=1), b"x")
