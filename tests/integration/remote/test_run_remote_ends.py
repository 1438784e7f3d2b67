"""Ends of run --remote over a real sshd on the loopback interface: signals, lost connections, killed processes."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from loopback_sshd import FILES, Sshd, cut, left_on, remote
from mjpeg import MjpegHandler, jpeg_of, mjpeg_camera

# stands in for an interpreter whose start of edgepose takes long
SLOW_START = """#!{python}
import runpy, signal, sys
sys.executable = sys.argv[0]
if sys.argv[1] == "-m":
    print("starting", file=sys.stderr, flush=True)
    signal.pause()
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
# answers as a board whose second frame is damaged
DAMAGED = """#!{python}
import runpy, sys
if sys.argv[1].endswith("agent.py"):
    print("edgepose run 1")
    print('{{"kind": "file", "bytes": 2, "output": 0, "name": "", "placed": false, "offset": 0}}')
    print('[]{{"kind": "file", "bytes": -1}}', flush=True)
    sys.stdin.read()
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture
def here(tmp_path) -> Path:
    """A working directory."""
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


def recording(start, artifact: Path, server: Sshd, here: Path, url: str) -> "subprocess.Popen[str]":
    """Start a run of a stream without an end that the board reads; return once some of its lines have come."""
    asked = ("run", f"board:{url}", "--pose", artifact, *FILES)
    running = start(*asked, *remote(server), cwd=here)
    end = time.monotonic() + 120
    lines = here / "o.jsonl"
    while running.poll() is None and time.monotonic() < end:
        if lines.exists() and lines.read_bytes().count(b"\n") >= 5:
            return running
        time.sleep(0.05)
    running.kill()
    pytest.fail(running.communicate()[1])


class Endless(MjpegHandler):
    """A frame each 50 ms."""

    def pictures(self) -> Iterator[bytes]:
        for number in itertools.count():
            yield jpeg_of(np.full((48, 64, 3), number % 256, np.uint8))
            time.sleep(0.05)


def test_a_board_that_disappears_leaves_what_had_arrived(start, artifact, sshd, here) -> None:
    with mjpeg_camera(Endless) as url:
        running = recording(start, artifact, sshd, here, url)
        cut(sshd)
        _, err = running.communicate(timeout=60)
    assert running.returncode == 2, err
    assert "Traceback" not in err
    assert "127.0.0.1: the board disappeared" in err
    assert "what had arrived is kept, partial: o.json, o.csv, o.jsonl" in err
    lines = [json.loads(line) for line in (here / "o.jsonl").read_text().splitlines()]
    people = json.loads((here / "o.json").read_text())
    rows = (here / "o.csv").read_text().splitlines()
    assert len(lines) >= 5
    assert len(people) >= 5
    assert len(rows) >= 6
    assert not (here / "o.mp4").exists()
    assert not list(here.glob(".edgepose*"))
    assert left_on(sshd) == []


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_signal_ends_the_run_and_keeps_what_was_written(
    start, artifact, sshd, here, number
) -> None:
    with mjpeg_camera(Endless) as url:
        running = recording(start, artifact, sshd, here, url)
        running.send_signal(number)
        _, err = running.communicate(timeout=60)
    assert running.returncode == 128 + number, err
    assert "edgepose: interrupted after " in err
    frames = len((here / "o.jsonl").read_text().splitlines())
    assert f"wrote o.mp4 ({frames} frames" in err
    assert f"wrote o.json ({frames} frames" in err
    assert len(json.loads((here / "o.json").read_text())) == frames
    assert sorted(each.name for each in here.glob("o.*")) == ["o.csv", "o.json", "o.jsonl", "o.mp4"]
    assert left_on(sshd) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_board_still_starts_ends_as_a_local_run(
    start, artifact, sshd, here, number
) -> None:
    slow = here.parent / "python"
    slow.write_text(SLOW_START.format(python=sys.executable))
    slow.chmod(0o755)
    asked = ("run", "synth", "--pose", artifact, "--save-json", "o.json")
    with start(*asked, *remote(sshd, slow), cwd=here) as running:
        assert "starting\n" in running.stderr
        running.send_signal(number)
        err = running.stderr.read()
    assert running.returncode == 128 + number, err
    assert err.splitlines()[-1] == ("edgepose: interrupted; nothing half-written was left in place")
    assert list(here.iterdir()) == []
    assert left_on(sshd) == []


def test_an_unreadable_answer_leaves_what_had_arrived(edgepose, artifact, sshd, tmp_path) -> None:
    damaged = tmp_path / "python"
    damaged.write_text(DAMAGED.format(python=sys.executable))
    damaged.chmod(0o755)
    out = tmp_path / "o.json"
    asked = ("run", "synth", "--pose", artifact, "--save-json", out)
    done = edgepose(*asked, *remote(sshd, damaged))
    assert done.code == 2
    assert "127.0.0.1: unreadable answer of the board" in done.err
    assert f"what had arrived is kept, partial: {out}" in done.err
    assert out.read_text() == "[]"
    assert left_on(sshd) == []


def runs_on(server: Sshd) -> list[int]:
    """Processes of edgepose that a run started on the board."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
            own = str(server.temporary).encode() in (path / "environ").read_bytes()
        except OSError:
            continue
        if own and words[1:4] == [b"-m", b"edgepose", b"run"]:
            found.append(int(path.name))
    return found


def test_a_run_that_is_killed_on_the_board_is_explained(start, artifact, sshd, here) -> None:
    with mjpeg_camera(Endless) as url:
        running = recording(start, artifact, sshd, here, url)
        for pid in runs_on(sshd):
            os.kill(pid, signal.SIGKILL)
        _, err = running.communicate(timeout=60)
    assert running.returncode == 2, err
    assert "127.0.0.1: the run there was ended by SIGKILL; is there enough memory?" in err
    assert len((here / "o.jsonl").read_text().splitlines()) >= 5
    assert left_on(sshd) == []


def test_a_command_that_is_killed_leaves_nothing_on_the_board(start, artifact, sshd, here) -> None:
    with mjpeg_camera(Endless) as url:
        running = recording(start, artifact, sshd, here, url)
        running.kill()
        running.communicate(timeout=60)
        assert left_on(sshd) == []
        assert runs_on(sshd) == []


def test_a_reader_that_leaves_ends_the_run(start, artifact, sshd, here) -> None:
    with mjpeg_camera(Endless) as url:
        asked = ("run", f"board:{url}", "--pose", artifact, "--save-jsonl", "-")
        with start(*asked, "--save-json", "o.json", *remote(sshd), cwd=here) as running:
            assert json.loads(running.stdout.readline())["people"]
            running.stdout.close()
            err = running.stderr.read()
        assert running.returncode == 0, err
    assert json.loads((here / "o.json").read_text())
    assert left_on(sshd) == []
