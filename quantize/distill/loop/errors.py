"""Translation of what ends a training run from outside (no memory, full disk, lost worker) to one-line errors.

The last saved state is intact in each case, and every message says how to resume from it.
"""

import errno
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

import torch

from runtimes.errors import EdgeposeError, TrainingError

# From the messages of PyTorch's CPU allocator, gloo and NCCL, which all raise plain RuntimeErrors.
OUT_OF_MEMORY = ("DefaultCPUAllocator", "not enough memory")
SINGLE_VALUE = "Expected more than 1 value per channel"
LOST_WORKER = ("gloo", "NCCL", "Connection closed by peer", "Connection reset by peer")
SOURCE_LOCATION = re.compile(r"^\[[^]]*\] *")  # gloo starts with a line of its C++ sources
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def translate_training_errors(processes: int) -> Iterator[None]:
    """Raise TrainingError for PyTorch's errors where memory runs out or, with several `processes`, a worker is lost.

    With several processes, torchrun's SIGTERM (sent when one of them is lost) is translated too.
    """
    watched = processes > 1 and threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, _on_sigterm) if watched else None
    try:
        yield
    except BaseException as error:
        if watched:  # this process is ending anyway, with its own message
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        message = None if isinstance(error, EdgeposeError) else _message(error, processes)
        if message:
            raise TrainingError(message) from error
        raise
    if watched:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


@contextmanager
def translate_write_errors(folder: Path) -> Iterator[None]:
    """Raise TrainingError where a file of `folder` cannot be written: the disk is full, or the system refuses."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        # torch.save, cut short by the system, raises a RuntimeError about the position in the file
        system = error if isinstance(error, OSError) else error.__context__
        if isinstance(error, EdgeposeError) or not isinstance(system, OSError):
            raise
        full = system.errno in DISK_FULL
        reason = "the disk is full" if full else f"cannot be written ({system})"
        raise TrainingError(
            f"{folder}: {reason}; what was saved before is intact: make room and continue with --resume"
        ) from error


def _message(error: BaseException, processes: int) -> str | None:
    """Return the message for an error, or None for a bug of ours."""
    text = str(error)
    first = SOURCE_LOCATION.sub("", text.splitlines()[0]) if text else type(error).__name__
    memory = isinstance(error, (MemoryError, torch.OutOfMemoryError))
    if memory or any(part in text for part in OUT_OF_MEMORY):
        return (
            f"memory ran out in a training step ({first}); halve --batch and double --accumulate, "
            "which is the same step in less memory, and continue with --resume"
        )
    if SINGLE_VALUE in text:
        return (
            "a batch norm got one value per channel, which has no variance; raise --batch (its part of each process "
            "counts) or --input"
        )
    if processes > 1 and _is_lost_worker(error):
        reason = first.split(". ")[0]
        return f"a worker was lost ({reason}); continue with --resume"
    return None


def _is_lost_worker(error: BaseException) -> bool:
    return isinstance(error, torch.distributed.DistError) or (
        isinstance(error, RuntimeError) and any(part in str(error) for part in LOST_WORKER)
    )


def _on_sigterm(number: int, frame: FrameType | None) -> NoReturn:
    raise TrainingError(
        "a worker was lost, or the launcher was stopped (SIGTERM); continue with --resume"
    )
