"""RUN.json, the record of a benchmark, and its figures: percentiles, validity, speedup."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from devices.profile import Machine
from runtimes.base import Accelerator, Arithmetic
from runtimes.errors import InputError
from runtimes.record import Count, NotNegative, Positive, Record, Side, Size, decode_record
from runtimes.spec import Manifest, Precision, Runtime

FORMAT = 1
# CPU seconds a thread and wall second; below it, other work took the process's cores.
MIN_CPU_WALL = 0.9


class BenchRow(Record, frozen=True, kw_only=True):
    """One artifact on one engine with one set of options, batch 1, on its own reference images.

    precision: of the file; arithmetic, threads, accelerator, engine: read back from the engine (its name, version and
    backend; "" in older records); asked_*: the options asked for.
    Times in milliseconds of wall clock, over the `runs` of all rounds together; round_p50_ms: each round's median.
    load_ms: from a verified file to a session, the engine's import included; the file may be in the system's cache.
    warmup_runs, warmup_ms: before the first round, in no other figure. bytes: of the engine's files. peak_rss_bytes: of
    the process, Python and engine included; None where the system does not report it. cpu_wall: CPU time / (wall time x
    threads). valid: see `is_valid`. speedup: see `with_speedup`. px_p95, ap, passed: the gate's, from the manifest,
    None where it recorded none.
    """

    artifact: str
    model: str
    runtime: Runtime
    precision: Precision
    input_wh: tuple[Side, Side]
    threads: Count
    arithmetic: Arithmetic
    accelerator: Accelerator
    engine: str = ""
    asked_threads: int | None
    asked_arithmetic: Arithmetic
    p50_ms: Positive
    p90_ms: Positive
    p99_ms: Positive
    mean_ms: Positive
    min_ms: Positive
    runs: Size
    round_p50_ms: tuple[Positive, ...]
    warmup_runs: Size
    warmup_ms: NotNegative
    load_ms: NotNegative
    peak_rss_bytes: Size | None
    bytes: Size
    cpu_wall: NotNegative
    valid: bool | None
    speedup: float | None = None
    speedup_range: tuple[float, float] | None = None
    speedup_over: str | None = None
    px_p95: float | None = None
    ap: float | None = None
    ap_on: str = ""
    passed: bool | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """The artifact's name and the options in effect: equal in two runs that measured the same thing."""
        return self.artifact, self.arithmetic, self.threads, self.accelerator


class BenchRun(Record, frozen=True, kw_only=True):
    """RUN.json: machine, date, settings and rows of a benchmark.

    date: UTC, ISO 8601. load_before, load_after: load averages over one minute, None where the system has none.
    versions: of Python, edgepose and the engines used.
    """

    machine: Machine
    date: str
    versions: dict[str, str]
    load_before: float | None
    load_after: float | None
    rounds: int
    time_s: float
    warmup_runs: int
    rows: tuple[BenchRow, ...]
    kind: Literal["bench"] = "bench"
    format: int = FORMAT


class Figures(Record, frozen=True, kw_only=True):
    """Statistics of a list of times, in milliseconds."""

    p50_ms: float
    p90_ms: float
    p99_ms: float
    mean_ms: float
    min_ms: float


def figures(wall_ns: Sequence[int]) -> Figures:
    """Return the figures of wall times in nanoseconds; percentiles as numpy interpolates them.

    The p99 of fewer than a hundred runs is close to their maximum; see `BenchRow.runs`.
    """
    ms = np.asarray(wall_ns, np.float64) / 1e6
    p50, p90, p99 = (float(value) for value in np.percentile(ms, (50, 90, 99)))
    return Figures(
        p50_ms=p50, p90_ms=p90, p99_ms=p99, mean_ms=float(ms.mean()), min_ms=float(ms.min())
    )


def is_valid(cpu_wall: float, accelerator: Accelerator) -> bool | None:
    """Return whether the process had its cores: CPU time / (wall time x threads) of at least MIN_CPU_WALL, 0.9.

    Where other work takes a core, or there are more threads than cores, threads wait for a core, and the times measure
    that. Engines whose threads sleep through serial parts fall below too: more threads are not worth it then. None on
    a GPU or an NPU, where the CPU waits by design.
    """
    return cpu_wall >= MIN_CPU_WALL if accelerator == "cpu" else None


def with_speedup(rows: Sequence[BenchRow]) -> tuple[BenchRow, ...]:
    """Return the rows with the speedup over their fp32 artifact, where the same run measured that; above 1 is faster.

    The fp32 artifact has the same runtime, model, input, threads, arithmetic and accelerator. The speedup is the median
    (and range) of the ratios of paired rounds, since noise affects both alike.
    """
    return tuple(_beside_parent(row, rows) for row in rows)


def _beside_parent(row: BenchRow, rows: Sequence[BenchRow]) -> BenchRow:
    alike = [each for each in rows if each.precision == "fp32" and _terms(each) == _terms(row)]
    if row.precision == "fp32" or not alike:
        return row
    pairs = zip(alike[0].round_p50_ms, row.round_p50_ms, strict=True)
    ratios = [parent / own for parent, own in pairs]
    return msgspec.structs.replace(
        row,
        speedup=statistics.median(ratios),
        speedup_range=(min(ratios), max(ratios)),
        speedup_over=alike[0].artifact,
    )


def _terms(row: BenchRow) -> tuple[object, ...]:
    how = (row.threads, row.arithmetic, row.accelerator)
    return (row.runtime, row.model, row.input_wh, *how)


def gate_passed(manifest: Manifest) -> bool | None:
    """Return the gate's verdict over all records: False if any failed, None if any is undecided or there is none."""
    words = [record.passed for record in manifest.parity]
    if False in words:
        return False
    return None if None in words or not words else True


def read_run(path: Path) -> BenchRun:
    """Read a RUN.json; raises InputError where it is none."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    return decode_run(path, data)


def decode_run(path: Path, data: bytes) -> BenchRun:
    """Decode the bytes of a RUN.json; `path` is for the message of an InputError."""
    return decode_record(
        path, data, BenchRun, FORMAT, "RUN.json of `edgepose bench --out`", "measure it again"
    )
