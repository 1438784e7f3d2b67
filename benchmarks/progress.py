"""Progress output and report files of long benchmarks."""

import platform
import time
from pathlib import Path
from typing import Any

import msgspec
import torch

from devices.detect import detect_machine


class PrintedProgress:
    """Progress of a training run as lines: one a minute, and every lasting message."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._last = 0.0
        self._phase = ""

    def phase(self, name: str, total: int) -> None:
        """Start a phase of `total` steps."""
        self._phase = f"{name} of {total}" if total else name
        self._last = 0.0

    def advance(self, done: int, text: str) -> None:
        """Print the progress, at most once a minute."""
        if time.monotonic() - self._last >= 60:
            self._last = time.monotonic()
            print(f"{self._name}: {self._phase}: {done}, {text}", flush=True)

    def say(self, text: str) -> None:
        """Print a lasting message."""
        print(f"{self._name}: {text}", flush=True)


def machine_words() -> str:
    """Describe the machine a figure was measured on."""
    machine = detect_machine()
    return (
        f"{machine.cpu_model or machine.arch} ({' '.join(machine.isa)}), "
        f"Python {platform.python_version()}, torch {torch.__version__}."
    )


def write_report(folder: Path, name: str, text: str, rows: Any) -> None:
    """Write NAME.md and NAME.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(text)
    data = msgspec.json.format(msgspec.json.encode({"rows": rows, "on": machine_words()}), indent=1)
    (folder / f"{name}.json").write_bytes(data + b"\n")
