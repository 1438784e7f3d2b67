"""Choice of the protocol that poses and boxes are scored by: the model's task and keypoints, and what was asked for."""

from collections.abc import Sequence
from typing import Protocol

from edge.evaluation.coco import CocoResult
from edge.evaluation.dataset import Dataset
from edge.evaluation.protocols.mpii import check_pckh_truth, evaluate_pckh, is_mpii
from edge.evaluation.protocols.shared import SharedSet, evaluate_shared
from edge.evaluation.score import evaluate, evaluate_categories, protocol_of
from edge.evaluation.summary import EvalResult, ProtocolResult
from edge.model import Model


class Score(Protocol):
    """Scores the results of a model on data sets: one, or one a category."""

    def __call__(
        self, model: Model, datasets: Sequence[Dataset], results: Sequence[CocoResult], /
    ) -> EvalResult | ProtocolResult:
        """Return the figures."""
        ...


def check_truth(model: Model, datasets: Sequence[Dataset]) -> None:
    """Raise InputError, before the work, for annotations that the model's results cannot be scored on."""
    for dataset in datasets:
        if is_mpii(model):
            check_pckh_truth(model, dataset.truth)
        else:
            protocol_of(model, dataset.truth)


def score_alone(
    model: Model, datasets: Sequence[Dataset], results: Sequence[CocoResult], /
) -> EvalResult | ProtocolResult:
    """Score on one data set: PCKh of MPII's keypoints, AP of any others and of boxes."""
    if is_mpii(model):
        return evaluate_pckh(model, datasets[0], results)
    return evaluate(model, datasets[0], results)


def score_categories(
    model: Model, datasets: Sequence[Dataset], results: Sequence[CocoResult], /
) -> EvalResult | ProtocolResult:
    """Score the mean over categories."""
    return evaluate_categories(model, datasets, results)


def score_on(shared: SharedSet) -> Score:
    """Return a scoring on shared keypoints."""
    return lambda model, _datasets, results: evaluate_shared(model, shared, results)
