"""Benchmark of a whole pipeline: a frame's time stage by stage, then the rate of its streaming path."""

import gc
import itertools
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass

import msgspec

from devices.cpu_use import affinity, others_between, read_cpu_use, ticks_per_second
from devices.detect import detect_machine
from edge.bench.conditions import read_conditions
from edge.bench.figures import figures
from edge.bench.limits.floor import Part, frame_floor, frame_macs
from edge.bench.limits.record import Limits, load_limits
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


@dataclass(frozen=True, slots=True)
class Taken:
    """Frames of the sequential path, its CPU time over wall time, and the CPUs of `cpus` that others used meanwhile."""

    frames: list[FrameTimes]
    cpu_wall: float
    cpus: int
    others: float | None


def bench_pipelines(
    case: PipelineCase, plan: Plan, advance: Callable[[str], object] = quiet
) -> BenchRun:
    """Return the run of one pipeline, alone; see `bench_pipeline`."""
    limits = load_limits(detect_machine())  # first: a damaged file ends it before any work
    before = read_conditions()
    row = bench_pipeline(case, plan, advance, limits)
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
    case: PipelineCase,
    plan: Plan,
    advance: Callable[[str], object] = quiet,
    limits: Limits | None = None,
) -> PipelineRow:
    """Open the models and measure; `advance` is called three times. limits: of this machine, for the floor.

    Raises InputError for a live source, whose frames come at their own pace, SourceError for one without frames.
    """
    with open_source(case.source) as source:
        if source.live:
            raise InputError(
                f"{case.source} is live and gives frames at its own pace; record a clip and measure that"
            )
    cpus = affinity()  # before an engine binds threads to some
    start = time.perf_counter()
    detector = _open(case.detector) if case.detector else None
    with Pipeline(_open(case.pose), detector, skip=case.skip) as pipeline:
        load_ms = (time.perf_counter() - start) * 1e3
        warm = _take(pipeline, case.source, Plan(time_s=WARMUP_S, queries=plan.warmup_runs))
        advance("warm-up")
        begin = read_cpu_use()
        found = _take(pipeline, case.source, plan)
        end = read_cpu_use()
        taken = Taken(
            found,
            (end.own_ns - begin.own_ns) / (end.now_ns - begin.now_ns),
            len(cpus),
            others_between(begin, end, cpus, ticks_per_second()),
        )
        advance("frame by frame")
        fps = _rate(pipeline, case.source, plan)
        advance("streaming")
        row = _row(case, pipeline, taken, warmup_runs=len(warm), load_ms=load_ms, fps=fps)
        return _beside_floor(row, _parts(case, pipeline, found), limits)


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
    taken: Taken,
    *,
    warmup_runs: int,
    load_ms: float,
    fps: float,
) -> PipelineRow:
    used = pipeline.pose.session.effective
    found = taken.frames
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
        cpu_wall=taken.cpu_wall,
        others=taken.others,
        cpus=taken.cpus,
        valid=is_valid(taken.cpu_wall, used.accelerator, taken.others, taken.cpus),
        peak_rss_bytes=peak_rss_bytes(),
    )


def _parts(case: PipelineCase, pipeline: Pipeline, found: Sequence[FrameTimes]) -> list[Part]:
    """Return the models of the pipeline with the images of each frame that they ran on, as far as poses tell."""
    # a bottom-up model runs on the frame, others on each person
    frame = pipeline.pose.spec.is_bottom_up
    people = [1 if frame else each.people for each in found]
    parts = [Part(case.pose.artifact.manifest, pipeline.pose.session.effective, people)]
    if case.detector and pipeline.detector:
        calls = [int(each.detected) for each in found]
        used = pipeline.detector.session.effective
        parts.append(Part(case.detector.artifact.manifest, used, calls))
    return parts


def _beside_floor(row: PipelineRow, parts: Sequence[Part], limits: Limits | None) -> PipelineRow:
    """Return the row with its floor; people whose poses were dropped are not in it."""
    floor_ms = frame_floor(parts, limits)
    return msgspec.structs.replace(
        row,
        macs=frame_macs(parts),
        floor_ms=floor_ms,
        floor_ratio=row.mean_ms / floor_ms if floor_ms else None,
    )
