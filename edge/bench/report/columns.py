"""Columns of benchmark tables: one list for `bench`, `tune`, `compare` and the HTML page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge.bench.pipeline_row import PipelineRow
from edge.bench.record import BenchRow, why_not_valid
from edge.bench.report.results import ReportRow

UNKNOWN = "-"
VALID = {True: "yes", False: "NO", None: UNKNOWN}
STEADY = {True: "yes", False: "no", None: UNKNOWN}
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


def _counts(placement: dict[str, int] | None) -> str:
    if placement is None:
        return UNKNOWN
    return ", ".join(f"{backend} {count}" for backend, count in placement.items())


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
    "placement": _of_bench(lambda row: _counts(row.placement), word=True),
    "threads": _of_bench(lambda row: _in_effect(row.threads, row.asked_threads or row.threads)),
    "accelerator": _of_bench(lambda row: row.accelerator, word=True),
    "AP": Column(lambda row: _figure(row.ap, ".4f")),
    "AP drop": Column(lambda row: _figure(row.ap_drop, "+.4f")),
    "px p95": _of_bench(lambda row: _figure(row.px_p95, ".3g")),
    "MB": _of_bench(lambda row: _megabytes(row.bytes, ".2f")),
    "min ms": _of_bench(lambda row: f"{row.min_ms:.2f}"),
    "p10 ms": _of_bench(lambda row: _figure(row.p10_ms, ".2f")),
    "burst ms": _of_bench(lambda row: _figure(row.burst_p50_ms, ".2f")),
    "p50 ms": _of_bench(lambda row: _figure(row.p50_ms, ".2f")),
    "engine ms": _of_bench(lambda row: _figure(row.engine_p50_ms, ".2f")),
    "p90 ms": _of_bench(lambda row: _figure(row.p90_ms, ".2f")),
    "p90 est ms": _of_bench(lambda row: _figure(row.p90_estimate_ms, ".2f")),
    "p99 ms": _of_bench(lambda row: _figure(row.p99_ms, ".2f")),
    "mean ms": _of_bench(lambda row: f"{row.mean_ms:.2f}"),
    "steady": _of_bench(lambda row: STEADY[row.steady], word=True, bad=STEADY[False]),
    "runs": _of_bench(lambda row: str(row.runs)),
    "cpu/wall": _of_bench(lambda row: _figure(row.cpu_wall, ".2f")),
    "others": _of_bench(lambda row: _figure(row.others, ".2f")),
    "load ms": _of_bench(lambda row: _figure(row.load_ms, ".0f")),
    "first ms": _of_bench(lambda row: _figure(row.first_ms, ".1f")),
    "RSS MB": _of_bench(lambda row: _megabytes(row.peak_rss_bytes, ".0f")),
    "floor ms": _of_bench(lambda row: _figure(row.floor_ms, ".2f")),
    "floor by": _of_bench(lambda row: row.floor_by or UNKNOWN, word=True),
    "over floor": _of_bench(lambda row: _figure(row.floor_ratio, ".1f", "x")),
    "speedup": _of_bench(lambda row: _figure(row.speedup, ".2f", "x")),
    "p90 change": Column(lambda row: _figure(row.p90_change, "+.1%")),
    "valid": _of_bench(lambda row: VALID[row.valid], word=True, bad=VALID[False]),
    "gate": _of_bench(lambda row: GATE[row.passed], word=True, bad=GATE[False]),
    "note": _of_bench(
        lambda row: "; ".join(filter(None, (why_not_valid(row), row.note))) or UNKNOWN, word=True
    ),
}
BENCH = (
    *(
        "artifact",
        "arithmetic",
        "threads",
        "engine ms",
        "p10 ms",
        "p50 ms",
        "p90 ms",
        "p90 est ms",
        "p99 ms",
    ),
    *("runs", "cpu/wall", "others", "valid", "load ms", "first ms", "RSS MB", "MB", "speedup"),
    *("floor ms", "over floor", "placement", "engine"),
)
SUSTAINED = (*BENCH[:3], "burst ms", *BENCH[3:10], "steady", *BENCH[10:])
# What the tools on a phone print.
PHONE = (
    *(
        "artifact",
        "arithmetic",
        "threads",
        "min ms",
        "p50 ms",
        "mean ms",
        "runs",
        "load ms",
        "first ms",
    ),
    *("RSS MB", "MB", "speedup", "engine", "note"),
)
# What `tune` varies comes first.
TUNE = (*BENCH[:3], "accelerator", *BENCH[3:])
COMPARE = (
    *("run", "artifact", "arithmetic", "threads", "AP", "AP drop", "px p95", "MB"),
    *("p50 ms", "p90 ms", "p90 est ms", "mean ms", "speedup", "p90 change", "valid", "gate"),
)
# The HTML page has room, and leaves out columns without any value.
PAGE = (
    *(
        *COMPARE[:8],
        "burst ms",
        "engine ms",
        "min ms",
        "p10 ms",
        *COMPARE[8:11],
        "p99 ms",
        "mean ms",
        "steady",
    ),
    *("runs", "cpu/wall", "others", "load ms", "first ms", "RSS MB", *COMPARE[12:]),
    *("floor ms", "over floor", "floor by", "placement", "engine", "note"),
)


PIPELINE: dict[str, Callable[[PipelineRow], str]] = {
    "source": lambda row: row.source,
    "pose": lambda row: row.pose,
    "detector": lambda row: row.detector or UNKNOWN,
    "skip": lambda row: row.skip,
    "arithmetic": lambda row: row.arithmetic,
    "threads": lambda row: str(row.threads),
    "frames": lambda row: str(row.runs),
    "people": lambda row: f"{row.people:.2f}",
    "detector calls": lambda row: str(row.detector_calls),
    "p50 ms": lambda row: f"{row.p50_ms:.2f}",
    "p90 ms": lambda row: f"{row.p90_ms:.2f}",
    "p99 ms": lambda row: f"{row.p99_ms:.2f}",
    "streaming fps": lambda row: f"{row.fps:.1f}",
    "cpu/wall": lambda row: f"{row.cpu_wall:.2f}",
    "others": lambda row: _figure(row.others, ".2f"),
    "valid": lambda row: VALID[row.valid],
    "RSS MB": lambda row: _megabytes(row.peak_rss_bytes, ".0f"),
    "floor ms": lambda row: _figure(row.floor_ms, ".2f"),
    "over floor": lambda row: _figure(row.floor_ratio, ".1f", "x"),
}
LAYER = ("artifact", "threads", "layer", "kind", "kernel", "ms", "share")
MOST_LAYERS = 10
STAGE = ("stage", "frames", "mean ms", "share", "p50 ms", "p90 ms")


def pipeline_cells(rows: Sequence[PipelineRow]) -> list[list[str]]:
    """Return a line for each pipeline, in the order of PIPELINE."""
    return [[text(row) for text in PIPELINE.values()] for row in rows]


def stage_cells(row: PipelineRow) -> list[list[str]]:
    """Return a line for each stage, in the order of STAGE."""
    return [
        [
            *(
                each.stage,
                str(each.runs),
                f"{each.mean_ms:.2f}",
                f"{each.mean_ms / row.mean_ms:.0%}",
            ),
            *(_figure(each.p50_ms, ".2f"), _figure(each.p90_ms, ".2f")),
        ]
        for each in row.stages
    ]


def layer_cells(row: BenchRow) -> list[list[str]]:
    """Return a line for each of the slowest layers, in the order of LAYER, and one for all others together."""
    whole = sum(each.ms for each in row.layers)
    slowest = sorted(row.layers, key=lambda each: each.ms, reverse=True)
    shown = [(each.name, each.kind, each.kernel, each.ms) for each in slowest[:MOST_LAYERS]]
    rest = slowest[MOST_LAYERS:]
    if rest:
        shown.append((f"{len(rest)} others", UNKNOWN, UNKNOWN, sum(each.ms for each in rest)))
    return [
        [
            *(row.artifact, str(row.threads), name, kind, kernel or UNKNOWN),
            *(f"{ms:.3f}", f"{ms / whole:.1%}"),
        ]
        for name, kind, kernel, ms in shown
    ]


def cells(rows: Sequence[ReportRow], names: Sequence[str]) -> list[list[str]]:
    """Return a line of texts for each row, in the order of the column names."""
    return [[COLUMNS[name].text(row) for name in names] for row in rows]


def score_tables(
    rows: Sequence[ReportRow],
) -> list[tuple[str, list[str], list[list[str]]]]:
    """Return the protocol's name, a header and a line for each row, for each protocol other than COCO's."""
    scored = [(row, row.scored) for row in rows if row.scored]
    tables: list[tuple[str, list[str], list[list[str]]]] = []
    for protocol in dict.fromkeys(each.protocol for _, each in scored):
        group = [(row, each) for row, each in scored if each.protocol == protocol]
        names = list(dict.fromkeys(name for _, each in group for name in each.figures))
        lines = [
            [row.run or UNKNOWN, row.artifact, str(each.images)]
            + [_figure(each.figures.get(name), ".4f") for name in names]
            for row, each in group
        ]
        tables.append((protocol, ["run", "artifact", "images", *names], lines))
    return tables


def bench_cells(rows: Sequence[BenchRow], names: Sequence[str] = BENCH) -> list[list[str]]:
    """Return the rows of one benchmark as lines of the named columns."""
    return cells([ReportRow("", row.artifact, row, row.ap, row.ap_on) for row in rows], names)
