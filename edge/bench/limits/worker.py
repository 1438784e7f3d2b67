"""Process that measures with numpy: products of matrices, and reading of memory; one JSON message on stdout.

Started as `python -m edge.bench.limits.worker JOB`, with the threads of numpy's BLAS in the environment, which a BLAS
reads when it loads.
"""

import sys
import threading
import time
from collections.abc import Callable

import msgspec
import numpy as np
from numpy.typing import NDArray

from runtimes.record import NotNegative, Record

WINDOW_S = 0.02  # reads of a set are timed together over at least so long
FLOAT_BYTES = 4
SHORTEST_S = 1e-9  # of a clock's step


class Job(Record, frozen=True, kw_only=True):
    """Multiply matrices of `side` x `side`, then read each set of `set_bytes`; each for `seconds` by `threads`."""

    side: int
    set_bytes: tuple[int, ...]
    threads: int
    seconds: float


class Best(Record, frozen=True, kw_only=True):
    """The most units a second of any repetition; cpu_wall: CPU time / (wall time x threads) of all of them."""

    per_s: float
    cpu_wall: NotNegative


class Found(Record, frozen=True, kw_only=True):
    """product: multiply-accumulates; reads: bytes, in the order of `Job.set_bytes`."""

    product: Best
    reads: tuple[Best, ...]


def main() -> None:
    """Do the job of the first argument."""
    job = msgspec.json.decode(sys.argv[1], type=Job)
    found = Found(
        product=multiply(job.side, job.threads, job.seconds),
        reads=tuple(read(each, job.threads, job.seconds) for each in job.set_bytes),
    )
    sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")


def multiply(side: int, threads: int, seconds: float) -> Best:
    """Return the rate of float32 products of square matrices; `threads` are those that the BLAS has."""
    rng = np.random.default_rng(0)
    a, b = (rng.random((side, side), np.float32) for _ in range(2))
    out = np.empty_like(a)
    return _best(lambda: np.matmul(a, b, out=out), side**3, threads, seconds)


def read(count: int, threads: int, seconds: float) -> Best:
    """Return the rate at which `threads` read `count` bytes of their own again and again, by sums of squares."""
    shares = [np.ones(max(1, count // FLOAT_BYTES // threads), np.float32) for _ in range(threads)]
    once = _timed(lambda: _sum_squares(shares[0], 1))
    turns = max(1, round(WINDOW_S / once))
    total = turns * FLOAT_BYTES * sum(map(len, shares))
    return _best(lambda: _at_once(shares, turns), total, threads, seconds)


def _at_once(shares: list[NDArray[np.float32]], turns: int) -> None:
    """Read all shares, each in a thread of its own."""
    helpers = [
        threading.Thread(target=_sum_squares, args=(share, turns), daemon=True)
        for share in shares[1:]
    ]
    for helper in helpers:
        helper.start()
    _sum_squares(shares[0], turns)
    for helper in helpers:
        helper.join()


def _sum_squares(share: NDArray[np.float32], turns: int) -> None:
    for _ in range(turns):
        np.dot(share, share)  # without the interpreter's lock


def _timed(work: Callable[[], object]) -> float:
    work()
    start = time.perf_counter()
    work()
    return max(time.perf_counter() - start, SHORTEST_S)


def _best(work: Callable[[], object], units: int, threads: int, seconds: float) -> Best:
    """Repeat `work` for `seconds`, after once for the caches; of each repetition that many units."""
    work()
    fastest = float("inf")
    cpu, begin = time.process_time(), time.perf_counter()
    now = begin
    while now < begin + seconds or now == begin:
        start = now
        work()
        now = time.perf_counter()
        fastest = min(fastest, max(now - start, SHORTEST_S))
    cpu_wall = (time.process_time() - cpu) / (max(now - begin, SHORTEST_S) * threads)
    return Best(per_s=units / fastest, cpu_wall=cpu_wall)


if __name__ == "__main__":
    main()
