"""RUN.json, the record of a benchmark: rows, validity, speedup."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from devices.machine import Machine
from devices.telemetry import Sensors
from edge.bench.figures import Histogram
from edge.bench.pipeline_row import PipelineRow
from edge.evaluation.summary import ProtocolResult
from runtimes.base import Accelerator, Arithmetic
from runtimes.errors import InputError
from runtimes.layer_times.layer_time import LayerTime
from runtimes.record import Count, NotNegative, Positive, Record, Side, Size, decode_record
from runtimes.spec import Manifest, Precision, Runtime

FORMAT = 2  # of 1, later fields are missing
# CPU seconds a thread and wall second; below it, other work took the process's cores.
MIN_CPU_WALL = 0.9
# Of the CPUs that a process may run on; above it, others took memory bandwidth, caches and the other half of its cores.
MOST_OTHERS = 0.2

FloorBy = Literal["arithmetic", "memory", ""]


class BenchRow(Record, frozen=True, kw_only=True):
    """One artifact on one engine with one set of options, batch 1, on its own reference images.

    precision: of the file; arithmetic, threads, accelerator, engine: read back from the engine (its name, version and
    backend; "" in older records); asked_*: the options asked for. placement: nodes of the network by the backend that
    executes them, the one asked for first; None on the CPU's own kernels, and where the engine does not tell.
    Times in milliseconds of wall clock, over the `runs` of all rounds together; round_p50_ms: each round's median;
    p90_estimate_ms: MLPerf's early-stopping estimate, see `edge.bench.figures`, None below 64 runs. engine_p50_ms: the
    median of the engine's own share, without normalising the image and copying the outputs.
    load_ms: from a verified file to a session, the engine's import included; the file may be in the system's cache.
    first_ms: of the first inference after it. warmup_runs, warmup_ms: between that and the first round; like first_ms
    in no other figure. Of tier "sustained" (`edge.bench.sustained`), None in others: burst_p50_ms: of the first
    seconds; steady: whether the times settled. bytes: of the engine's files. peak_rss_bytes: of
    the process, Python and engine included; None where the system does not report it. cpu_wall: CPU time / (wall time x
    threads). others: the mean number of CPUs that other processes used during the rounds, of the `cpus` that this one
    may run on; None where that is not known. valid: see `is_valid`. speedup: see `with_speedup`. px_p95, ap, passed:
    the gate's, from the manifest, None where it recorded none; ap and ap_on, or scored (MPII): of `--annotations` where
    that was given. On a phone over adb the figures are those that the engine's own benchmark tool prints, the rest
    None; round_mean_ms: each round's mean; note: what such a row is not.
    macs, least_bytes: of a run, None where the manifest has no cost; floor_ms: the least time for them by this
    machine's measured limits (`edge.bench.limits.floor`), floor_by: which of both, floor_ratio: p50_ms / floor_ms; None
    and "" where the limits were not measured. layers: in the order in which they run, of `--layers`.
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
    placement: dict[str, Size] | None = None
    asked_threads: int | None
    asked_arithmetic: Arithmetic
    p50_ms: Positive | None
    p90_ms: Positive | None
    p99_ms: Positive | None
    mean_ms: Positive
    min_ms: Positive
    p10_ms: Positive | None = None
    p90_estimate_ms: Positive | None = None
    histogram: Histogram | None = None
    engine_p50_ms: Positive | None = None
    runs: Size
    round_p50_ms: tuple[Positive, ...]
    round_mean_ms: tuple[Positive, ...] = ()
    warmup_runs: Size
    warmup_ms: NotNegative | None
    load_ms: NotNegative | None
    first_ms: NotNegative | None = None
    burst_p50_ms: Positive | None = None
    steady: bool | None = None
    peak_rss_bytes: Size | None
    bytes: Size
    cpu_wall: NotNegative | None
    others: NotNegative | None = None
    cpus: Count | None = None
    valid: bool | None
    note: str = ""
    speedup: float | None = None
    speedup_range: tuple[float, float] | None = None
    speedup_over: str | None = None
    px_p95: float | None = None
    ap: float | None = None
    ap_on: str = ""
    passed: bool | None = None
    macs: Size | None = None
    least_bytes: Size | None = None
    floor_ms: Positive | None = None
    floor_ratio: Positive | None = None
    floor_by: FloorBy = ""
    scored: ProtocolResult | None = None
    layers: tuple[LayerTime, ...] = ()

    @property
    def typical_ms(self) -> float:
        """The p50, or the mean where there is none."""
        return self.mean_ms if self.p50_ms is None else self.p50_ms

    @property
    def key(self) -> tuple[object, ...]:
        """The artifact's name and the options in effect: equal in two runs that measured the same thing."""
        return self.artifact, self.arithmetic, self.threads, self.accelerator


