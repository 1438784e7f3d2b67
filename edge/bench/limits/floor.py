"""The floor of a row or of a frame: the least time that this machine needs for its multiply-accumulates and bytes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from edge.bench.limits.record import Bandwidth, Kind, Limits, Rate
from edge.bench.record import BenchRow, BenchRun, FloorBy
from runtimes.base import Arithmetic, Effective
from runtimes.spec import Cost, Manifest, Precision

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
    kind = kind_of(row.precision, row.arithmetic)
    ms, by = floor_of(row.macs, row.least_bytes, kind, row.threads, limits)
    if not ms:  # a network without products
        return row
    return msgspec.structs.replace(row, floor_ms=ms, floor_ratio=row.typical_ms / ms, floor_by=by)


@dataclass(frozen=True, slots=True)
class Part:
    """A model of a pipeline and its options in effect; images: those that it ran on in each frame, as one batch."""

    manifest: Manifest
    used: Effective
    images: Sequence[int]


def frame_macs(parts: Sequence[Part]) -> int | None:
    """Return the multiply-accumulates of a mean frame; None where a model has no cost."""
    costs = [(part.manifest.cost, sum(part.images) / len(part.images)) for part in parts]
    known = [cost.macs * images for cost, images in costs if cost is not None]
    return round(sum(known)) if len(known) == len(parts) else None


def frame_floor(parts: Sequence[Part], limits: Limits | None) -> float | None:
    """Return the floor of a mean frame in milliseconds, one model after the other.

    None where the machine's limits or a model's cost are not known, or a model computes elsewhere or in an arithmetic
    that was not measured.
    """
    if limits is None:
        return None
    floors = [_part_floor(part, limits) for part in parts]
    known = [each for each in floors if each is not None]
    total = sum(known)
    return total if total and len(known) == len(parts) else None


def _part_floor(part: Part, limits: Limits) -> float | None:
    cost, used = part.manifest.cost, part.used
    if cost is None or used.accelerator != "cpu":
        return None
    kind = kind_of(part.manifest.precision, used.precision)
    if rate_of(limits.rates, kind, used.threads) is None:
        return None
    weights = least_bytes(cost, part.manifest.precision) - cost.io_bytes
    times = {
        images: floor_of(
            images * cost.macs, weights + images * cost.io_bytes, kind, used.threads, limits
        )[0]
        for images in set(part.images)
    }
    return sum(times[images] for images in part.images if images) / len(part.images)


def kind_of(precision: Precision, arithmetic: Arithmetic) -> Kind:
    """Return what an artifact's products are of."""
    return "int8" if precision == "int8" else arithmetic


def floor_of(
    macs: int, count: int, kind: Kind, threads: int, limits: Limits
) -> tuple[float, FloorBy]:
    """Return the least milliseconds for `macs` and for `count` bytes, and which takes longer; 0 where not measured."""
    threads = min(threads, limits.machine.cores)
    rate = rate_of(limits.rates, kind, threads)
    speed = bandwidth_of(limits.bandwidths, count, threads)
    if rate is None:
        return 0.0, ""
    by_arithmetic = macs / rate * 1e3
    by_memory = count / speed * 1e3 if speed else 0.0
    if by_memory > by_arithmetic:
        return by_memory, "memory"
    return by_arithmetic, "arithmetic"


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
