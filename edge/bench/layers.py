"""Layer times beside a row: which layers of an artifact take how long, where its engine tells."""

import importlib
from collections.abc import Callable, Sequence
from typing import Protocol, cast

import msgspec

from edge.bench.measure import Case
from edge.bench.record import BenchRun
from edge.parity.reference import load_reference
from runtimes.artifact import REFERENCE, Artifact
from runtimes.base import Array, RunOptions
from runtimes.errors import InputError
from runtimes.layer_times.layer_time import LayerTime
from runtimes.spec import Runtime

RUNS = 20
TIMERS: dict[Runtime, str] = {
    "openvino": "runtimes.layer_times.openvino_times",
    "onnxruntime": "runtimes.layer_times.onnxruntime_times",
}


class Timer(Protocol):
    """The interface of every module of TIMERS."""

    def layer_times(
        self, artifact: Artifact, options: RunOptions, images: Array, runs: int
    ) -> tuple[LayerTime, ...]:
        """Return the layers in the order in which they run."""
        ...


def check_layers(cases: Sequence[Case]) -> None:
    """Raise InputError where no case has an engine that tells layer times on the CPU."""
    if any(map(tells_layers, cases)):
        return
    able = [case for case in cases if case.artifact.manifest.runtime in TIMERS]
    if able:
        reasons = "; ".join(dict.fromkeys(map(why_silent, able)))
        raise InputError(f"{reasons}: leave out --layers, or that option")
    raise InputError(
        f"none of these engines tells the time of layers through Python; {', '.join(TIMERS)} do, on the CPU: "
        "leave out --layers"
    )


def tells_layers(case: Case) -> bool:
    """Return whether the engine of a case tells layer times."""
    return not why_silent(case)


def why_silent(case: Case) -> str:
    """Return why there are no layer times of a case; "" where its engine tells them."""
    runtime, accelerator = case.artifact.manifest.runtime, case.options.accelerator
    if runtime not in TIMERS:
        return f"{runtime} tells no time of layers through Python"
    if accelerator != "cpu":
        return f"{runtime} tells the time of layers on the CPU alone, not with --accelerator {accelerator}"
    if case.options.extra:
        names = ", ".join(case.options.extra)
        return f"{runtime} tells the time of layers with its defaults, not with --engine-option {names}"
    return ""


def with_layers(
    run: BenchRun, cases: Sequence[Case], advance: Callable[[], object] = lambda: None
) -> BenchRun:
    """Return the run with layer times in its rows, measured in this process, apart from the rows' own times.

    cases: of the run's rows, in their order. `advance` is called after each. Raises as the
    modules of TIMERS.
    """
    rows = list(run.rows)
    for at, (row, case) in enumerate(zip(run.rows, cases, strict=True)):
        if tells_layers(case):
            rows[at] = msgspec.structs.replace(row, layers=_times(case))
        advance()
    return msgspec.structs.replace(run, rows=tuple(rows))


def _times(case: Case) -> tuple[LayerTime, ...]:
    artifact = case.artifact
    timer = cast("Timer", importlib.import_module(TIMERS[artifact.manifest.runtime]))
    images = load_reference(artifact.root / REFERENCE).images
    return timer.layer_times(artifact, case.options, images, RUNS)
