"""Runs of a round, cores and threads of a case, and the row that several rounds make."""

from dataclasses import replace
from pathlib import Path

import pytest
from device_files import read_device
from phone_files import write_artifact

from edge.bench.measure import Case, Plan
from edge.bench.remote.phone.adb import Adb
from edge.bench.remote.phone.benchncnn import BENCHNCNN
from edge.bench.remote.phone.binaries import Binary
from edge.bench.remote.phone.folder import Folder
from edge.bench.remote.phone.state import PhoneState, parse_state
from edge.bench.remote.phone.tool import Printed
from edge.bench.remote.phone.turns import Turns, make_turns, phone_row, runs_of
from runtimes.artifact import Artifact
from runtimes.base import RunOptions


@pytest.fixture(scope="module")
def artifact(tmp_path_factory) -> Artifact:
    return write_artifact(tmp_path_factory.mktemp("art") / "small.ncnn-fp32", "ncnn")


def state_of(name: str) -> PhoneState:
    files = read_device(name).files
    texts = {f"/{path}": text for path, text in files.items() if path != "getprop.txt"}
    return parse_state("".join(f"@edgepose text {path}\n{text}\n" for path, text in texts.items()))


def turns_of(artifact: Artifact, threads: int | None, device: str) -> Turns:
    binary = Binary(BENCHNCNN, Path("benchncnn"), "0" * 64)
    case = Case(artifact, RunOptions(threads=threads))
    return make_turns(case, 3, binary, Folder(Adb("x")), state_of(device))


@pytest.mark.parametrize(
    ("threads", "asked", "mask", "little"),
    [
        (None, 4, "f0", False),  # four big cores
        (2, 2, "f0", False),
        (6, 6, "", True),  # more than the big cores
    ],
)
def test_threads_are_on_the_big_cores_where_these_suffice(
    artifact, threads, asked, mask, little
) -> None:
    turns = turns_of(artifact, threads, "snapdragon-865-android")
    assert (turns.ask.threads, turns.mask, turns.ask.little) == (asked, mask, little)
    assert (turns.ask.model, turns.ask.wh) == ("3/model.param", (48, 64))


def test_cores_of_one_kind_are_not_bound(artifact) -> None:
    turns = turns_of(artifact, None, "raspberry-pi-5")
    assert (turns.ask.threads, turns.mask) == (4, "")


def test_runs_fill_the_time_of_a_round() -> None:
    plan = Plan(rounds=10, time_s=5.0)
    assert runs_of(plan, 0, 8.0) == 63  # 500 ms of 8 ms, rounded up
    assert runs_of(plan, 0, 4000.0) == 1


def test_runs_are_at_least_those_of_a_tier_and_end_with_its_limit() -> None:
    plan = Plan(rounds=4, time_s=6.0, queries=64, most_s=600.0)
    assert [runs_of(plan, number, 1000.0) for number in range(4)] == [16] * 4
    assert runs_of(plan, 0, 10_000.0) == 15  # of 150 s


def test_iterations_are_exact_over_all_rounds() -> None:
    plan = Plan(rounds=3, exact_runs=10)
    assert sum(runs_of(plan, number, 8.0) for number in range(3)) == 10


def test_means_are_weighted_by_runs_and_medians_are_not_joined(artifact) -> None:
    turns = turns_of(artifact, 2, "snapdragon-865-android")
    first = Printed(runs=10, mean_ms=4.0, min_ms=3.0, p50_ms=3.5, warmup_runs=2, warmup_ms=9.0)
    second = replace(first, runs=30, mean_ms=8.0, min_ms=2.5, p50_ms=7.5)
    row = phone_row(turns, first, [first, second], state_of("snapdragon-865-android"))
    assert (row.mean_ms, row.min_ms, row.runs) == (7.0, 2.5, 40)
    assert (row.p50_ms, row.round_p50_ms, row.round_mean_ms) == (None, (3.5, 7.5), (4.0, 8.0))
    assert (row.warmup_runs, row.warmup_ms) == (12, 49.0)  # the tool's own, and ten of 4 ms
    alone = phone_row(turns, first, [second], state_of("snapdragon-865-android"))
    assert alone.p50_ms == 7.5
