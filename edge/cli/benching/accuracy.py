"""`edgepose bench --annotations`: its options, and the scores of rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.bench.measure import Case
from edge.bench.record import BenchRun
from edge.cli.console import progress
from edge.cli.options import PATH, together
from runtimes.errors import EdgeposeError, InputError

if TYPE_CHECKING:
    from edge.evaluation.dataset import Dataset

data_options = together(
    click.option(
        "--annotations",
        type=PATH,
        help="COCO.json: score each row as `eval` does, in the annotated boxes; AP is in the row.",
    ),
    click.option("--images", type=PATH, help="Directory of its images."),
    section="Accuracy",
)


@dataclass(frozen=True, slots=True)
class DataChoice:
    """The annotated set to score rows on, None for times alone."""

    annotations: Path | None
    images: Path | None

    def check(self, cases: Sequence[Case]) -> "Dataset | None":
        """Read the set; raises InputError, before anything is measured, for one that a case cannot be scored on."""
        from edge.bench.accuracy import check_accuracy
        from edge.evaluation.dataset import load_dataset

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


def score(
    run: BenchRun, cases: Sequence[Case], dataset: "Dataset"
) -> tuple[BenchRun, EdgeposeError | None]:
    """Return the run with the scores of its rows; where scoring failed the run as it is, and why."""
    from edge.bench.accuracy import accuracy_steps, with_accuracy

    try:
        with progress("scoring", accuracy_steps(cases, dataset)) as advance:
            return with_accuracy(run, cases, dataset, advance), None
    except EdgeposeError as error:  # the times are not lost
        return run, error
