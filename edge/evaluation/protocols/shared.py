"""AP on the keypoints that two sets share, such as the 114 of Sapiens' 308 and COCO-WholeBody's 133 (its section 4.2).

Models of either set are scored on the same points of the same annotations, and so compare. Which keypoints are the
same is `edge.schema.shared_keypoints`'s; sigmas are those of the annotations' set.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.evaluation.average_precision import evaluate_keypoints
from edge.evaluation.coco import CocoResult, GroundTruth
from edge.evaluation.keypoint_names import with_keypoint_set
from edge.evaluation.summary import EvalResult
from edge.model import Model
from edge.schema import KeypointSchema, common_names, shared_keypoints
from runtimes.errors import InputError


@dataclass(frozen=True, slots=True)
class SharedSet:
    """Ground truth with the shared keypoints alone, in the order of the annotations, and their names and sigmas."""

    truth: GroundTruth
    schema: KeypointSchema


def shared_set(model: Model, truth: GroundTruth, other: KeypointSchema, path: str) -> SharedSet:
    """Return what is scored of annotations of some set: the keypoints that the model and `other` have of it.

    Raises InputError where there is none, where the annotations' set has no sigmas, and as `with_keypoint_set`.
    """
    whole, theirs = with_keypoint_set(truth, model.schema, path)
    known = (shared_keypoints(model.schema, theirs) >= 0) & (shared_keypoints(other, theirs) >= 0)
    if not known.any():
        raise InputError(
            f"{path}: {model.schema.name} and {other.name} share no keypoint of the annotations' {theirs.name}"
        )
    if not theirs.sigmas:
        raise InputError(f"{path}: keypoint set {theirs.name} has no published sigmas, so no AP")
    rows = np.flatnonzero(known)
    names, sigmas = common_names(theirs), theirs.sigmas
    schema = KeypointSchema(
        f"{theirs.name}-{len(rows)}",
        tuple(names[row] for row in rows),
        sigmas=tuple(sigmas[row] for row in rows),
    )
    people = tuple(
        msgspec.structs.replace(each, keypoints=_selected(each.keypoints, rows))
        for each in whole.annotations
    )
    return SharedSet(msgspec.structs.replace(whole, annotations=people), schema)


def evaluate_shared(model: Model, shared: SharedSet, results: Sequence[CocoResult]) -> EvalResult:
    """Return COCO's figures of results in the shared keypoints, as `predict` gives them for that set."""
    summary = evaluate_keypoints(shared.truth, results, shared.schema.sigmas)
    return EvalResult(artifact=model.name, **msgspec.structs.asdict(summary))


def _selected(keypoints: Sequence[float], rows: NDArray[np.intp]) -> tuple[float, ...]:
    if not any(keypoints[2::3]):
        return ()
    return tuple(value for row in rows.tolist() for value in keypoints[3 * row : 3 * row + 3])
