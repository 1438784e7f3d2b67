"""Interleaved measurement with real processes: the order of runs, early refusals, and dying processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.bench.measure import (
    Case,
    Plan,
    bench,
    make_cases,
    measure,
    open_artifacts,
    open_workers,
    schedule,
    steps,
)
from edge.bench.record import BenchRun
from runtimes.artifact import REFERENCE
from runtimes.base import RunOptions
from runtimes.errors import ArtifactError, EngineError, InputError

QUICK = Plan(rounds=3, time_s=0.003, warmup_runs=1)


@settings(deadline=None)
@given(st.integers(1, 8), st.integers(1, 20))
def test_every_row_runs_once_a_round_and_the_order_rotates(count, rounds) -> None:
    turns = schedule(count, rounds)
    assert len(turns) == rounds
    assert all(sorted(turn) == list(range(count)) for turn in turns)
    for place in range(count):
        at_place = [turn[place] for turn in turns]
        uses = [at_place.count(who) for who in range(count)]
        assert (
            max(uses) - min(uses) <= 1
        )  # none is first, or last, more than once more often than another


def test_a_case_for_each_combination_each_once(small_artifact, tmp_path) -> None:
    artifact = small_artifact(tmp_path / "a")
    cases = make_cases([artifact], [1, 2, 1], ["f32", "bf16", "f32"])
    options = [(case.options.threads, case.options.precision) for case in cases]
    assert options == [(1, "f32"), (1, "bf16"), (2, "f32"), (2, "bf16")]


@pytest.mark.parametrize(
    "wrong",
    [
        {"rounds": 0},
        {"time_s": 0.0},
        {"time_s": float("nan")},
        {"time_s": float("inf")},
        {"time_s": 1e300},
        {"warmup_runs": 0},
    ],
)
def test_a_plan_without_time_is_refused(wrong) -> None:
    with pytest.raises(InputError, match="above 0"):
        Plan(**wrong)


def test_two_artifacts_side_by_side(small_artifact, tmp_path) -> None:
    plain = small_artifact(tmp_path / "small.onnxruntime-fp32")
    half = small_artifact(tmp_path / "small.onnxruntime-fp16", precision="fp16")
    said: list[str] = []
    cases = make_cases(open_artifacts([plain.root, half.root]), [1], ["f32"])
    run = bench(cases, QUICK, said.append)
    assert len(said) == steps(2, QUICK) == 8
    a, b = plain.name, half.name
    assert said[:2] == [f"warm-up {a}", f"warm-up {b}"]
    assert [text.split()[-1] for text in said[2:]] == [a, b, b, a, a, b]
    first, second = run.rows
    assert (first.artifact, first.precision) == (a, "fp32")
    assert first.runs >= 3
    assert len(first.round_p50_ms) == run.rounds == 3
    assert first.min_ms <= first.p50_ms <= first.p90_ms <= first.p99_ms
    assert first.warmup_runs >= 2
    assert first.bytes == (plain.root / "model.onnx").stat().st_size
    assert (first.px_p95, first.passed) == (0.01, True)
    assert first.cpu_wall > 0
    assert second.speedup_over == a
    assert first.speedup is None
    assert {"python", "edgepose", "onnxruntime"} == set(run.versions)
    assert msgspec.json.decode(msgspec.json.encode(run), type=BenchRun) == run


def test_all_are_there_at_once_and_none_is_left(small_artifact, tmp_path) -> None:
    artifact = small_artifact(tmp_path / "a")
    with open_workers(make_cases([artifact], [1, 2], ["f32"])) as workers:
        pids = [worker._process.pid for worker in workers]
        assert len(set(pids)) == 2
        for pid in pids:
            os.kill(pid, 0)  # raises where there is no such process
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_worker_that_dies_is_named(small_artifact, tmp_path) -> None:
    artifact = small_artifact(tmp_path / "mortal")
    with open_workers(make_cases([artifact], [1], ["f32"])) as workers:
        os.kill(workers[0]._process.pid, signal.SIGKILL)
        with pytest.raises(EngineError, match=r"mortal.*SIGKILL"):
            measure(workers, QUICK)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_a_row_whose_core_another_process_uses_is_not_valid(small_artifact, tmp_path) -> None:
    core = min(os.sched_getaffinity(0))
    spin = f"import os; os.sched_setaffinity(0, {{{core}}})\nwhile True: pass"
    with (
        open_workers(make_cases([small_artifact(tmp_path / "a")], [1], ["f32"])) as (worker,),
        subprocess.Popen([sys.executable, "-c", spin]) as busy,
    ):
        try:
            for task in Path(f"/proc/{worker._process.pid}/task").iterdir():
                os.sched_setaffinity(int(task.name), {core})
            (row,) = measure([worker], Plan(rounds=2, time_s=1.0, warmup_runs=1)).rows
        finally:
            busy.kill()
    assert row.valid is False


def test_what_an_engine_does_not_have_is_said_as_elsewhere(small_artifact, tmp_path) -> None:
    artifact = small_artifact(tmp_path / "a")
    case = Case(artifact, RunOptions(accelerator="npu"))
    with pytest.raises(InputError, match="npu"), open_workers([case]):
        pass


def test_a_file_that_the_engine_refuses_is_its_error(small_artifact, tmp_path) -> None:
    artifact = small_artifact(tmp_path / "a")
    record = artifact.manifest.outputs[0]
    wrong = msgspec.structs.replace(
        artifact.manifest, outputs=(msgspec.structs.replace(record, name="gone"),)
    )
    (artifact.root / "artifact.json").write_bytes(msgspec.json.encode(wrong))
    with pytest.raises(EngineError, match="gone"), open_workers([Case(artifact, RunOptions())]):
        pass


def test_what_cannot_be_measured_is_refused_before_anything_runs(small_artifact, tmp_path) -> None:
    artifact = small_artifact(tmp_path / "a")
    with pytest.raises(InputError, match="at least one"):
        open_artifacts([])
    with pytest.raises(InputError, match="named twice"):
        open_artifacts([artifact.root, tmp_path / "." / "a"])
    with pytest.raises(ArtifactError, match="no artifact there"):
        open_artifacts([artifact.root, tmp_path / "gone"])
    kept = tuple(each for each in artifact.manifest.files if each.path != REFERENCE)
    bare = msgspec.structs.replace(artifact.manifest, files=kept)
    (artifact.root / REFERENCE).unlink()
    (artifact.root / "artifact.json").write_bytes(msgspec.json.encode(bare))
    with pytest.raises(ArtifactError, match=REFERENCE):
        open_artifacts([artifact.root])
