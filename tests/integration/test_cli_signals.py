"""SIGINT and SIGTERM sent to a run of streams: it ends by itself, and what was written can be read."""

import csv
import json
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from mjpeg import MjpegHandler, jpeg_of, mjpeg_camera


@pytest.fixture(scope="module")
def artifact(small_artifact, tmp_path_factory):
    return small_artifact(tmp_path_factory.mktemp("signals") / "small.onnxruntime-fp32").root


@pytest.fixture(scope="module")
def stream():
    """A camera behind http:// that never ends."""
    over = threading.Event()
    image = np.full((48, 64, 3), 90, np.uint8)
    image[20:30, 20:30] = (255, 0, 0)
    jpeg = jpeg_of(image)

    class Camera(MjpegHandler):
        def pictures(self):
            while not over.wait(0.03):
                yield jpeg

    with mjpeg_camera(Camera) as url:
        yield url
        over.set()


def lines_in(path):
    return path.read_text().splitlines() if path.exists() else []


def wait_for_lines(running, *paths):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and running.poll() is None:
        if all(len(lines_in(path)) >= 3 for path in paths):
            return
        time.sleep(0.05)
    pytest.fail("no frames were written")


def ended_by(running, number):
    """Send the signal and return what was printed; the process must end by itself."""
    try:
        running.send_signal(number)
        return running.communicate(timeout=60)
    finally:
        running.kill()
        running.communicate()


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow),
        (signal.SIGTERM, 143),
    ],
)
def test_a_signal_ends_a_stream_and_keeps_its_files(
    start, artifact, stream, tmp_path, number, code
):
    outputs = ["--out", "o.mp4", "--save-jsonl", "o.jsonl", "--save-csv", "o.csv"]
    running = start("run", f"{stream}/a.mjpg", "--pose", artifact, *outputs, "--json", cwd=tmp_path)
    wait_for_lines(running, tmp_path / "o.jsonl")
    out, err = ended_by(running, number)
    assert running.returncode == code, err
    assert "Traceback" not in err
    frames = json.loads(out)["frames"]
    assert f"edgepose: interrupted after {frames} frames; what was written is kept" in err
    written = [json.loads(line) for line in lines_in(tmp_path / "o.jsonl")]
    assert len(written) == frames >= 3
    with (tmp_path / "o.csv").open(newline="") as rows:
        assert {row["frame"] for row in csv.DictReader(rows)} == {
            str(line["frame"]) for line in written
        }
    video = cv2.VideoCapture(str(tmp_path / "o.mp4"))
    count = sum(1 for _ in iter(lambda: video.read()[0], False))
    video.release()
    assert count >= frames  # repeated where the stream was slower than the video
    assert {path.name for path in tmp_path.iterdir()} == {"o.mp4", "o.jsonl", "o.csv"}


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_several_streams(start, artifact, stream, tmp_path, number, code):
    sources = [f"{stream}/{name}.mjpg" for name in "ab"]
    options = ["--save-jsonl", "lines", "--save-csv", "tables", "--json"]
    running = start("run", *sources, "--pose", artifact, *options, cwd=tmp_path)
    deadline = time.monotonic() + 120
    while len(list((tmp_path / "lines").glob("*.jsonl"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    wait_for_lines(running, *(tmp_path / "lines").glob("*.jsonl"))
    out, err = ended_by(running, number)
    assert running.returncode == code, err
    assert "Traceback" not in err
    figures = json.loads(out)
    assert [row["status"] for row in figures["sources"]] == ["interrupted", "interrupted"]
    held = [
        len(lines_in(tmp_path / "lines" / f"{row['name']}.jsonl")) for row in figures["sources"]
    ]
    assert held == [row["frames"] for row in figures["sources"]]
    assert len(list((tmp_path / "tables").glob("*.csv"))) == 2


@pytest.mark.slow
def test_sigterm_in_a_batch_keeps_finished_files(start, artifact, tmp_path, videos):
    (tmp_path / "clips").mkdir()
    videos(tmp_path / "clips/a.mp4", [np.zeros((48, 64, 3), np.uint8)] * 3)
    videos(tmp_path / "clips/b.mp4", [np.zeros((240, 320, 3), np.uint8)] * 2000)
    running = start("run", "clips", "--pose", artifact, "--save-jsonl", "lines", cwd=tmp_path)
    wait_for_lines(running, tmp_path / "lines/b.jsonl.part")
    _, err = ended_by(running, signal.SIGTERM)
    assert running.returncode == 143, err
    assert len(lines_in(tmp_path / "lines/a.jsonl")) == 3
    assert not (tmp_path / "lines/b.jsonl").exists()


def children_of(parent):
    """Processes that a process started, by /proc."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(fields[1]) == parent:
            found.append(path.parent)
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system has no /proc")
@pytest.mark.parametrize("command", [("bench", "ARTIFACT"), ("doctor", "--measure")])
def test_sigterm_ends_a_measurement_with_its_processes(
    start, artifact, command, tmp_path, monkeypatch
):
    asked = [artifact if each == "ARTIFACT" else each for each in command]
    for name in ("EDGEPOSE_CACHE", "TMPDIR"):
        monkeypatch.setenv(name, str(tmp_path))
    running = start(*asked)
    deadline = time.monotonic() + 120
    measures = (b"edge.bench.worker", b"edge.bench.limits.worker")
    workers = []
    while not workers and time.monotonic() < deadline and running.poll() is None:
        time.sleep(0.05)
        for child in children_of(running.pid):
            with suppress(OSError):
                if any(name in (child / "cmdline").read_bytes() for name in measures):
                    workers.append(child)
    assert workers, "no process that measures was started"
    _, err = ended_by(running, signal.SIGTERM)
    assert running.returncode == 143, err
    assert "Traceback" not in err
    while any(each.exists() for each in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(each.exists() for each in workers)
    # files may be an engine's own, such as ONNX Runtime's .ses
    assert not [each for each in tmp_path.iterdir() if each.is_dir()]
