"""Facts that the runner tells of a board, and the `Machine` that they describe."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from devices.detect import detect_machine
from devices.machine import Machine
from runtimes.record import Record

# files of a machine's description alone, whatever the board says
_PATH = re.compile(r"/(proc|sys)(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+")
Text = Annotated[str, Meta(max_length=1 << 18)]
Name = Annotated[str, Meta(max_length=100)]
Cores = Annotated[int, Meta(ge=1, le=1 << 16)]


class Facts(Record, frozen=True, kw_only=True):
    """Answer of `runner.py facts`. files: texts of /proc and /sys; missing: engines that Python does not find there.

    load: of the last minute. allowed_cores: after affinity and CPU quota.
    """

    arch: Name
    python: Name
    logical_cores: Cores
    allowed_cores: Cores
    load: float | None
    files: dict[str, Text]
    missing: tuple[Name, ...]

    @contextmanager
    def root(self) -> Iterator[Path]:
        """Write its files into a temporary folder that stands for its `/`."""
        with tempfile.TemporaryDirectory() as folder:
            for name, text in self.files.items():
                if _PATH.fullmatch(name):
                    path = Path(folder, name.lstrip("/"))
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(text)
            yield Path(folder)

    def machine(self) -> Machine:
        """Return the machine, detected from its files as they would be read on it."""
        with self.root() as root:
            found = detect_machine(root)
        return msgspec.structs.replace(
            found,
            arch=self.arch,
            logical_cores=self.logical_cores,
            allowed_cores=self.allowed_cores,
        )
