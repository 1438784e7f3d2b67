"""Additions of `edgepose bench` to timed rows: scores on an annotated set (--annotations), layers (--layers)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.bench.measure import Case
from edge.bench.record import BenchRun
from edge.cli.console import progress, say
from edge.cli.options import PATH, together
from runtimes.errors import EdgeposeError, InputError

if TYPE_CHECKING:
    from edge.evaluation.dataset import Dataset

extra_options = together(
    click.option(
        "--annotations",
        type=PATH,
        help="COCO.json: score each row as `eval` does, in the annotated boxes; AP is in the row.",
    ),
    click.option("--images", type=PATH, help="Directory of its images."),
    click.option(
        "--layers",
        is_flag=True,
        help="Time each layer as well (OpenVINO, ONNX Runtime); the slowest are printed, all are in RUN.json.",
    ),
    section="Beside the times",
)


@dataclass(frozen=True, slots=True)
class Extras:
    """The annotated set to score rows on, None for none; whether layers are timed."""

    annotations: Path | None
    images: Path | None
    layers: bool

    def refuse_elsewhere(self, remote: str | None, pipeline: str | None) -> None:
        """Raise InputError for what is added to rows of artifacts on this machine alone."""
        asked = [
            name
            for name, value in (("--annotations", self.annotations), ("--layers", self.layers))
            if value
        ]
        if asked and (remote or pipeline):
            raise InputError(
                f"{' and '.join(asked)}: of ARTIFACTS on this machine; leave it out with --remote and --pipeline"
            )

    def check(self, cases: Sequence[Case]) -> "Dataset | None":
        """Read the set; raises InputError, before anything is measured, for what the cases cannot give."""
        from edge.bench.accuracy import check_accuracy
        from edge.bench.layers import check_layers
        from edge.evaluation.dataset import load_dataset

        if self.layers:
            check_layers(cases)
        if self.annotations is None:
            if self.images:
                raise InputError("--images DIR goes with --annotations COCO.json")
            return None
        if self.annotations.is_dir():
            raise InputError(
                f"{self.annotations} is a directory: bench scores poses and boxes on a COCO.json; "
                "score maps with `edgepose eval`"
            )
        dataset = load_dataset(self.annotations, self.images)
        check_accuracy(cases, dataset)
        return dataset

    def add(
        self, run: BenchRun, cases: Sequence[Case], dataset: "Dataset | None"
    ) -> tuple[BenchRun, EdgeposeError | None]:
        """Return the run with what was asked for; where that failed, what there is of it, and why."""
        from edge.bench.accuracy import accuracy_steps, with_accuracy
        from edge.bench.layers import why_silent, with_layers

        try:
            if self.layers:
                with progress("timing layers", len(cases)) as advance:
                    run = with_layers(run, cases, advance)
                silent = ((case.artifact.name, why_silent(case)) for case in cases)
                for name, reason in dict.fromkeys(each for each in silent if each[1]):
                    say(f"{name}: {reason}")
            if dataset is not None:
                with progress("scoring", accuracy_steps(cases, dataset)) as advance:
                    run = with_accuracy(run, cases, dataset, advance)
        except EdgeposeError as error:  # the times are not lost
            return run, error
        return run, None
