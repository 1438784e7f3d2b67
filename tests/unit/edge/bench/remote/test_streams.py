"""Reading what a command on a device prints: all of it, too much of it, and for too long."""

import subprocess

import pytest

from edge.bench.remote.streams import Printed, read_all


def shell(command: str, stderr: int = subprocess.PIPE) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(["/bin/sh", "-c", command], stdout=subprocess.PIPE, stderr=stderr)


def test_both_streams_are_read_to_their_ends() -> None:
    with shell("echo out; echo err >&2; exit 3") as process:
        assert read_all(process, 30) == Printed(b"out\n", b"err\n", whole=True)
        assert process.returncode == 3
    with shell("echo out; echo err >&2", subprocess.DEVNULL) as process:
        assert read_all(process, 30) == Printed(b"out\n", b"", whole=True)


@pytest.mark.parametrize(("command", "kept"), [("yes", (100, 0)), ("yes >&2", (0, 100))])
def test_what_prints_without_end_is_read_up_to_a_limit(command, kept) -> None:
    with shell(f"exec {command}") as process:
        said = read_all(process, 30, most=100)
        process.kill()
    assert not said.whole
    assert (len(said.out), len(said.err)) == kept
    with shell("printf 1234") as process:
        assert read_all(process, 30, most=4).whole


@pytest.mark.parametrize(
    "command", ["sleep 60", "while :; do echo x; sleep 0.01; done", "exec >&- 2>&-; sleep 60"]
)
def test_what_does_not_end_is_given_up_at_its_limit(command) -> None:
    """Silent, printing, and with its streams closed."""
    with shell(command) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            read_all(process, 0.3)
        process.kill()
