"""Imports tried in processes of their own, where a crash or a hang of a package ends that process alone."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from edge.cli.opencv import DISTRIBUTIONS as OPENCV
from edge.cli.opencv import broken_opencv
from runtimes.install.import_errors import explain_import

PROBE = Path(__file__).with_name("probe.py")
TAIL_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Imported:
    """One module's import: problem in one line with its remedy, "" where it loads; devices that an engine finds."""

    problem: str
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Probe:
    process: subprocess.Popen[bytes]
    answer: IO[bytes]
    talk: IO[bytes]


def try_imports(modules: Mapping[str, str], time_limit_s: float) -> dict[str, Imported]:
    """Import each module in a process of its own, all at once; wait at most `time_limit_s` for them together.

    modules: {module: the distribution that it comes from, for the remedy}.
    """
    running: dict[str, _Probe] = {}
    try:
        for module in modules:
            running[module] = _start(module)
        end = time.monotonic() + time_limit_s
        return {
            module: _outcome(running[module], package, end, time_limit_s)
            for module, package in modules.items()
        }
    finally:
        for each in running.values():
            _end(each)


def _start(module: str) -> _Probe:
    # files: a pipe stays open where a package leaves a process of its own behind
    answer, talk = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 closed by _end
    process = subprocess.Popen(  # noqa: S603 our own file, no shell
        (sys.executable, str(PROBE), module),
        stdin=subprocess.DEVNULL,
        stdout=answer,
        stderr=talk,
        start_new_session=True,
    )
    return _Probe(process, answer, talk)


def _outcome(probe: _Probe, package: str, end: float, time_limit_s: float) -> Imported:
    try:
        code = probe.process.wait(max(0.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        return Imported(
            f"its import did not end within {time_limit_s:g} s; run: pip install --force-reinstall {package}"
        )
    talk = _tail(probe.talk)
    if code != 0:
        return Imported(_crash(code, talk, package))
    found: dict[str, Any] = json.loads(_tail(probe.answer) or "{}")
    if "error" in found:
        return Imported(_explain(package, f"{found['error']}: {found['message']}", talk))
    if "devices" not in found:
        return Imported(f"its import ended Python; run: pip install --force-reinstall {package}")
    return Imported("", tuple(found["devices"]))


def _explain(package: str, reason: str, printed: str) -> str:
    return (
        broken_opencv(reason, printed)
        if package in OPENCV
        else explain_import(package, reason, printed)
    )


def _crash(code: int, talk: str, package: str) -> str:
    how = f"with exit code {code}"
    if code < 0:
        with contextlib.suppress(ValueError):  # real-time signals have no name
            how = f"by {signal.Signals(-code).name}"
    cause = (
        "it was built for a newer CPU than this one; install an older version, or build it here"
        if code == -signal.SIGILL
        else f"run: pip install --force-reinstall {package}, and look for its known issues with this CPU"
    )
    words = " ".join(talk.split())[-200:]
    return f"its import ended Python {how}{f' ({words})' if words else ''}; {cause}"


def _tail(file: IO[bytes]) -> str:
    file.seek(0, os.SEEK_END)
    file.seek(max(0, file.tell() - TAIL_BYTES))
    return file.read().decode(errors="replace")


def _end(probe: _Probe) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(probe.process.pid, signal.SIGKILL)
    probe.process.wait()
    probe.answer.close()
    probe.talk.close()
