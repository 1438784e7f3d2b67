"""TFLite's benchmark_model: its flags and its output, of tensorflow/lite/tools/benchmark (README.md and sources)."""

import re

from edge.bench.remote.phone.tool import F16, Ask, Printed, Tool
from runtimes.base import Arithmetic
from runtimes.errors import EngineError

# It ends after max_secs, whatever num_runs says: never, since the runs were chosen for a time.
NO_LIMIT_S = 1_000_000
_NUMBER = r"([\d.]+(?:e[+-]\d+)?)"
_STAT = re.compile(r"\bcount=(\d+)(.*)")
_SUMMARY = re.compile(rf"Inference timings in us: Init: {_NUMBER}, First inference: {_NUMBER}, ")
_PEAK = re.compile(rf"Overall peak memory footprint \(MB\) via periodic monitoring: {_NUMBER}")
_THREADS = re.compile(r"#threads used for CPU inference: \[(\d{1,4})\]|Num threads: \[(\d{1,4})\]")


def command(ask: Ask) -> list[str]:
    """Return the flags; XNNPACK computes, as in edgepose's own sessions."""
    return [
        f"--graph={ask.model}",
        f"--num_threads={ask.threads}",
        f"--num_runs={ask.runs}",
        "--min_secs=0",
        f"--max_secs={NO_LIMIT_S}",
        "--use_xnnpack=true",
        *(["--xnnpack_force_fp16=true"] if ask.half else []),
        *(["--report_peak_memory_footprint=true"] if ask.memory else []),
    ]


def parse(text: str, _ask: Ask) -> Printed:
    """Return the figures: the first line of statistics is the warm-up's, the last the timed runs'.

    Older tools print no median. Times of over a second have six digits.
    """
    stats = _STAT.findall(text)
    summary = _SUMMARY.search(text)
    if len(stats) < 2 or not summary:
        raise EngineError("benchmark_model printed no times")
    warm, timed = (_values(rest) for _, rest in (stats[0], stats[-1]))
    warm_runs, runs = int(stats[0][0]), int(stats[-1][0])
    # of equal runs, or one alone, it prints nothing but the last
    mean = timed.get("avg", timed.get("curr", 0.0))
    if runs < 1 or mean <= 0:
        raise EngineError("benchmark_model timed no run")
    peak, threads = _PEAK.search(text), _THREADS.search(text)
    median = timed.get("median")
    return Printed(
        runs=runs,
        mean_ms=mean / 1e3,
        min_ms=timed.get("min", mean) / 1e3,
        p50_ms=median / 1e3 if median else None,
        load_ms=float(summary[1]) / 1e3,
        first_ms=float(summary[2]) / 1e3,
        peak_bytes=int(float(peak[1]) * (1 << 20)) if peak else None,
        warmup_runs=warm_runs,
        warmup_ms=warm_runs * warm.get("avg", warm.get("curr", 0.0)) / 1e3,
        threads=int(threads[1] or threads[2]) if threads else None,
    )


def _values(rest: str) -> dict[str, float]:
    return {name: float(value) for name, value in re.findall(rf"(\w+)={_NUMBER}", rest)}


def arithmetic(asked: Arithmetic, isa: tuple[str, ...]) -> Arithmetic:
    """Return f16 where it was asked for and the CPU has it, else f32."""
    return "f16" if asked == "f16" and F16 in isa else "f32"


BENCHMARK_MODEL = Tool(
    name="benchmark_model",
    suffix=".tflite",
    note="random input: times alone, outputs not checked",
    command=command,
    parse=parse,
    arithmetic=arithmetic,
)
