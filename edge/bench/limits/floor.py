"""The floor of a row: the least time that this machine needs for its multiply-accumulates, and for its bytes."""

from collections.abc import Iterable, Sequence

import msgspec

from edge.bench.limits.record import Bandwidth, Kind, Limits, Rate
from edge.bench.record import BenchRow, BenchRun, FloorBy
from runtimes.spec import Cost, Precision

# bytes of a weight as the file has it: an engine may expand them, which takes longer
WEIGHT_BYTES: dict[Precision, int] = {"fp32": 4, "fp16": 2, "int8": 1}


def least_bytes(cost: Cost, precision: Precision) -> int:
    """Return the bytes that one run reads and writes at least: weights, image, outputs; no activations."""
    return cost.parameters * WEIGHT_BYTES[precision] + cost.io_bytes


def with_floors(run: BenchRun, limits: Limits | None) -> BenchRun:
    """Return the run with the floors of its rows, where `limits` of the machine that ran them say what it can do."""
    if limits is None:
        return run
    return msgspec.structs.replace(run, rows=tuple(_beside_floor(row, limits) for row in run.rows))


def _beside_floor(row: BenchRow, limits: Limits) -> BenchRow:
    if row.macs is None or row.least_bytes is None or row.accelerator != "cpu":
        return row
    kind: Kind = "int8" if row.precision == "int8" else row.arithmetic
    threads = min(row.threads, limits.machine.cores)
    rate = rate_of(limits.rates, kind, threads)
    speed = bandwidth_of(limits.bandwidths, row.least_bytes, threads)
    if rate is None:
        return row
    by_arithmetic = row.macs / rate * 1e3
    by_memory = row.least_bytes / speed * 1e3 if speed else 0.0
    ms = max(by_arithmetic, by_memory)
    by: FloorBy = "memory" if by_memory > by_arithmetic else "arithmetic"
    if not ms:  # a network without products
        return row
    return msgspec.structs.replace(row, floor_ms=ms, floor_ratio=row.typical_ms / ms, floor_by=by)


def rate_of(rates: Iterable[Rate], kind: Kind, threads: int) -> float | None:
    """Return multiply-accumulates a second that `threads` reach at most; None where `kind` was not measured."""
    found = [(each.threads, each.macs_per_s) for each in rates if each.kind == kind]
    return _with_threads(found, threads)


def bandwidth_of(bandwidths: Iterable[Bandwidth], count: int, threads: int) -> float | None:
    """Return bytes a second that `threads` read at most of a set of `count` bytes; None for fewer than measured.

    Of the largest measured set that is no larger: smaller sets are in faster caches, so that this is an upper bound.
    """
    found = list(bandwidths)
    sets = [each.set_bytes for each in found if each.set_bytes <= count]
    if not sets:
        return None
    alike = [each for each in found if each.set_bytes == max(sets)]
    return _with_threads([(each.threads, each.bytes_per_s) for each in alike], threads)


def _with_threads(measured: Sequence[tuple[int, float]], threads: int) -> float | None:
    """Return the most that `threads` cores reach, from figures of one and of all: an upper bound for others."""
    alone = max((value for count, value in measured if count == 1), default=None)
    if alone is None:
        return None
    whole = max((value for count, value in measured if count > 1), default=None)
    return min(alone * threads, max(alone, whole)) if whole else alone * threads
