"""Pipes of a command on a device: an answer among other lines, output up to a limit, a shell that holds a directory."""

import contextlib
import os
import re
import selectors
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO

GRACE_S = 10.0
# what a shell's start-up files may print before an answer
MOST_LINES, MOST_LINE_BYTES = 100, 64 << 20
MOST_PRINTED = 4 << 20
PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class Printed:
    """What a command printed; whole: False where it printed more than was read."""

    out: bytes
    err: bytes
    whole: bool


def read_all(
    process: "subprocess.Popen[bytes]", limit_s: float, most: int = MOST_PRINTED
) -> Printed:
    """Read stdout, and stderr where it is a pipe, to their ends, or until one has had more than `most` bytes.

    Raises subprocess.TimeoutExpired where that, or the process, is not done after `limit_s`.
    """
    end = time.monotonic() + limit_s
    pipes = [pipe for pipe in (process.stdout, process.stderr) if pipe]
    kept = {pipe.fileno(): bytearray() for pipe in pipes}
    whole = True
    with selectors.DefaultSelector() as selector:
        for number in kept:
            selector.register(number, selectors.EVENT_READ)
        while whole and selector.get_map():
            if time.monotonic() >= end:
                raise subprocess.TimeoutExpired(process.args, limit_s)
            for key, _ in selector.select(end - time.monotonic()):
                data = os.read(key.fd, PIECE)
                kept[key.fd] += data
                whole = whole and len(kept[key.fd]) <= most
                if not data:
                    selector.unregister(key.fd)
    if whole:
        process.wait(max(0.0, end - time.monotonic()))
    texts = [bytes(each[:most]) for each in kept.values()]
    return Printed(texts[0], texts[1] if len(texts) > 1 else b"", whole)


def answer(lines: IO[bytes], pattern: re.Pattern[bytes], most: int = MOST_LINE_BYTES) -> bytes:
    """Return the first line that is an answer, b"" where none comes."""
    return answer_after(lines, pattern, most)[0]


def answer_after(lines: IO[bytes], pattern: re.Pattern[bytes], most: int) -> tuple[bytes, bytes]:
    """Return the first line that is an answer, b"" where none comes, and all before it."""
    before = b""
    for _ in range(MOST_LINES):
        line = lines.readline(most)
        if not line or pattern.fullmatch(line):
            return line, before
        before += line
    return b"", before


def pipe_of(pipe: IO[bytes] | None) -> IO[bytes]:
    """Return a pipe that a process was started with."""
    if pipe is None:
        raise ValueError("a command on a device needs pipes")
    return pipe


def text_of(file: IO[bytes]) -> str:
    """Return the beginning of what was written to a file."""
    file.seek(0)
    return file.read(PIECE).decode(errors="replace")


def end_code(process: "subprocess.Popen[bytes]") -> int:
    """Return the exit code of a process that has nothing more to do; one that goes on without is killed."""
    try:
        return process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


class Holder:
    """A shell that makes a directory on a device, and removes it where its stdin ends: by us, or with the connection.

    start: starts it with a file for its stderr.
    """

    def __init__(self, start: Callable[[IO[bytes]], "subprocess.Popen[bytes]"]) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 closed in end()
        self._before = b""
        try:
            self._process = start(self._stderr)
        except BaseException:
            self._stderr.close()
            raise

    def made(self, pattern: re.Pattern[bytes]) -> bytes:
        """Return the line by which it says that the directory is there, b"" where it does not."""
        line, self._before = answer_after(pipe_of(self._process.stdout), pattern, PIECE)
        return line

    def failure(self) -> tuple[int, str, str]:
        """Return the exit code of one that made no directory, and what it said on stderr and on stdout."""
        code = end_code(self._process)
        return code, text_of(self._stderr), self._before.decode(errors="replace")

    @property
    def ended(self) -> bool:
        """Whether it has ended by itself, and its directory with it."""
        return self._process.poll() is not None

    def end(self) -> tuple[int, bytes]:
        """Have it remove the directory; return its exit code, and what it said since."""
        with contextlib.suppress(BrokenPipeError):
            pipe_of(self._process.stdin).close()
        code = end_code(self._process)
        with pipe_of(self._process.stdout) as lines:
            said = lines.read(PIECE)
        self._stderr.close()
        return code, said
