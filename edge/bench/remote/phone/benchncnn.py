"""ncnn's benchncnn: its arguments and its output (ncnn's benchmark/benchncnn.cpp and benchmark/README.md)."""

import re

from edge.bench.remote.phone.tool import F16, Ask, Printed, Tool
from runtimes.base import Arithmetic
from runtimes.errors import EngineError

# g_warmup_loop_count on the CPU
OWN_WARMUP = 8
ALL_CORES, BIG_CORES = 0, 2  # its powersave argument
NO_GPU, NO_COOLING = -1, 0
_TIMES = re.compile(r"(\S+)(?: +cpu)? +min = +(\d+\.\d+) +max = +\d+\.\d+ +avg = +(\d+\.\d+)")


def command(ask: Ask) -> list[str]:
    """Return the arguments: loops, threads, powersave, GPU, cooling down, then the model and its input's shape."""
    width, height = ask.wh
    powersave = ALL_CORES if ask.little else BIG_CORES
    numbers = (ask.runs, ask.threads, powersave, NO_GPU, NO_COOLING)
    return [*map(str, numbers), f"param={ask.model}", f"shape=[{width},{height},3]"]


def parse(text: str, ask: Ask) -> Printed:
    """Return the mean and the minimum; it prints no median, no percentile and no time of loading."""
    rows = {found[1]: found for found in _TIMES.finditer(text)}
    found = rows.get(ask.model)
    if not found:
        if rows or "squeezenet" in text:
            raise EngineError(
                "benchncnn ran its own list of networks: it is older than its param= argument; build a newer ncnn"
            )
        raise EngineError("benchncnn printed no times")
    if float(found[2]) <= 0:
        raise EngineError("benchncnn printed a time of 0.00 ms: the network is too small for it")
    threads = re.search(r"num_threads = (\d{1,4})\b", text)
    return Printed(
        runs=ask.runs,
        mean_ms=float(found[3]),
        min_ms=float(found[2]),
        warmup_runs=OWN_WARMUP,
        threads=int(threads[1]) if threads else None,
    )


def arithmetic(_asked: Arithmetic, isa: tuple[str, ...]) -> Arithmetic:
    """Return f16 where the CPU has it: benchncnn has no option for that."""
    return "f16" if F16 in isa else "f32"


BENCHNCNN = Tool(
    name="benchncnn",
    suffix=".param",
    note="zero weights, constant input: times alone, outputs not checked",
    command=command,
    parse=parse,
    arithmetic=arithmetic,
)
