"""Telemetry: OpenVINO is loaded without a message to anybody, and without a fork of the program."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("openvino")

SCRIPT = """
import sys

events = []
watched = {"os.fork", "os.posix_spawn", "socket.getaddrinfo", "socket.connect"}
sys.addaudithook(lambda event, _: events.append(event) if event in watched else None)

from runtimes.adapters.openvino_adapter import _import_openvino

openvino = _import_openvino()
print(openvino.Core().available_devices)
{more}
import threading

for thread in threading.enumerate():  # events are sent from a thread
    if thread is not threading.current_thread():
        thread.join(10)
print("events:", events)
"""


def run(script: str, home: str) -> str:
    """A user who was never asked, on a machine that is no continuous integration."""
    hidden = {"CI", "TF_BUILD", "JENKINS_URL"}
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment | {"HOME": home},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_openvino_sends_nothing_and_forks_nothing(tmp_path) -> None:
    assert "events: []" in run(SCRIPT.replace("{more}", ""), str(tmp_path))
    assert not list(tmp_path.iterdir())  # no client id either


def test_nncf_finds_no_telemetry(tmp_path) -> None:
    pytest.importorskip("nncf")
    more = "import nncf.telemetry.wrapper as w; print('stub:', isinstance(w.telemetry, w.NNCFTelemetryStub))"
    said = run(SCRIPT.replace("{more}", more), str(tmp_path))
    assert "stub: True" in said
    assert "events: []" in said
