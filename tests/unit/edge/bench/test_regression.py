"""Regressions between two runs: parsing of limits, common rows, machines."""

from pathlib import Path

import msgspec
import pytest

from devices.machine import Machine
from edge.bench.record import BenchRow, BenchRun, read_run
from edge.bench.regression import FIGURES, Limit, compare_runs, parse_limit, same_machine
from runtimes.errors import InputError

RUN = read_run(Path(__file__).parents[3] / "data/run.json")


def run(*rows: BenchRow, machine: Machine = RUN.machine) -> BenchRun:
    return msgspec.structs.replace(RUN, rows=rows, machine=machine)


def row(p90_ms: float = 10.0, **fields: object) -> BenchRow:
    return msgspec.structs.replace(RUN.rows[0], **{"artifact": "a", "p90_ms": p90_ms, **fields})


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("p90:+10%", Limit("p90", 0.1)),
        ("p50:+0%", Limit("p50", 0.0)),
        ("bytes:+2.5%", Limit("bytes", 0.025)),
    ],
)
def test_limits_as_they_are_written(text, limit) -> None:
    assert parse_limit(text) == limit


@pytest.mark.parametrize(
    "text", ["", "p90", "p90:10%", "p90:+10", "p90:-10%", "p42:+1%", "p90:+x%"]
)
def test_another_limit_is_refused_with_what_there_is(text) -> None:
    with pytest.raises(InputError, match="p50, p10, p90, estimate, p99"):
        parse_limit(text)


@pytest.mark.parametrize(
    ("after", "worse"), [(9.0, False), (10.0, False), (10.9, False), (11.2, True), (20.0, True)]
)
def test_more_than_the_limit_is_worse(after, worse) -> None:
    (found,) = compare_runs(run(row(10.0)), run(row(after)), Limit("p90", 0.1)).changes
    assert found.worse is worse
    assert found.change == pytest.approx(after / 10 - 1)


def test_only_rows_that_both_have_are_judged() -> None:
    first = run(row(artifact="a"), row(artifact="b"))
    other = run(row(artifact="c"), row(artifact="b"), row(artifact="b", threads=2))
    found = compare_runs(first, other, Limit("p50", 0))
    assert [each.name for each in found.changes] == ["b f32, 1 thread"]
    assert found.missing == ("a f32, 1 thread: the last run lacks it",)
    with pytest.raises(InputError, match="no row in common"):
        compare_runs(first, run(row(artifact="c")), Limit("p50", 0))


def test_a_busy_row_is_judged_and_marked() -> None:
    (found,) = compare_runs(run(row()), run(row(valid=False)), Limit("p90", 0.1)).changes
    assert found.valid is False
    (gpu,) = compare_runs(run(row(valid=None)), run(row(valid=None)), Limit("p90", 0.1)).changes
    assert gpu.valid is True


def test_a_figure_that_was_not_measured_is_refused() -> None:
    with pytest.raises(InputError, match="rss"):
        compare_runs(run(row()), run(row()), Limit("rss", 0.1))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({"p10_ms": None}, {"p10_ms": 1.0}, "b f32, 1 thread: no p10 in the first run"),
        ({"p10_ms": 1.0}, {"p10_ms": None}, "b f32, 1 thread: no p10 in the last run"),
        ({"p10_ms": None}, {"p10_ms": None}, "b f32, 1 thread: no p10 in the first run"),
    ],
)
def test_a_row_without_the_figure_is_named(before, after, said) -> None:
    whole = row(p10_ms=1.0)
    first, other = run(whole, row(artifact="b", **before)), run(whole, row(artifact="b", **after))
    found = compare_runs(first, other, Limit("p10", 0.1))
    assert [each.change for each in found.changes] == [0]
    assert found.missing == (said,)


@pytest.mark.parametrize(("after", "judged"), [(0, True), (7, False)])
def test_no_percentage_of_nothing(after, judged) -> None:
    first, other = (
        run(row(load_ms=1.0), row(artifact="b", load_ms=load_ms)) for load_ms in (0, after)
    )
    found = compare_runs(first, other, Limit("load", 0.1))
    assert len(found.changes) == 1 + judged
    assert len(found.missing) == 1 - judged


def test_every_figure_reads_a_row() -> None:
    times = {"p50_ms": 5.0, "p99_ms": 20.0, "mean_ms": 6.0, "load_ms": 1.0}
    times |= {"p10_ms": 4.0, "p90_estimate_ms": 11.0, "min_ms": 3.0, "first_ms": 30.0}
    full = row(**times, peak_rss_bytes=7, bytes=1000)
    assert {name: getattr(full, field) for name, field in FIGURES.items()} == {
        "p50": 5.0,
        "p10": 4.0,
        "p90": 10.0,
        "estimate": 11.0,
        "p99": 20.0,
        "mean": 6.0,
        "min": 3.0,
        "load": 1.0,
        "first": 30.0,
        "rss": 7,
        "bytes": 1000,
    }


def test_machines_are_told_apart() -> None:
    other = msgspec.structs.replace(RUN.machine, cpu_model="d")
    assert same_machine([run(row()), run(row())])
    assert same_machine([])
    assert not same_machine([run(row()), run(row(), machine=other)])
