"""Benchmark of a whole pipeline: a frame's time stage by stage, then the rate of its streaming path."""

import gc
import itertools
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass

import msgspec

from edge.bench.conditions import read_conditions
from edge.bench.figures import figures
from edge.bench.measure import WARMUP_S, Case, Plan, quiet
from edge.bench.pipeline_row import STAGES, PipelineRow, stage_row
from edge.bench.record import BenchRun, is_valid
from edge.bench.rows import make_run
from edge.bench.worker import peak_rss_bytes
from edge.media.sources import open_source
from edge.model import Model
from edge.pipeline import Pipeline, Result, Skip
from edge.pipeline.pipeline import Stages
from runtimes.errors import InputError
from runtimes.registry import open_session


@dataclass(frozen=True, slots=True)
class PipelineCase:
    """A pipeline to measure: its source, models and options."""

    source: str
    pose: Case
    detector: Case | None
    skip: Skip


@dataclass(frozen=True, slots=True)
class FrameTimes:
    """Milliseconds of one frame in each of STAGES, whether the detector ran, and the people found."""

    ms: tuple[float, ...]
    detected: bool
    people: int


def bench_pipelines(
    case: PipelineCase, plan: Plan, advance: Callable[[str], object] = quiet
) -> BenchRun:
    """Return the run of one pipeline, alone; see `bench_pipeline`."""
    before = read_conditions()
    row = bench_pipeline(case, plan, advance)
    run = make_run(
        [each.artifact for each in (case.detector, case.pose) if each],
        pipelines=[row],
        rounds=1,
        time_s=plan.time_s,
        warmup_runs=plan.warmup_runs,
        before=before,
    )
    return msgspec.structs.replace(
        run, tier=plan.name, queries=plan.queries, iterations=plan.exact_runs
    )


def bench_pipeline(
    case: PipelineCase, plan: Plan, advance: Callable[[str], object] = quiet
) -> PipelineRow:
    """Open the models and measure; `advance` is called three times.

    Raises InputError for a live source, whose frames come at their own pace, SourceError for one without frames.
    """
    with open_source(case.source) as source:
        if source.live:
            raise InputError(
                f"{case.source} is live and gives frames at its own pace; record a clip and measure that"
            )
    start = time.perf_counter()
    detector = _open(case.detector) if case.detector else None
    with Pipeline(_open(case.pose), detector, skip=case.skip) as pipeline:
        load_ms = (time.perf_counter() - start) * 1e3
        warm = _take(pipeline, case.source, Plan(time_s=WARMUP_S, queries=plan.warmup_runs))
        advance("warm-up")
        cpu_begin, begin = time.process_time(), time.perf_counter()
        found = _take(pipeline, case.source, plan)
        cpu_wall = (time.process_time() - cpu_begin) / (time.perf_counter() - begin)
        advance("frame by frame")
        fps = _rate(pipeline, case.source, plan)
        advance("streaming")
        return _row(
            case,
            pipeline,
            found,
            warmup_runs=len(warm),
            load_ms=load_ms,
            cpu_wall=cpu_wall,
            fps=fps,
        )


def _open(case: Case) -> Model:
    artifact = case.artifact
    return Model(artifact.manifest, open_session(artifact, case.options), artifact.name)


def _passes(pipeline: Pipeline, source: str, stages: Stages) -> Generator[tuple[int, Result]]:
    """Yield the number of the pass and each result, over the source again and again."""
    for number in itertools.count():
        for result in pipeline.stream(source, stages=stages):
            yield number, result


def _more(plan: Plan, frames: int, begin: float) -> bool:
    """Return whether a plan wants more frames."""
    if plan.exact_runs is not None:
        return frames < plan.exact_runs
    spent = time.perf_counter() - begin
    wanted = spent < plan.time_s or frames < (plan.queries or 1)
    return wanted and (plan.most_s is None or spent < plan.most_s or not frames)


def _take(pipeline: Pipeline, source: str, plan: Plan) -> list[FrameTimes]:
    """Return the frames of the sequential path."""
    found: list[FrameTimes] = []
    begin = time.perf_counter()
    gc.disable()
    try:
        with closing(_passes(pipeline, source, "sequential")) as results:
            for _, result in results:
                found.append(_times(result))
                if not _more(plan, len(found), begin):
                    break
    finally:
        gc.enable()
    return found


def _times(result: Result) -> FrameTimes:
    each = result.timings
    ms = (each.load_ms, each.detect_ms, each.transform_ms, each.pose_ms, each.post_ms)
    return FrameTimes(ms, result.detected, len(result.poses))


def _rate(pipeline: Pipeline, source: str, plan: Plan) -> float:
    """Return frames a second of the streaming path, between the first and the last frame of each pass."""
    frames, taken, seconds = 0, 0, 0.0
    begin = time.perf_counter()
    last_pass, before = -1, begin
    with closing(_passes(pipeline, source, "threads")) as results:
        for number, _ in results:
            now = time.perf_counter()
            if number == last_pass:
                frames, seconds = frames + 1, seconds + now - before
            last_pass, before, taken = number, now, taken + 1
            if not _more(plan, taken, begin):
                break
    # of pictures one by one there is no frame after the first
    return frames / seconds if seconds else taken / (time.perf_counter() - begin)


def _row(
    case: PipelineCase,
    pipeline: Pipeline,
    found: Sequence[FrameTimes],
    *,
    warmup_runs: int,
    load_ms: float,
    cpu_wall: float,
    fps: float,
) -> PipelineRow:
    used = pipeline.pose.session.effective
    return PipelineRow(
        source=case.source,
        pose=case.pose.artifact.name,
        detector=case.detector.artifact.name if case.detector else "",
        skip=str(case.skip),
        threads=used.threads,
        arithmetic=used.precision,
        accelerator=used.accelerator,
        runs=len(found),
        detector_calls=sum(each.detected for each in found),
        people=sum(each.people for each in found) / len(found),
        most_people=max(each.people for each in found),
        **msgspec.structs.asdict(figures([round(sum(each.ms) * 1e6) for each in found])),
        stages=tuple(
            stage_row(
                stage,
                [each.ms[at] for each in found],
                [each.ms[at] for each in found if each.detected or stage != "detect"],
            )
            for at, stage in enumerate(STAGES)
        ),
        fps=fps,
        load_ms=load_ms,
        warmup_runs=warmup_runs,
        cpu_wall=cpu_wall,
        valid=is_valid(cpu_wall, used.accelerator),
        peak_rss_bytes=peak_rss_bytes(),
    )
