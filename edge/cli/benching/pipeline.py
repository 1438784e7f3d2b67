"""`edgepose bench --pipeline`: its options, and its measurement in this process."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from devices.tuned import tuned_options
from edge.bench.measure import Case, Plan
from edge.bench.record import BenchRun
from edge.bench.remote.target import refuse_target
from edge.bench.sustained import Sustained
from edge.cli.chosen import choose_models
from edge.cli.console import progress
from edge.cli.options import ARTIFACT, parse_skip, together
from edge.media.paths import exists
from runtimes.artifact import Artifact
from runtimes.base import RunOptions
from runtimes.errors import InputError

pipeline_options = together(
    click.option(
        "--pipeline",
        metavar="SOURCE",
        help="Measure a whole pipeline on a video, pictures or synth, in place of ARTIFACTS.",
    ),
    click.option("--detector", type=ARTIFACT, help="Its detector. Default: the whole frame."),
    click.option("--pose", type=ARTIFACT, help="Its pose model. Default: the last that `get` got."),
    click.option("--skip", help="As `run --skip`: detect on frames 0, N, 2N, ..., or auto."),
    section="Pipeline",
)


@dataclass(frozen=True, slots=True)
class PipelineChoice:
    """The pipeline to measure, None for artifacts alone."""

    pipeline: str | None
    detector: Path | None
    pose: Path | None
    skip: str | None

    def check(self, artifacts: Sequence[Path]) -> None:
        """Raise InputError for artifacts beside a pipeline, for neither, and for a pipeline's options without it."""
        if self.pipeline is None and (self.detector or self.pose or self.skip):
            raise InputError(
                "--detector, --pose and --skip are of a pipeline: add --pipeline SOURCE"
            )
        if self.pipeline is not None and not exists(self.pipeline):
            refuse_target(self.pipeline)
        if bool(artifacts) is (self.pipeline is not None):
            raise InputError(
                "name either ARTIFACTS, or --pipeline SOURCE with --detector and --pose"
            )


def with_tuned(case: Case) -> Case:
    """Return the case with the options tuned for its artifact here."""
    return Case(case.artifact, tuned_options(case.artifact, case.options))


def measure_pipeline(
    choice: PipelineChoice, options: RunOptions, plan: Plan | Sustained, *, tuned: bool
) -> BenchRun:
    """Measure a pipeline in this process."""
    from edge.bench.pipeline import PipelineCase, bench_pipelines

    if isinstance(plan, Sustained):
        raise InputError("--tier sustained measures artifacts; leave out --pipeline")
    skip = parse_skip(choice.skip or "1")
    pose_path, detector_path = choose_models(choice.pose, choice.detector)
    pose = Case(Artifact.open(pose_path), options)
    detector = Case(Artifact.open(detector_path), options) if detector_path else None
    if tuned:
        pose, detector = with_tuned(pose), with_tuned(detector) if detector else None
    case = PipelineCase(choice.pipeline or "", pose, detector, skip)
    with progress("loading", 3) as advance:
        return bench_pipelines(case, plan, advance)
