"""A board that is this machine, over a real sshd on the loopback interface, and an artifact for it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from loopback_sshd import Sshd, start_sshd

from runtimes.artifact import Artifact


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A running server."""
    server = start_sshd(tmp_path_factory.mktemp("sshd"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def artifact(
    small_artifact: Callable[..., Artifact], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A small pose model of ONNX Runtime."""
    return small_artifact(tmp_path_factory.mktemp("art") / "small.onnxruntime-fp32").root