class BenchRun(Record, frozen=True, kw_only=True):
    """RUN.json: machine, date, settings and rows of a benchmark.

    date: UTC, ISO 8601. load_before, load_after: load averages over one minute, None where the system has none.
    sensors_before, sensors_after: temperatures, clocks, throttling, power; None of a board of `--remote`.
    versions: of Python, edgepose and the engines used. tier, queries, iterations, window_s: see `edge.bench.tiers`; ""
    and None where not asked for. host: the board of `--remote`, "" for this machine. partial: why rows or rounds are
    missing, "" where the run is complete. rounds, time_s: of tier "sustained", the most windows of a row, their time.
    pipelines: of `bench --pipeline`, whose rows are these.
    """

    machine: Machine
    date: str
    versions: dict[str, str]
    load_before: float | None
    load_after: float | None
    sensors_before: Sensors | None = None
    sensors_after: Sensors | None = None
    rounds: int
    time_s: float
    warmup_runs: int
    tier: str = ""
    queries: Size | None = None
    iterations: Size | None = None
    window_s: Positive | None = None
    host: str = ""
    partial: str = ""
    rows: tuple[BenchRow, ...]
    pipelines: tuple[PipelineRow, ...] = ()
    kind: Literal["bench"] = "bench"
    format: int = FORMAT


def all_rows(run: BenchRun) -> list[BenchRow | PipelineRow]:
    """Return the rows of artifacts and of pipelines."""
    return [*run.rows, *run.pipelines]


def is_valid(
    cpu_wall: float,
    accelerator: Accelerator,
    others: float | None = None,
    cpus: int | None = None,
) -> bool | None:
    """Return whether the process had its cores, and those beside them were quiet.

    CPU time / (wall time x threads) is at least MIN_CPU_WALL, 0.9: where other work takes a core, or there are more
    threads than cores, threads wait for a core, and the times measure that. Engines whose threads sleep through serial
    parts fall below too: more threads are not worth it then. And see `is_crowded`. None on a GPU or an NPU, where the
    CPU waits by design.
    """
    if accelerator != "cpu":
        return None
    return cpu_wall >= MIN_CPU_WALL and not is_crowded(others, cpus)


def is_crowded(others: float | None, cpus: int | None) -> bool:
    """Return whether other processes used more than MOST_OTHERS of the CPUs that this one may run on.

    They share caches and memory with it, and CPUs may be halves of one core, so that it is slower though it never
    waits. False where it is not known.
    """
    return others is not None and cpus is not None and others > MOST_OTHERS * cpus


def why_not_valid(row: BenchRow | PipelineRow) -> str:
    """Return in words why a row is not valid; "" where it is, or nothing is known."""
    if row.valid is not False:
        return ""
    reasons = []
    if row.cpu_wall is not None and row.cpu_wall < MIN_CPU_WALL:
        reasons.append(f"cpu/wall {row.cpu_wall:.2f}")
    if is_crowded(row.others, row.cpus):
        reasons.append(f"other processes used {row.others:.1f} of {row.cpus} cores")
    return ", ".join(reasons)


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
    ratios = [parent / own for parent, own in zip(*_rounds(alike[0], row), strict=True)]
    return msgspec.structs.replace(
        row,
        speedup=statistics.median(ratios),
        speedup_range=(min(ratios), max(ratios)),
        speedup_over=alike[0].artifact,
    )


def _rounds(first: BenchRow, other: BenchRow) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return each round's median of both rows, or its mean where a tool prints no median."""
    if first.round_p50_ms and other.round_p50_ms:
        return first.round_p50_ms, other.round_p50_ms
    return first.round_mean_ms, other.round_mean_ms


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
        path,
        data,
        BenchRun,
        FORMAT,
        "RUN.json of `edgepose bench --out`",
        "measure it again",
        upgrade=_upgrade,
    )


def _upgrade(document: Any) -> Any:
    """Return format 1 as the present one: fields that it lacks have defaults."""
    if isinstance(document, dict) and document.get("format") == 1:
        return {**document, "format": FORMAT}
    return document
