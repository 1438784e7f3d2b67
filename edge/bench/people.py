"""Several people of a frame, as one batch against parallel requests: measured in turn, compared as a ratio by round."""

import statistics
from collections.abc import Sequence
from dataclasses import replace

from devices.tuned import TunedPeople
from edge.bench.figures import figures
from edge.bench.measure import WARMUP_S, Plan
from edge.bench.process import Worker
from runtimes.artifact import Artifact
from runtimes.base import RunOptions
from runtimes.spec import Manifest

PEOPLE = 4
# The requests must be so much faster: they hold the weights once more each.
GAIN = 0.05


def takes_people(manifest: Manifest) -> bool:
    """Return whether a model runs on the people of a frame, and not on the frame."""
    return not (manifest.is_detector or manifest.is_dense or manifest.is_bottom_up)


def most_requests(threads: Sequence[int]) -> int:
    """Return the requests to measure: one a thread, for the most of the thread counts to try; at most PEOPLE."""
    return min(PEOPLE, max(threads))


def tune_people(
    artifact: Artifact, options: RunOptions, requests: int, plan: Plan
) -> TunedPeople | None:
    """Measure PEOPLE images a call, as one batch and as `requests` at a time; None where there is no choice.

    options: those chosen for one image. Raises as `Worker`.
    """
    if requests < 2 or options.accelerator != "cpu" or not takes_people(artifact.manifest):
        return None
    with (
        Worker(artifact, replace(options, requests=1), PEOPLE) as batch,
        Worker(artifact, replace(options, requests=requests), PEOPLE) as parallel,
    ):
        for worker in (batch, parallel):
            worker.burst(WARMUP_S, plan.warmup_runs)
        p50_ms: dict[Worker, list[float]] = {batch: [], parallel: []}
        for turn in range(plan.rounds):
            for worker in (batch, parallel) if turn % 2 == 0 else (parallel, batch):
                burst = worker.burst(plan.time_s / plan.rounds, 1)
                p50_ms[worker].append(figures(burst.wall_ns).p50_ms)
    return choose_requests(p50_ms[batch], p50_ms[parallel], requests)


def choose_requests(
    batch_ms: Sequence[float], requests_ms: Sequence[float], requests: int
) -> TunedPeople:
    """Return the faster of both, by the median over rounds of the ratio; times in the order of rounds.

    A round has both within a second, so that other work on the machine weighs on both.
    """
    ratio = statistics.median(
        other / whole for other, whole in zip(requests_ms, batch_ms, strict=True)
    )
    return TunedPeople(
        requests=requests if ratio < 1 - GAIN else 1,
        people=PEOPLE,
        tried=requests,
        batch_ms=statistics.median(batch_ms),
        requests_ms=statistics.median(requests_ms),
        ratio=ratio,
    )
