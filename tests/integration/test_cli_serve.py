"""`edgepose run --serve`: refused before models are loaded, or served until the run ends."""

import contextlib
import http.client
import json
import signal
import socket
import sys

import cv2
import numpy as np
import pytest


@pytest.fixture(scope="module")
def artifact(small_artifact, tmp_path_factory):
    return small_artifact(tmp_path_factory.mktemp("served") / "small.onnxruntime-fp32").root


@pytest.fixture(autouse=True)
def _server(monkeypatch):
    monkeypatch.delenv("EDGEPOSE_TOKEN", raising=False)
    pytest.importorskip("uvicorn")
    pytest.importorskip("starlette")


def test_port_in_use_is_refused_before_the_models_are_opened(edgepose, small_artifact, tmp_path):
    broken = small_artifact(tmp_path / "small.onnxruntime-fp32").root
    (broken / "model.onnx").write_bytes(b"not a model")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = edgepose("run", "synth", "--pose", broken, "--serve", port)
    assert done.code == 2
    assert f"port {port} of 127.0.0.1 is in use" in done.message


def test_missing_server_is_named(edgepose, artifact, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    done = edgepose("run", "synth", "--pose", artifact, "--serve", 0)
    assert done.code == 4
    assert done.message.endswith("uvicorn is not installed; run: pip install 'edgepose[serve]'")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--serve", "nowhere"), "give PORT or HOST:PORT"),
        (("--serve", "0", "--serve-token", "short"), "at least 12 letters"),
        (("--serve-token", "a-long-enough-token"), "add --serve PORT"),
    ],
)
def test_unusable_options_are_refused(edgepose, artifact, options, said):
    done = edgepose("run", "synth", "--pose", artifact, *options)
    assert done.code == 2
    assert said in done.message


def test_run_ends_with_its_source(edgepose, artifact, tmp_path):
    cv2.imwrite(str(tmp_path / "one.png"), np.zeros((40, 40, 3), np.uint8))
    done = edgepose("run", tmp_path / "one.png", "--pose", artifact, "--serve", 0, "--json")
    assert (done.code, done.json["frames"]) == (0, 1)
    assert "preview: http://127.0.0.1:" in done.err


def test_lines_on_stdout_beside_the_preview(edgepose, artifact, tmp_path):
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((40, 40, 3), np.uint8))
    for sources in ([tmp_path / "a.png"], [tmp_path / "a.png", tmp_path / "b.png"]):
        done = edgepose("run", *sources, "--pose", artifact, "--serve", 0, "--save-jsonl", "-")
        assert done.code == 0
        lines = [json.loads(line) for line in done.out.splitlines()]
        assert {line["source"] for line in lines} == {str(each) for each in sources}
        assert "preview: http://127.0.0.1:" in done.err


@pytest.mark.slow
def test_ctrl_c_ends_run_and_preview(start, artifact):
    running = start("run", "synth", "--pose", artifact, "--serve", "0.0.0.0:0")
    closing = contextlib.ExitStack()
    try:
        url = next(line for line in running.stderr if line.startswith("preview: "))
        port, token = url.rsplit(":", 1)[1].strip().split("/?token=")
        connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)
        closing.callback(connection.close)
        connection.request("GET", "/api/results")
        refused = connection.getresponse()
        assert refused.status == 401
        refused.read()
        headers = {"Authorization": f"Bearer {token}"}
        connection.request("GET", "/api/results?source=synth", headers=headers)
        answer = connection.getresponse()
        while answer.status == 404:  # before the first frame
            answer.read()
            connection.request("GET", "/api/results?source=synth", headers=headers)
            answer = connection.getresponse()
        line = json.loads(answer.readline())
        running.send_signal(signal.SIGINT)
        answer.read()  # to its end
        closing.callback(answer.close)
        _, err = running.communicate(timeout=60)
    finally:
        closing.close()
        running.kill()
        running.communicate()
    assert line["source"] == "synth"
    assert running.returncode in (0, 130)  # 0 where the clip had ended just before
    assert "Traceback" not in err
