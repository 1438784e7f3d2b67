"""run --remote over a real sshd on the loopback interface: results as of a local run, and nothing left on the board."""

import contextlib
import fcntl
import json
import os
import pty
import shlex
import struct
import subprocess
import sys
import termios
from pathlib import Path

import cv2
import numpy as np
import pytest
from loopback_sshd import FILES, left_on, make_key, remote, start_full_sshd

ROOT = Path(__file__).resolve().parents[3]
# stands in for an interpreter of another version, or without some packages
SHIM = """#!{python}
import runpy, sys
{statement}
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A working directory with a folder of two clips and one of pictures."""
    folder = tmp_path / "here"
    for name, seed in (("clips/a.avi", 1), ("clips/b.avi", 2)):
        write_clip(folder / name, seed)
    (folder / "pictures").mkdir()
    for number in (1, 2, 10):
        cv2.imwrite(str(folder / f"pictures/p{number}.png"), noise(number))
    (folder / "pictures/notes.txt").write_text("not a picture\n")
    monkeypatch.chdir(folder)
    return folder


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (48, 64, 3), np.uint8)


def write_clip(path: Path, seed: int, frames: int = 10) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for number in range(frames):
        writer.write(noise(100 * seed + number))
    writer.release()


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


FOLDERS = ("--out", "out", "--save-json", "json", "--save-jsonl", "lines")


@pytest.mark.parametrize(
    ("sources", "outputs"),
    [
        (["clips/a.avi"], FILES),
        (["{here}/clips/a.avi"], FILES),
        pytest.param(["../here/clips/a.avi"], FILES, marks=pytest.mark.slow),
        (["pictures"], ("--out", "drawn", "--save-jsonl", "o.jsonl")),
        pytest.param(["pictures/p%d.png"], ("--save-json", "o.json"), marks=pytest.mark.slow),
        pytest.param(["pictures/p1.png"], ("--out", "o.jpg"), marks=pytest.mark.slow),
        (["clips"], FOLDERS),
        (["clips/a.avi", "clips/b.avi"], FOLDERS),
    ],
)
def test_results_are_those_of_a_local_run(
    edgepose, artifact, sshd, here, tmp_path, monkeypatch, sources, outputs
) -> None:
    kept = []
    named = [each.format(here=here) for each in sources]
    for where in ((), remote(sshd)):
        before = files_below(here)
        done = edgepose("run", *named, "--pose", artifact, *outputs, "--json", *where)
        assert done.code == 0, done.err
        assert done.json["frames"] > 0
        after = files_below(here)
        kept.append({name: after[name] for name in after.keys() - before.keys()})
        for name in kept[-1]:
            (here / name).unlink()
        for name in ("drawn", "out", "json", "lines"):
            if (here / name).is_dir():
                (here / name).rmdir()
    local, there = kept
    assert there.keys() == local.keys()
    assert local
    assert {name for name in local if there[name] != local[name]} == set()
    assert left_on(sshd) == []


def test_stdout_has_the_lines_and_stderr_our_names(process, artifact, sshd, here) -> None:
    source = here / "clips/a.avi"
    asked = ("run", source, "--pose", artifact, "--save-jsonl", "-")
    local, there = process(*asked, cwd=here), process(*asked, *remote(sshd), cwd=here)
    assert there.code == 0, there.err
    assert there.out == local.out
    assert [json.loads(line)["frame"] for line in there.out.splitlines()] == list(range(10))
    broken = here / "broken.avi"
    broken.write_bytes(b"nothing")
    refused = process("run", broken, "--pose", artifact, *remote(sshd), cwd=here)
    assert refused.code == 2
    assert f"edgepose: {broken} " in refused.err
    assert str(sshd.temporary) not in refused.err


def test_finished_videos_are_neither_sent_nor_run_again(edgepose, artifact, sshd, here) -> None:
    asked = ("run", "clips", "--pose", artifact, "--save-jsonl", "lines", *remote(sshd))
    assert edgepose(*asked).code == 0
    first = (here / "lines/a.jsonl").stat().st_mtime_ns
    (here / "lines/b.jsonl").unlink()
    again = edgepose(*asked)
    assert again.code == 0
    assert "1 source of 2 finished before" in again.err
    assert sorted(files_below(here / "lines")) == ["a.jsonl", "b.jsonl"]
    assert (here / "lines/a.jsonl").stat().st_mtime_ns == first
    shares = [edgepose(*asked, "--force", "--shard", f"{number}/2").code for number in (1, 2)]
    assert shares == [0, 0]
    assert sorted(files_below(here / "lines")) == ["a.jsonl", "b.jsonl"]


