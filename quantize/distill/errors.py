"""What ends a training from outside, told in one line: no memory, a full disk, a lost worker.

What was saved last is whole in each case: every message says how to go on from it.
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

# Parts of what PyTorch's allocator of CPU memory, gloo and NCCL say: all of them raise plain RuntimeErrors.
NO_MEMORY = ("DefaultCPUAllocator", "not enough memory")
LOST = ("gloo", "NCCL", "Connection closed by peer", "Connection reset by peer")
PLACE = re.compile(r"^\[[^]]*\] *")  # in PyTorch's sources
FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def told(processes: int) -> Iterator[None]:
    """Raise TrainingError instead of what PyTorch raises in a training where memory runs out or a worker is lost.

    Among several `processes`, torchrun's request to end (SIGTERM, sent when one of them is lost) is told too.
    """
    watched = processes > 1 and threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, _stopped) if watched else None
    try:
        yield
    except BaseException as error:
        if watched:  # this process ends by itself, and says why: it needs no second request
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        message = None if isinstance(error, EdgeposeError) else _message(error, processes)
        if message:
            raise TrainingError(message) from error
        raise
    if watched:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


@contextmanager
def written(folder: Path) -> Iterator[None]:
    """Raise TrainingError where what is written into `folder` meets a full disk or is refused by the system."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        # torch.save, cut short by the system, complains of a position in the file instead
        system = error if isinstance(error, OSError) else error.__context__
        if isinstance(error, EdgeposeError) or not isinstance(system, OSError):
            raise
        reason = "the disk is full" if system.errno in FULL else f"cannot be written ({system})"
        raise TrainingError(
            f"{folder}: {reason}; what was saved before is whole: make room and go on with --resume"
        ) from error


def _message(error: BaseException, processes: int) -> str | None:
    """Return what to say of an error, or None for one that is our bug."""
    said = str(error)
    first = PLACE.sub("", said.splitlines()[0]) if said else type(error).__name__
    memory = isinstance(error, (MemoryError, torch.OutOfMemoryError))
    if memory or any(part in said for part in NO_MEMORY):
        return (
            f"memory ran out in a training step ({first}); halve --batch and double --accumulate, "
            "which is the same step in less memory, and go on with --resume"
        )
    if processes > 1 and _is_lost(error):
        reason = first.split(". ")[0]
        return f"a worker was lost ({reason}); go on with --resume"
    return None


def _is_lost(error: BaseException) -> bool:
    return isinstance(error, torch.distributed.DistError) or (
        isinstance(error, RuntimeError) and any(part in str(error) for part in LOST)
    )


def _stopped(number: int, frame: FrameType | None) -> NoReturn:
    raise TrainingError(
        "a worker was lost, or the launcher was told to end (SIGTERM); go on with --resume"
    )
