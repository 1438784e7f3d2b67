"""Timing for shared machines: CPU time of single-threaded steps, medians of interleaved rounds."""

import statistics
import time
from collections.abc import Callable, Mapping


def interleaved_cpu_us(
    steps: Mapping[str, Callable[[], object]], rounds: int, calls: int
) -> dict[str, float]:
    """Return each step's median CPU time a call in microseconds, the steps taking turns."""
    samples: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()
    for _ in range(rounds):
        for name, step in steps.items():
            start = time.process_time_ns()
            for _ in range(calls):
                step()
            samples[name].append((time.process_time_ns() - start) / calls / 1e3)
    return {name: statistics.median(values) for name, values in samples.items()}