def test_the_board_reads_its_own_sources(edgepose, artifact, sshd, here, tmp_path) -> None:
    write_clip(tmp_path / "there.avi", 3)
    source = f"board:{tmp_path}/there.avi"
    done = edgepose("run", source, "--pose", artifact, "--save-jsonl", "o.jsonl", *remote(sshd))
    assert done.code == 0, done.err
    lines = [json.loads(line) for line in (here / "o.jsonl").read_text().splitlines()]
    assert {line["source"] for line in lines} == {f"{tmp_path}/there.avi"}
    assert len(lines) == 10


def test_the_next_commands_can_be_pasted(edgepose, artifact, sshd, here, tmp_path) -> None:
    write_clip(tmp_path / "there.avi", 3)
    source = f"board:{tmp_path}/there.avi"
    done = edgepose("run", source, "--pose", artifact, *remote(sshd))
    assert done.code == 0, done.err
    assert done.err.count("next: ") == 1
    keep = shlex.split(done.talk[-1].removeprefix("next: edgepose "))
    assert keep[:2] == ["run", source]
    kept = edgepose(*keep)
    assert kept.code == 0, kept.err
    assert (here / "poses.mp4").exists()
    assert len(json.loads((here / "poses.json").read_text())) == 10
    timed = shlex.split(kept.talk[-1].removeprefix("next: edgepose "))
    assert timed[:2] == ["bench", str(artifact)]
    assert edgepose(*timed, "--time", 0.002, "--rounds", 1, "--threads", 1).code == 0
    assert left_on(sshd) == []


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["clips/a.avi", "--remote", "ssh:-oProxyCommand=x"], "--remote wants ssh:USER@HOST"),
        (["clips/a.avi", "--remote", "adb:1234"], "run works over ssh"),
        (
            ["clips/a.avi", "--remote", "ssh:board", "--remote-python", "-c"],
            "--remote-python wants",
        ),
        (["clips/a.avi", "--remote", "ssh:board", "--tuned"], "--tuned is of this machine"),
        (["clips/a.avi", "--remote", "ssh:board", "--show"], "--show is of this machine"),
        (["clips/a.avi", "--remote", "ssh:board", "--serve", "8000"], "--serve is of this machine"),
        (["0", "--remote", "ssh:board"], "write board:0 for the board"),
        (["-", "--remote", "ssh:board"], "stdin is not sent"),
        (["board:0"], "board:0 is read by a board: `edgepose run SOURCE --remote ssh:USER@HOST`"),
        (["ssh:pi@board", "clips/a.avi"], "a board is named by --remote ssh:pi@board"),
        (["pi@board:0"], "no such file"),
        (["clips/a.avi", "--remote", "pi@board"], "write --remote ssh:pi@board"),
        (["none.mp4", "--remote", "ssh:board"], "no such file or directory: none.mp4"),
        (["clips/a.avi", "--remote", "ssh:board", "--out", "no/o.mp4"], "no such directory"),
        (["clips/a.avi", "--remote", "ssh:board", "--out", "clips/a.avi"], "another target"),
    ],
)
def test_wrong_use_is_refused_before_anything_is_started(
    edgepose, artifact, here, args, said
) -> None:
    done = edgepose("run", *args, "--pose", artifact)
    assert done.code == 2
    assert said in done.message


def test_boards_that_cannot_be_used_are_named(edgepose, artifact, sshd, here, tmp_path) -> None:
    asked = ("run", "clips/a.avi", "--pose", artifact, "--save-json", "o.json")
    config = ("--ssh-config", sshd.config)
    gone = edgepose(*asked, "--remote", "ssh:edgepose-test.invalid", *config)
    assert gone.code == 2
    assert "edgepose-test.invalid: no such host" in gone.message
    other = " ".join(make_key(tmp_path / "other").with_suffix(".pub").read_text().split()[:2])
    try:
        sshd.trust(other)
        changed = edgepose(*asked, *remote(sshd))
    finally:
        sshd.trust(sshd.host_key())
    assert changed.code == 2
    assert "127.0.0.1: its host key has changed" in changed.message
    assert not (here / "o.json").exists()


OLD = "import platform; platform.python_version = lambda: '3.8.10'"
BARE = "import importlib.util as u; u.find_spec = lambda name: None if name in {names} else 1"


