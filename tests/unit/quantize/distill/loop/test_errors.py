"""Errors of PyTorch and of the system become one line that says how to continue; bugs of ours stay as they are."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from quantize.distill.loop.errors import translate_training_errors, translate_write_errors  # noqa: E402
from runtimes.errors import InputError, TrainingError  # noqa: E402

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture(autouse=True)
def own_handler():
    """Restore the signal handler that a failed run leaves behind: this process continues."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def test_memory_of_the_cpu() -> None:
    with (
        pytest.raises(TrainingError, match=r"memory ran out .*--resume"),
        translate_training_errors(1),
    ):
        torch.empty(1 << 50)


def test_memory_of_a_gpu() -> None:
    with (
        pytest.raises(TrainingError, match=r"memory ran out .*CUDA out of memory"),
        translate_training_errors(1),
    ):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")


def test_a_batch_norm_of_a_single_value() -> None:
    """One picture a process whose last map is one cell."""
    with (
        pytest.raises(TrainingError, match="no variance; raise --batch"),
        translate_training_errors(2),
    ):
        torch.nn.BatchNorm2d(4)(torch.ones(1, 4, 1, 1))


def test_bugs_and_errors_of_ours_pass() -> None:
    with pytest.raises(RuntimeError, match="shapes differ") as raised, translate_training_errors(2):
        raise RuntimeError("shapes differ")
    assert not isinstance(raised.value, TrainingError)
    with pytest.raises(InputError, match="as it was"), translate_training_errors(2):
        raise InputError("as it was")
    with pytest.raises(KeyboardInterrupt), translate_training_errors(2):
        raise KeyboardInterrupt


def test_a_lost_worker_is_translated_among_several_only() -> None:
    """The text is gloo's."""
    text = (
        "[/gloo/transport/tcp/pair.cc:537] Read error [127.0.0.1]:24482: Connection reset by peer. "
        "This is typically caused by a remote worker hanging"
    )
    wanted = (
        r"lost \(Read error \[127.0.0.1\]:24482: Connection reset by peer\); continue with --resume"
    )
    with pytest.raises(TrainingError, match=wanted), translate_training_errors(2):
        raise RuntimeError(text)
    with pytest.raises(RuntimeError, match="Read error") as raised, translate_training_errors(1):
        raise RuntimeError(text)
    assert not isinstance(raised.value, TrainingError)


def test_sigterm_is_translated_and_the_next_one_ignored() -> None:
    """In a process of its own: after the contract tests, pytest's died of the signal (a segmentation fault)."""
    code = """
import os, signal
from quantize.distill.loop.errors import translate_training_errors
from runtimes.errors import TrainingError
try:
    with translate_training_errors(2):
        signal.raise_signal(signal.SIGTERM)
except TrainingError as error:
    os.kill(os.getpid(), signal.SIGTERM)
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert "SIGTERM" in done.stdout
    assert "--resume" in done.stdout


def test_the_handler_is_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with translate_training_errors(2):
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_the_folder_is_named(tmp_path) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with (
        pytest.raises(TrainingError, match=f"{tmp_path}: the disk is full"),
        translate_write_errors(tmp_path),
    ):
        raise full
    with pytest.raises(TrainingError, match="cannot be written"), translate_write_errors(tmp_path):
        (tmp_path / "nowhere" / "file").write_text("")
