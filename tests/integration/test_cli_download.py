"""Downloads of weights from the command line: reported, resumed after Ctrl-C, and never made unasked."""

import json
import signal
import socketserver
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from runtimes.artifact import sha256_of


@dataclass
class Site:
    """A server of one file: what it holds, after how many bytes it falls silent, what it was asked from which byte."""

    content: bytes
    silent_after: int | None = None
    asked: list[str] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    """Serves the file, ranges included."""

    site: Site

    def do_GET(self) -> None:
        site = self.site
        wanted = self.headers.get("Range", "")
        site.asked.append(wanted)
        start = int(wanted[6:-1]) if wanted else 0
        body = site.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"one"')
        if start:
            whole = len(site.content)
            self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
        self.end_headers()
        self.wfile.write(body if site.silent_after is None else body[: site.silent_after])
        if site.silent_after is not None:
            site.release.wait(60)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it so
        """Say nothing."""


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


@pytest.fixture
def site(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("EDGEPOSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    offered = Site(weights.read_bytes())
    handler = type("Own", (Handler,), {"site": offered})
    with Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        offered.url = f"http://127.0.0.1:{server.server_address[1]}/nano.pth"
        yield offered
        offered.release.set()
        server.shutdown()
        thread.join()


def test_weights_from_a_url_are_reported_and_recorded(
    edgepose: Any, site: Site, weights: Path, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    for package in ("ncnn", "pnnx"):
        pytest.importorskip(package)
    done = edgepose(
        *("export", "rtmdet-nano", "--weights", site.url, "--format", "ncnn"),
        *("--input", "64x64", "--out", tmp_path, "--json"),
    )
    assert done.code == 0, done.err
    assert f"nano.pth: sha256 {sha256_of(weights)}" in done.err
    assert "downloading rtmdet-nano (4 MB)" in done.err
    assert "licence unknown" in done.err
    lineage = json.loads((Path(done.json[0]["artifact"]) / "artifact.json").read_text())["lineage"]
    assert lineage["checkpoint"] == "nano.pth"
    assert lineage["checkpoint_sha256"] == sha256_of(weights)
    assert site.asked == [""]


@pytest.mark.slow
def test_ctrl_c_keeps_a_partial_download_and_the_next_call_resumes_it(
    start: Callable[..., "subprocess.Popen[str]"], site: Site, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnxruntime")
    command = ["export", "rtmpose-t", "--weights", site.url, "--out", str(tmp_path / "out")]
    command += ["--format", "onnx"]
    site.silent_after = 1_000_000
    running = start(*command)
    deadline = time.monotonic() + 300
    parts: list[Path] = []
    while not (parts and parts[0].stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.05)
        parts = list((tmp_path / "cache").rglob("*.part"))
    running.send_signal(signal.SIGINT)
    _, talk = running.communicate(timeout=300)
    assert running.returncode == 130, talk
    had = parts[0].stat().st_size
    assert 0 < had <= 1_000_000

    site.silent_after = None
    running = start(*command)
    _, talk = running.communicate(timeout=300)
    # the whole file is a detector's: what it says of that shows that it was read
    assert "holds rtmdet-nano, not rtmpose-t" in talk
    assert running.returncode == 2
    assert site.asked == ["", f"bytes={had}-"]
    assert not list((tmp_path / "cache").rglob("*.part*"))


def test_nothing_is_downloaded_unasked(edgepose: Any, site: Site, tmp_path: Path) -> None:
    done = edgepose("export", "rtmdet-nano", "--out", tmp_path)
    assert done.code == 2
    assert "--weights download" in done.message
    assert not (tmp_path / "cache").exists()
    assert edgepose("models", "rtmdet-nano").code == 0
    assert site.asked == []


def test_the_list_names_terms_and_addresses(edgepose: Any) -> None:
    listed = edgepose("models")
    assert listed.code == 0
    (row,) = [line for line in listed.out.splitlines() if line.startswith("rtmpose-t ")]
    for text in ("192x256", "coco17", "3.34", "0.35", "AP 0.685 [1]", "Apache-2.0", "yes"):
        assert text in row
    assert row.endswith("-256x192-cfc8f33d_20230126.pth")
    assert "cfc8f33d " in row
    assert "[1] mmpose model-index" in listed.out
    (wide,) = edgepose("models", "rtmpose-m-wflw-256x256", "--json").json
    assert wide["keypoints"] == 98
    assert wide["figures"] == {"NME": 4.01}
    shown = edgepose("models", "sapiens-1b").out
    assert "CC-BY-NC-4.0" in shown
    assert "commercial_use" in shown
