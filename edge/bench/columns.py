"""Columns of benchmark tables: one list for `bench`, `tune`, `compare` and the HTML page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge.bench.record import BenchRow
from edge.bench.report import ReportRow

UNKNOWN = "-"
VALID = {True: "yes", False: "NO", None: UNKNOWN}
GATE = {True: "passed", False: "REFUSED", None: "unjudged"}


@dataclass(frozen=True, slots=True)
class Column:
    """text: a row's cell, UNKNOWN where it has no such value.

    For the HTML page: word: left-aligned text; bad: the text that is highlighted.
    """

    text: Callable[[ReportRow], str]
    word: bool = False
    bad: str = ""


def _of_bench(text: Callable[[BenchRow], str], *, word: bool = False, bad: str = "") -> Column:
    return Column(lambda row: text(row.bench) if row.bench else UNKNOWN, word, bad)


def _figure(value: float | None, form: str, unit: str = "") -> str:
    return UNKNOWN if value is None else f"{value:{form}}{unit}"


def _megabytes(count: int | None, form: str) -> str:
    return UNKNOWN if count is None else f"{count / 1e6:{form}}"


def _in_effect(found: object, asked: object) -> str:
    """Return the option in effect, and the one asked for where it differs."""
    return str(found) if found == asked else f"{found} (asked {asked})"


COLUMNS: dict[str, Column] = {
    "run": Column(lambda row: row.run or UNKNOWN, word=True),
    "artifact": Column(lambda row: row.artifact, word=True),
    "arithmetic": _of_bench(
        lambda row: _in_effect(row.arithmetic, row.asked_arithmetic), word=True
    ),
    "engine": _of_bench(lambda row: row.engine or UNKNOWN, word=True),
    "threads": _of_bench(lambda row: _in_effect(row.threads, row.asked_threads or row.threads)),
    "accelerator": _of_bench(lambda row: row.accelerator, word=True),
    "AP": Column(lambda row: _figure(row.ap, ".4f")),
    "AP drop": Column(lambda row: _figure(row.ap_drop, "+.4f")),
    "px p95": _of_bench(lambda row: _figure(row.px_p95, ".3g")),
    "MB": _of_bench(lambda row: _megabytes(row.bytes, ".2f")),
    "p50 ms": _of_bench(lambda row: f"{row.p50_ms:.2f}"),
    "p90 ms": _of_bench(lambda row: f"{row.p90_ms:.2f}"),
    "p99 ms": _of_bench(lambda row: f"{row.p99_ms:.2f}"),
    "runs": _of_bench(lambda row: str(row.runs)),
    "cpu/wall": _of_bench(lambda row: f"{row.cpu_wall:.2f}"),
    "load ms": _of_bench(lambda row: f"{row.load_ms:.0f}"),
    "RSS MB": _of_bench(lambda row: _megabytes(row.peak_rss_bytes, ".0f")),
    "speedup": _of_bench(lambda row: _figure(row.speedup, ".2f", "x")),
    "p90 change": Column(lambda row: _figure(row.p90_change, "+.1%")),
    "valid": _of_bench(lambda row: VALID[row.valid], word=True, bad=VALID[False]),
    "gate": _of_bench(lambda row: GATE[row.passed], word=True, bad=GATE[False]),
}
BENCH = (
    *("artifact", "arithmetic", "threads", "p50 ms", "p90 ms", "p99 ms", "runs"),
    *("cpu/wall", "valid", "load ms", "RSS MB", "MB", "speedup", "engine"),
)
# What `tune` varies comes first.
TUNE = (*BENCH[:3], "accelerator", *BENCH[3:])
COMPARE = (
    *("run", "artifact", "arithmetic", "threads", "AP", "AP drop", "px p95", "MB"),
    *("p50 ms", "p90 ms", "speedup", "p90 change", "valid", "gate"),
)


def cells(rows: Sequence[ReportRow], names: Sequence[str]) -> list[list[str]]:
    """Return a line of texts for each row, in the order of the column names."""
    return [[COLUMNS[name].text(row) for name in names] for row in rows]


def bench_cells(rows: Sequence[BenchRow], names: Sequence[str] = BENCH) -> list[list[str]]:
    """Return the rows of one benchmark as lines of the named columns."""
    return cells([ReportRow("", row.artifact, row) for row in rows], names)
