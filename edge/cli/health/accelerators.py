"""Accelerators that the installed engines can really use, each asked in a process of its own: a driver may crash it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from runtimes.base import Accelerator

ASK = Path(__file__).with_name("ask.py")
# modules that `ask.py` knows
ENGINES = ("ncnn", "openvino", "onnxruntime", "ai_edge_litert", "tflite_runtime")
SOFTWARE = ("llvmpipe", "SwiftShader")


class Usable(msgspec.Struct, frozen=True):
    """One accelerator of one engine: what drives it, and whether it starts."""

    accelerator: Accelerator
    backend: str
    starts: bool


# by engine; None where its drivers crash it, or take too long
Asked = dict[str, tuple[Usable, ...] | None]


def ask_engines(modules: Sequence[str], time_limit_s: float) -> Asked:
    """Return what each engine of `modules` can use here; wait at most `time_limit_s` for them together."""
    known = [each for each in modules if each in ENGINES]
    end = time.monotonic() + time_limit_s
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for each in known:
            running[each] = _start(each)
        return {each: _answer(process, end) for each, process in running.items()}
    finally:
        for process in running.values():
            _end(process)


def accelerator_notes(found: Asked) -> list[str]:
    """Return what the engines can use, and what they have and cannot start, in lines."""
    notes: list[str] = []
    for engine, each in found.items():
        if each is None:
            notes.append(
                f"{engine}: asking it for accelerators ended it: its driver crashes or hangs; it runs on the cpu"
            )
            continue
        notes += [_note(engine, one) for one in each]
    return notes


def _note(engine: str, found: Usable) -> str:
    if not found.starts:
        return (
            f"{engine} has {found.backend}, which does not start here: libraries, driver or device are missing"
            " (docs/accelerators.md)"
        )
    software = any(name in found.backend for name in SOFTWARE)
    slow = ", a driver in software: slower than the cpu" if software else ""
    return f"--accelerator {found.accelerator}: {engine} with {found.backend}{slow}"


def _start(module: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603 our own file, no shell
        (sys.executable, str(ASK), module),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _answer(process: "subprocess.Popen[bytes]", end: float) -> tuple[Usable, ...] | None:
    try:
        text, _ = process.communicate(timeout=max(0.0, end - time.monotonic()))
        if process.returncode == 0:
            return msgspec.json.decode(text, type=tuple[Usable, ...])
    except (subprocess.TimeoutExpired, msgspec.DecodeError):
        pass
    return None


def _end(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout:
        process.stdout.close()
