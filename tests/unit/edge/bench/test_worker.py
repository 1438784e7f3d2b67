"""The measured process, called in this one: what a burst is, and what the protocol says."""

import io
from itertools import cycle

import msgspec
import numpy as np
import pytest

from devices.cpu_use import affinity
from edge.bench.worker import Burst, Open, Ready, Timed, burst, peak_rss_bytes, serve
from runtimes.errors import ArtifactError
from runtimes.fake import FakeSession

PICTURES = [{"image": np.full((1, 2, 2, 3), value, np.uint8)} for value in range(3)]


def fake() -> FakeSession:
    return FakeSession(lambda _feeds: {"out": np.zeros(1, np.float32)})


def test_a_burst_runs_once_untimed_and_then_in_turn_over_the_pictures() -> None:
    session = fake()
    timed = burst(session, cycle(PICTURES), Burst(seconds=0.0, least_runs=4))
    shown = [int(feeds["image"].max()) for feeds in session.feeds]
    assert shown == [0, 1, 2, 0, 1]
    assert len(timed.wall_ns) == 4
    assert 0 < sum(timed.wall_ns) <= timed.span_ns
    assert timed.engine_ns == ()  # this session does not count its engine's time


def test_a_burst_goes_on_until_its_time_is_over() -> None:
    timed = burst(fake(), cycle(PICTURES), Burst(seconds=0.02, least_runs=1))
    assert timed.span_ns >= 0.02e9
    assert len(timed.wall_ns) > 1


def test_without_cpus_or_in_too_short_a_time_nothing_is_said_of_others() -> None:
    order = Burst(seconds=0.0, least_runs=1)
    assert burst(fake(), cycle(PICTURES), Burst(seconds=0.25, least_runs=1)).others is None
    assert burst(fake(), cycle(PICTURES), order, (0,)).others is None


def test_the_next_burst_goes_on_with_the_next_picture() -> None:
    session, feeds = fake(), cycle(PICTURES)
    for _ in range(2):
        burst(session, feeds, Burst(seconds=0.0, least_runs=1))
    assert [int(each["image"].max()) for each in session.feeds] == [0, 1, 2, 0]


def test_it_answers_each_line_with_a_line_and_ends_with_stdin(small_artifact, tmp_path) -> None:
    root = small_artifact(tmp_path / "small").root
    lines = [
        Open(root=str(root), threads=1, precision="bf16", accelerator="cpu"),
        Burst(seconds=0.0, least_runs=2),
        Burst(seconds=0.0, least_runs=3),
    ]
    requests = io.BytesIO(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    answers = io.BytesIO()
    serve(requests, answers)
    first, *rest = answers.getvalue().splitlines()
    ready = msgspec.json.decode(first, type=Ready)
    # ONNX Runtime computes in f32 on a CPU, whatever was asked
    assert (ready.threads, ready.precision, ready.accelerator) == (1, "f32", "cpu")
    assert ready.cpus == len(affinity())
    assert [len(msgspec.json.decode(line, type=Timed).wall_ns) for line in rest] == [2, 3]


def test_a_damaged_artifact_is_refused_there_too(small_artifact, tmp_path) -> None:
    root = small_artifact(tmp_path / "small").root
    (root / "model.onnx").write_bytes(b"")
    line = msgspec.json.encode(Open(root=str(root), threads=1, precision="f32", accelerator="cpu"))
    with pytest.raises(ArtifactError, match="0 bytes"):
        serve(io.BytesIO(line + b"\n"), io.BytesIO())


def test_nothing_asked_is_nothing_done() -> None:
    answers = io.BytesIO()
    serve(io.BytesIO(), answers)
    assert answers.getvalue() == b""


def test_memory_is_this_processes_own() -> None:
    peak = peak_rss_bytes()
    block = np.ones(8_000_000)  # 64 MB, written
    after = peak_rss_bytes()
    assert block.nbytes == 64_000_000
    assert peak is not None
    assert after is not None
    assert after >= max(peak, block.nbytes)
