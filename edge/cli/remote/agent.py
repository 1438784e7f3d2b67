"""The board's side of `edgepose run --remote`: starts the run there, and sends what it writes. Standard library only.

Stdin: the job, a line of JSON (`edge.cli.remote.frames.Job`), then a line `{"signal": 2}` for each signal; its end is
the connection's, and ends the run. Stdout: HELLO, then frames: a line of JSON and as many bytes as it says.
"""

import contextlib
import fcntl
import json
import os
import pty
import shutil
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HELLO = b"edgepose run 1\n"
STAGING, DRAFT, PART = ".edgepose-", "draft", ".part"
WHOLE = (".mp4", ".avi")  # their first bytes change at the end
CHUNK = 4 << 20
OVERLAP = 8  # bytes at a file's end that the next write may replace, as a list's closing bracket
POLL_S, REST = 0.2, 4  # looks are so far apart, and so many times as long as the last one took
LAST_WORDS_S = 5  # for what a run has printed before its end


class Frames:
    """Stdout as frames, from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        sys.stdout.buffer.write(HELLO)
        sys.stdout.buffer.flush()

    def send(self, kind: str, data: bytes = b"", **more: Any) -> None:
        """Send one frame; raises OSError where the connection has gone."""
        head = json.dumps({"kind": kind, "bytes": len(data), **more}).encode()
        with self._lock:
            sys.stdout.buffer.write(head + b"\n" + data)
            sys.stdout.buffer.flush()


@dataclass(frozen=True)
class Found:
    """A file of a result: which result, its path in it ("" for the result itself), and where it lies now."""

    output: int
    name: str
    path: Path
    placed: bool


class Results:
    """Files that the run writes, in place or in its staging folders, and what was sent of them.

    many: results are folders with a file or folder for each source.
    """

    def __init__(self, paths: list[str], *, many: bool, frames: Frames) -> None:
        self._paths = [Path(each) for each in paths]
        self._many = many
        self._frames = frames
        self._sent: dict[tuple[int, str], tuple[int, int, int]] = {}
        # what was there before the run stands for results that its user has already
        self._before = {(each.output, each.name): _mark(each.path) for each in self._find()}
        self._told: set[tuple[int, str]] = set()

    def send_new(self) -> None:
        """Send what has changed since the last call, then which results are in place."""
        found = [each for each in self._find() if not self._is_old(each)]
        for each in found:
            with contextlib.suppress(
                FileNotFoundError
            ):  # renamed or removed meanwhile: seen the next time
                self._send(each)
        for each in found:
            unit = (each.output, each.name.partition("/")[0] if self._many else "")
            if each.placed and unit not in self._told:
                self._told.add(unit)
                self._frames.send("placed", output=unit[0], name=unit[1])

    def _find(self) -> list[Found]:
        return [
            each
            for output, path in enumerate(self._paths)
            for each in (*_staged(output, path, ""), *_in_place(output, path))
        ]

    def _is_old(self, found: Found) -> bool:
        before = self._before.get((found.output, found.name))
        return before is not None and before == _mark(found.path)

    def _send(self, found: Found) -> None:
        if found.path.suffix in WHOLE and not found.placed:
            return
        key = (found.output, found.name)
        with found.path.open("rb") as file:
            status = os.fstat(file.fileno())
            mark = (status.st_size, status.st_mtime_ns, status.st_ino)
            last = self._sent.get(key)
            if last == mark:
                return
            grows = last is not None and last[2] == mark[2] and last[0] <= mark[0]
            begin = max(0, last[0] - OVERLAP) if last and grows else 0
            file.seek(begin)
            sent = begin
            place: dict[str, Any] = {"output": key[0], "name": key[1], "placed": found.placed}
            while data := file.read(min(CHUNK, max(0, status.st_size - sent))):
                self._frames.send("file", data, offset=sent, **place)
                sent += len(data)
            if sent == 0:
                self._frames.send("file", offset=0, **place)
        self._sent[key] = (sent, mark[1], mark[2])


def _in_place(output: int, path: Path) -> Iterator[Found]:
    """Yield the files of a result in its place, and what lies in staging folders inside it."""
    if path.is_file():
        yield Found(output, "", path, placed=True)
        return
    for folder, folders, files in os.walk(path):
        drafts = [each for each in folders if each.startswith(STAGING)]
        folders[:] = [each for each in folders if each not in drafts]
        for each in drafts:
            yield from _below(output, Path(folder, each, DRAFT), "", placed=False)
        for each in files:
            name = Path(folder, each).relative_to(path).as_posix()
            done = not each.endswith(PART)
            yield Found(output, name.removesuffix(PART), Path(folder, each), done)


def _staged(output: int, path: Path, name: str) -> Iterator[Found]:
    """Yield the files of a result that is not in place yet."""
    for folder in path.parent.glob(f"{STAGING}*"):
        draft = folder / DRAFT / path.name
        if draft.is_file():
            yield Found(output, name, draft, placed=False)
        else:
            yield from _below(output, draft, name, placed=False)


def _below(output: int, top: Path, name: str, *, placed: bool) -> Iterator[Found]:
    for folder, _, files in os.walk(top):
        for each in files:
            path = Path(folder, each)
            yield Found(output, (Path(name) / path.relative_to(top)).as_posix(), path, placed)


def _mark(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return (-1, 0, 0)
    return (status.st_size, status.st_mtime_ns, status.st_ino)


def main() -> None:
    """Run the job to its end, or to the connection's."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # inherited, it may be ignored
    job = json.loads(sys.stdin.buffer.readline())
    frames = Frames()
    results = Results(job["outputs"], many=job["many"], frames=frames)
    errors, terminal = _terminal(job["terminal"]) if job["terminal"] else os.pipe()
    child = subprocess.Popen(  # noqa: S603 edgepose of the same parcel
        [sys.executable, "-m", "edgepose", "run", *job["arguments"]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=terminal,
        cwd=job["cwd"],
        env=_environment(job),
        start_new_session=True,
    )
    os.close(terminal)
    assert child.stdout
    pumps = [
        threading.Thread(target=_pump, args=(frames, kind, number))
        for kind, number in (("out", child.stdout.fileno()), ("err", errors))
    ]
    threading.Thread(target=_obey, args=(child,), daemon=True).start()
    try:
        for each in pumps:
            each.start()
        while child.poll() is None:
            began = time.monotonic()
            results.send_new()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(max(POLL_S, REST * (time.monotonic() - began)))
        for each in pumps:
            each.join(LAST_WORDS_S)
        results.send_new()
        frames.send("exit", code=child.returncode)
    except OSError:
        _give_up(child)


def _environment(job: dict[str, Any]) -> dict[str, str]:
    own = str(Path(__file__).parent / "packages")
    path = os.pathsep.join(filter(None, (own, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **job["environment"]}


def _terminal(size: list[int]) -> tuple[int, int]:
    """Open a pseudo-terminal of (columns, lines), so that the run shows its progress; return both ends."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    modes = termios.tcgetattr(its)
    modes[1] &= ~termios.OPOST  # a line's end stays one byte
    termios.tcsetattr(its, termios.TCSANOW, modes)
    return ours, its


def _pump(frames: Frames, kind: str, descriptor: int) -> None:
    """Send what the run prints; the end of a pseudo-terminal, or of the connection, is an OSError."""
    with contextlib.suppress(OSError):
        while data := os.read(descriptor, CHUNK):
            frames.send(kind, data)


def _obey(child: "subprocess.Popen[bytes]") -> None:
    """Pass signals on; where stdin ends, so does the run."""
    for line in sys.stdin.buffer:
        child.send_signal(json.loads(line)["signal"])
    _give_up(child)


def _give_up(child: "subprocess.Popen[bytes]") -> None:
    """End the run with all its processes and remove our directory: nobody is there to take results."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    with contextlib.suppress(OSError):
        child.wait(5)
    shutil.rmtree(Path(__file__).parent, ignore_errors=True)
    os._exit(1)


if __name__ == "__main__":
    main()
