"""One source whose disk is full: what each file holds is what is said of it."""

import json
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from scripted import pose_spec

from edge.cli.outputs import Outputs
from edge.cli.running.setup import Setup
from edge.cli.running.single import run_one
from edge.cli.tally import emit_figures
from edge.model import Model
from edge.pipeline import Pipeline
from runtimes.base import Outputs as Tensors
from runtimes.errors import OutputError
from runtimes.fake import FakeSession

RING = np.linspace(0, 2 * np.pi, 17, endpoint=False)
FRAMES = 30


def pose_of(feeds: Tensors) -> Tensors:
    """A ring of keypoints in each crop."""
    ring = np.stack([0.5 + 0.4 * np.sin(RING), 0.5 + 0.4 * np.cos(RING), np.ones(17)], axis=1)
    return {"yxs": np.tile(ring.astype(np.float32), (len(feeds["image"]), 1, 1, 1))}


@contextmanager
def file_limit(size: int) -> Iterator[None]:
    """Let no file grow beyond a number of bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def clip(tmp_path: Path) -> str:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (320, 240))
    noise = np.random.default_rng(0)
    for _ in range(FRAMES):
        writer.write(noise.integers(0, 256, (240, 320, 3), np.uint8))
    writer.release()
    return str(path)


def run(clip: str, outputs: Outputs, limit: int, *, force: bool = False) -> None:
    pipeline = Pipeline(Model(pose_spec(16), FakeSession(pose_of)))
    setup = Setup(pipeline, outputs, force, 0.3, "", emit_figures)
    with file_limit(limit), pytest.raises(OutputError, match="cannot write"):
        run_one(setup, clip, show=False)


def said_of(err: str) -> dict[str, str]:
    """What the lines "wrote PATH (...)" say, by file name."""
    return {
        Path(path).name: held
        for path, held in re.findall(r"^wrote (\S+) \((.*)\)$", err, re.MULTILINE)
    }


def test_the_frame_that_does_not_fit_is_not_said_to_be_written(
    clip: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    csv, folder = tmp_path / "a.csv", tmp_path / "op"
    run(clip, Outputs(None, None, folder, csv, None), 9_000)
    out, err = capsys.readouterr()
    held = {"a.csv": len(csv.read_text().splitlines()) - 1, "op": len([*folder.iterdir()])}
    assert 0 < held["a.csv"] == held["op"] - 1  # files are small in a folder
    assert said_of(err) == {name: f"{n} frames, {n} people" for name, n in held.items()}
    assert json.loads(out)["frames"] == min(held.values())


def test_a_video_says_how_much_of_it_is_missing_and_a_lost_one_nothing(
    clip: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = tmp_path / "a.avi"
    run(clip, Outputs(video, None, None, None, None), 400_000)
    said = said_of(capsys.readouterr().err)["a.avi"]
    capture, held = cv2.VideoCapture(str(video)), 0
    while capture.grab():
        held += 1
    taken, missing = map(int, re.findall(r"(\d+) (?:frames|of them missing)", said))
    assert 0 < held == taken - missing < FRAMES
    old = tmp_path / "old.mp4"
    old.write_bytes(b"an older video")
    run(clip, Outputs(old, None, None, None, None), 100_000, force=True)
    assert said_of(capsys.readouterr().err) == {}
    assert old.read_bytes() == b"an older video"
