"""Job and answer of the program that measures with numpy."""

from pathlib import Path

from edge.bench.limits.record import Speed
from runtimes.record import NotNegative, Record

PROGRAM = Path(__file__).with_name("worker.py")
# how its answer begins
FOUND = b'{"numpy": '
# of the libraries that numpy may be built with
BLAS_THREADS = (
    *("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"),
    "VECLIB_MAXIMUM_THREADS",
)


class Job(Record, frozen=True, kw_only=True):
    """Multiply matrices of `side` x `side`, then read each set of `set_bytes`; each for `seconds` by `threads`."""

    side: int
    set_bytes: tuple[int, ...]
    threads: int
    seconds: float

    @property
    def environment(self) -> dict[str, str]:
        """Variables that give numpy's BLAS the job's threads."""
        return dict.fromkeys(BLAS_THREADS, str(self.threads))


class Best(Record, frozen=True, kw_only=True):
    """The most units a second of any repetition; cpu_wall: CPU time / (wall time x threads) of all of them."""

    per_s: Speed
    cpu_wall: NotNegative


class Found(Record, frozen=True, kw_only=True):
    """numpy: its version; product: multiply-accumulates; reads: bytes, in the order of `Job.set_bytes`."""

    numpy: str
    product: Best
    reads: tuple[Best, ...]
