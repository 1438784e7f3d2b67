"""Results of a run on a board, written to files of this machine while they arrive."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from edge.cli.remote.agent import PART, WHOLE
from edge.cli.remote.frames import File, Placed
from edge.cli.running.plan import Way
from edge.cli.running.setup import make_folder
from edge.media.sinks.sink import disk_error, unwritable
from runtimes.errors import EngineError
from runtimes.replace import flush, replace
from runtimes.staging import staging_folder


@dataclass(frozen=True, slots=True)
class Target:
    """A result's path. lines: JSON lines, which are readable while they grow."""

    path: Path
    lines: bool


class TextFilter:
    """Text of the board with its copy of our file system spelled as ours; a piece of the name is held back."""

    def __init__(self, copy: str) -> None:
        self._copy = copy.encode()
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Return what is certain so far."""
        text = (self._held + data).replace(self._copy, b"")
        most = min(len(text), len(self._copy) - 1)
        keep = next((n for n in range(most, 0, -1) if text.endswith(self._copy[:n])), 0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def rest(self) -> bytes:
        """Return what was held back."""
        held, self._held = self._held, b""
        return held


@dataclass
class _Lines:
    """JSON lines that are written in place."""

    descriptor: int
    text: TextFilter
    received: int = 0


@dataclass
class Receiver:
    """Targets of a run; a context manager. A result is in place once the board has said that it is complete.

    way: as in `Plan`; copy: the folder of the board that stands for `/`. Raises OutputError where the disk is full.
    """

    targets: Sequence[Target]
    way: Way
    copy: str
    _drafts: dict[int, Path] = field(default_factory=dict)
    _lines: dict[tuple[int, str], _Lines] = field(default_factory=dict)
    _unplaced: dict[tuple[int, str], None] = field(default_factory=dict)
    _begun: set[int] = field(default_factory=set)

    def __enter__(self) -> "Receiver":
        self._stack = ExitStack()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for each in self._lines.values():
            os.close(each.descriptor)
        self._stack.close()

    def file(self, frame: File, data: bytes) -> None:
        """Write the bytes of a file; raises OutputError, and EngineError for a result that was not asked for."""
        path = self._target(frame.output, frame.name)
        try:
            if self.targets[frame.output].lines:
                self._add_lines(frame, data, path)
                return
            self._unplaced[frame.output, self._unit(frame.name)] = None
            draft = self._draft(frame.output, frame.name)
            draft.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("r+b" if draft.exists() else "wb") as file:
                file.seek(frame.offset)
                file.write(data)
                file.truncate()
        except OSError as error:
            raise disk_error(path, error) from error

    def placed(self, frame: Placed) -> None:
        """Put a complete result in place; raises as `file`."""
        path = self._target(frame.output, frame.name)
        key = (frame.output, frame.name)
        try:
            if self.targets[frame.output].lines:
                lines = self._lines.get(key)
                if lines and self.way == "batch":
                    path.with_name(path.name + PART).replace(path)
            elif key in self._unplaced:
                del self._unplaced[key]
                self._place(frame.output, frame.name, path)
        except OSError as error:
            raise disk_error(path, error) from error

    @property
    def begun(self) -> list[Path]:
        """Results of which something is in place."""
        return [each.path for number, each in enumerate(self.targets) if number in self._begun]

    def keep(self) -> list[Path]:
        """Put in place what can be read of unfinished results, and return all that was written."""
        if self.way != "batch":  # there a file's results are complete or absent
            for output, name in self._unplaced:
                path = self._target(output, name)
                if path.suffix not in WHOLE:
                    self._place(output, name, path)
        paths = (each.path for each in self.targets)
        return [each for each in paths if each.exists()]

    def _place(self, output: int, name: str, path: Path) -> None:
        draft = self._draft(output, name)
        if draft.is_file():
            flush(draft)
        replace(draft, path)
        self._begun.add(output)

    def _add_lines(self, frame: File, data: bytes, path: Path) -> None:
        key = (frame.output, frame.name)
        if key not in self._lines:
            if self.way == "batch":
                path = path.with_name(path.name + PART)
            if self.way != "one" and frame.name:
                make_folder(path.parent)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            if not path.exists() or path.is_file():
                flags |= os.O_TRUNC
            self._begun.add(frame.output)
            self._lines[key] = _Lines(os.open(path, flags, 0o666), TextFilter(self.copy))
        lines = self._lines[key]
        new = data[max(0, lines.received - frame.offset) :]
        lines.received += len(new)
        rest = memoryview(lines.text.feed(new))
        while rest:
            rest = rest[os.write(lines.descriptor, rest) :]

    def _unit(self, name: str) -> str:
        return "" if self.way == "one" else name.partition("/")[0]

    def _target(self, output: int, name: str) -> Path:
        if output >= len(self.targets):
            raise EngineError(f"unreadable answer of the board (result {output})")
        path = self.targets[output].path
        return path / name if name else path

    def _draft(self, output: int, name: str) -> Path:
        """Return where a file lies until it is in place, in a staging folder of its result's own."""
        if output not in self._drafts:
            path = self.targets[output].path
            folder = path.parent if self.way == "one" else path
            make_folder(folder)
            try:
                self._drafts[output] = self._stack.enter_context(staging_folder(folder))
            except OSError as error:
                raise unwritable(path, error) from error
        top = self._drafts[output]
        return top / self.targets[output].path.name / name if self.way == "one" else top / name
