"""Benchmark worker processes with every engine: what is in effect there, and the artifact's own images as input."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from edge.bench.measure import Case, Plan, measure, open_workers
from runtimes.artifact import REFERENCE, Artifact
from runtimes.base import RunOptions
from runtimes.files import seal
from runtimes.registry import open_session


@pytest.fixture
def measurable(tiny: Artifact, photos: np.ndarray, tmp_path: Path) -> Artifact:
    """The tiny network with images to run on."""
    root = tmp_path / "measurable"
    shutil.copytree(tiny.root, root)
    count = np.zeros(0, np.int64)
    np.savez(root / REFERENCE, images=photos, label=np.array("by hand"), count=count)
    return seal(root, tiny.manifest)


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_every_engine_is_measured_in_a_process_of_its_own(measurable, precision) -> None:
    options = RunOptions(threads=1, precision=precision)
    session = open_session(measurable, options)
    here = session.effective
    session.close()
    with open_workers([Case(measurable, options)]) as workers:
        ready = workers[0].ready
        run = measure(workers, Plan(rounds=2, time_s=0.002, warmup_runs=1))
    assert (ready.threads, ready.precision, ready.accelerator) == (
        here.threads,
        here.precision,
        here.accelerator,
    )
    (row,) = run.rows
    assert (row.arithmetic, row.asked_arithmetic) == (here.precision, precision)
    assert row.runs >= 2
    assert row.load_ms > 0
    assert 0 < row.engine_p50_ms <= row.p99_ms
    assert row.peak_rss_bytes > 10_000_000  # a Python with numpy and an engine
    assert row.bytes == sum(
        path.stat().st_size
        for path in measurable.root.iterdir()
        if path.name not in {REFERENCE, "artifact.json"}
    )
