"""Accuracy beside a row's times: artifacts scored on an annotated set, in the arithmetic that was measured."""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from edge.bench.measure import Case
from edge.bench.record import BenchRow, BenchRun
from edge.evaluation.coco import people_by_image
from edge.evaluation.dataset import Dataset
from edge.evaluation.predict import predict
from edge.evaluation.protocols.choose import check_truth, score_alone
from edge.evaluation.summary import EvalResult, ProtocolResult
from edge.model import Model
from runtimes.errors import InputError
from runtimes.registry import open_session


def check_accuracy(cases: Sequence[Case], dataset: Dataset) -> None:
    """Raise InputError, before anything is measured, for artifacts that cannot be scored on the set."""
    for case in _distinct(cases):
        manifest = case.artifact.manifest
        if manifest.is_dense or manifest.is_embedding:
            raise InputError(
                f"{case.artifact.name} gives neither poses nor boxes (task {manifest.task}); leave it out, or"
                " leave out --annotations"
            )
        with _open(case) as model:
            check_truth(model, [dataset])
        _check_people(dataset, with_keypoints=manifest.gives_keypoints)


def _check_people(dataset: Dataset, *, with_keypoints: bool) -> None:
    """Raise InputError where nobody is annotated, or nobody's keypoints: no figure is defined there."""
    there = [person for people in people_by_image(dataset.truth).values() for person in people]
    if not any(person.labelled or not with_keypoints for person in there):
        what = "person with labelled keypoints" if with_keypoints else "person"
        raise InputError(
            f"--annotations has no {what}, so AP is undefined; give a file that has, or leave it out"
        )


def accuracy_steps(cases: Sequence[Case], dataset: Dataset) -> int:
    """Return how many times `with_accuracy` calls `advance`."""
    return len(_distinct(cases)) * len(dataset.paths)


def with_accuracy(
    run: BenchRun, cases: Sequence[Case], dataset: Dataset, advance: Callable[[], object]
) -> BenchRun:
    """Return the run with what `edgepose eval` reports of each row: AP in the true boxes, or PCKh.

    Threads change no result, so that rows which differ in them share a figure. cases: of the run's rows, in their
    order. `advance` is called after each image.
    """
    found = {_key(case): _score(case, dataset, advance) for case in _distinct(cases)}
    pairs = zip(run.rows, cases, strict=True)
    rows = tuple(_scored(row, found[_key(case)]) for row, case in pairs)
    return msgspec.structs.replace(run, rows=rows)


def _score(
    case: Case, dataset: Dataset, advance: Callable[[], object]
) -> EvalResult | ProtocolResult:
    with _open(case) as model:
        return score_alone(model, [dataset], predict(model, dataset, advance=advance))


def _scored(row: BenchRow, result: EvalResult | ProtocolResult) -> BenchRow:
    if isinstance(result, EvalResult):
        return msgspec.structs.replace(row, ap=result.AP, ap_on=result.ap_on)
    return msgspec.structs.replace(row, scored=result)


def _distinct(cases: Sequence[Case]) -> list[Case]:
    return list({_key(case): case for case in cases}.values())


def _key(case: Case) -> tuple[Path, str]:
    # directories of the same name may lie in different folders
    return case.artifact.root, case.options.precision


def _open(case: Case) -> Model:
    artifact = case.artifact
    return Model(artifact.manifest, open_session(artifact, case.options), artifact.name)