@pytest.mark.parametrize(
    ("statement", "code", "said"),
    [
        (OLD, 2, "is Python 3.8.10; run needs 3.10 or newer"),
        (BARE.format(names=["onnxruntime"]), 4, "-m pip install onnxruntime"),
        (
            BARE.format(names=["cv2", "onnxruntime"]),
            4,
            "-m pip install opencv-python-headless onnxruntime",
        ),
    ],
)
def test_a_python_that_is_too_old_or_lacks_packages_is_named(
    edgepose, artifact, sshd, here, tmp_path, statement, code, said
) -> None:
    shim = tmp_path / "python"
    shim.write_text(SHIM.format(python=sys.executable, statement=statement))
    shim.chmod(0o755)
    done = edgepose("run", "clips/a.avi", "--pose", artifact, *remote(sshd, shim))
    assert done.code == code
    assert "127.0.0.1: " in done.err
    assert said in done.err
    assert left_on(sshd) == []


def test_a_board_without_room_for_the_files_is_named(edgepose, artifact, here, tmp_path) -> None:
    server = start_full_sshd(tmp_path)
    asked = ("run", "clips/a.avi", "--pose", artifact, "--save-jsonl", "o.jsonl")
    try:
        done = edgepose(*asked, *remote(server))
        assert done.code == 2
        assert "127.0.0.1: its disk is full; make room in its temporary directory" in done.message
        assert not (here / "o.jsonl").exists()
        assert left_on(server) == []
    finally:
        server.stop()


def test_a_disk_that_fills_up_on_the_board_leaves_what_was_written(
    edgepose, artifact, sshd, here, tmp_path
) -> None:
    asked = ("run", "clips/a.avi", "--pose", artifact, "--save-jsonl", "o.jsonl")
    assert edgepose(*asked).code == 0
    whole = (here / "o.jsonl").read_text().splitlines(keepends=True)
    room = len("".join(whole)) // 2
    shim = tmp_path / "python"
    statement = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))"
    shim.write_text(SHIM.format(python=sys.executable, statement=statement))
    shim.chmod(0o755)
    done = edgepose(*asked, "--save-json", "o.json", "--force", *remote(sshd, shim))
    assert done.code == 2
    assert "edgepose: cannot write " in done.err
    assert "free space" in done.err
    assert "Traceback" not in done.err
    assert done.talk[-1].startswith("that was on 127.0.0.1, whose run ended with exit code 2; ")
    assert done.talk[-1].endswith("what it had written is kept, partial: o.json, o.jsonl")
    kept = (here / "o.jsonl").read_text().splitlines(keepends=True)
    assert 0 < len(kept) < len(whole)
    assert kept == whole[: len(kept)]
    assert f"wrote o.jsonl ({len(kept)} frames" in done.err
    assert left_on(sshd) == []


def test_a_terminal_shows_the_progress_on_the_board(artifact, sshd, here) -> None:
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    arguments = ("run", "clips/a.avi", "--pose", artifact, *remote(sshd))
    running = subprocess.Popen(
        [sys.executable, "-m", "edgepose", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=its,
        env={**os.environ, "TERM": "xterm", "PYTHONPATH": str(ROOT)},
        cwd=here,
    )
    os.close(its)
    shown = b""
    with contextlib.suppress(OSError):  # the end of a terminal
        while data := os.read(ours, 1 << 16):
            shown += data
    os.close(ours)
    assert running.wait(60) == 0, shown
    assert b"10/10" in shown
    assert str(sshd.temporary).encode() not in shown


@pytest.mark.parametrize("name", ["a\nb.png", "a\tb.png"])
def test_a_name_that_cannot_come_back_is_refused_before_it_is_sent(
    edgepose, artifact, sshd, here, name
) -> None:
    (here / "pictures/p1.png").rename(here / "pictures" / name)
    asked = ("run", "pictures", "--pose", artifact, "--out", "drawn")
    done = edgepose(*asked, *remote(sshd))
    assert done.code == 2
    assert f"{f'pictures/{name}'!r}: --remote sends no file whose name has" in done.message
    assert "sending" not in done.err
    assert not (here / "drawn").exists()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--remote-python", "python3.12"], "are of a board: add --remote ssh:USER@HOST"),
        (["--ssh-config", "/dev/null"], "are of a board: add --remote ssh:USER@HOST"),
        (["--remote", "ssh:board", "--ssh-config", "nope"], "--ssh-config nope: no such file"),
    ],
)
def test_options_of_ssh_are_refused_before_anything_is_sent(edgepose, artifact, args, said) -> None:
    done = edgepose("run", "synth", "--pose", artifact, *args)
    assert done.code == 2
    assert said in done.message
