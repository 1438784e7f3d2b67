"""PCKh of MPII: the share of keypoints within half a head's size of their label (Andriluka et al., CVPR 2014).

A head's size is 0.6 of its box's diagonal. As in the evaluators of HRNet (lib/dataset/mpii.py) and mmpose
(MpiiPCKAccuracy), joints of one kind are the mean of left and right, and the mean over all keypoints weighs them by how
often they are labelled, without pelvis and thorax.
"""

from collections.abc import Sequence

import numpy as np

from edge.evaluation.coco import Annotation, CocoResult, GroundTruth, people_by_image
from edge.evaluation.dataset import Dataset
from edge.evaluation.keypoint_names import check_keypoint_order
from edge.evaluation.summary import ProtocolResult
from edge.model import Model
from edge.types import F64, Mask
from runtimes.errors import InputError, warn

MPII = "mpii16"  # the keypoint set
HEAD_SHARE = 0.6  # the annotated boxes are larger than heads (SC_BIAS in MPII's toolkit)
THRESHOLD = 0.5

# Rows of the 16 keypoints.
JOINTS: dict[str, tuple[int, ...]] = {
    "head": (9,),
    "shoulder": (12, 13),
    "elbow": (11, 14),
    "wrist": (10, 15),
    "hip": (2, 3),
    "knee": (1, 4),
    "ankle": (0, 5),
}
NOT_COUNTED = (6, 7)  # pelvis and thorax


def is_mpii(model: Model) -> bool:
    """Whether results are of MPII's 16 keypoints."""
    return model.spec.gives_keypoints and model.schema.name == MPII


def check_pckh_truth(model: Model, truth: GroundTruth) -> None:
    """Raise InputError for annotations of other keypoints than MPII's, and where nobody has a head box."""
    check_keypoint_order(truth, model.schema)
    _triplets([each.keypoints for each in scored_people(truth)])
    if all(each.head_wh is None for each in scored_people(truth)):
        raise InputError(
            "PCKh needs the head's box of each person: bbox_head (x, y, width, height) or headbox (x0, y0, x1, y1) "
            "in the annotations; examples/mpii_to_coco.py writes them from MPII's own files"
        )


def evaluate_pckh(model: Model, dataset: Dataset, results: Sequence[CocoResult]) -> ProtocolResult:
    """Return PCKh at .5 and .1 of the head's size, and at .5 for each kind of joint.

    results: one for each labelled person, in the order of `predict` in annotated boxes without pose NMS. People without
    a head box are left out, with a warning. Raises InputError where all are, and where results and people differ.
    """
    check_pckh_truth(model, dataset.truth)
    people = scored_people(dataset.truth)
    if len(people) != len(results):
        raise InputError(
            f"{len(results)} results for {len(people)} people: PCKh is of poses in the annotated boxes, one a person"
        )
    pairs = [
        (person, found)
        for person, found in zip(people, results, strict=True)
        if person.head_wh is not None
    ]
    if bare := len(people) - len(pairs):
        warn(f"{bare} of {len(people)} people have no head box and are left out of PCKh")
    truth = _triplets([person.keypoints for person, _ in pairs])
    found = _triplets([each.keypoints for _, each in pairs])
    heads = np.array([person.head_wh for person, _ in pairs], np.float64)
    figures = pckh_figures(found[..., :2], truth[..., :2], truth[..., 2] > 0, heads)
    return ProtocolResult(
        artifact=model.name,
        protocol="pckh",
        figures=figures,
        images=len(dataset.truth.images),
        people=len(pairs),
    )


def scored_people(truth: GroundTruth) -> list[Annotation]:
    """Return the labelled people, image by image, as `annotated_boxes` gives their boxes."""
    by_image = people_by_image(truth).values()
    return [person for there in by_image for person in there if person.labelled]


def pckh_figures(xy: F64, truth: F64, labelled: Mask, head_wh: F64) -> dict[str, float | None]:
    """Return the figures by name, 0 to 1, None where no such keypoint is labelled.

    xy, truth: (N, 16, 2) pixels; labelled (N, 16); head_wh (N, 2): width and height of the heads' boxes in pixels.
    """
    sizes = HEAD_SHARE * np.hypot(*head_wh.T)
    errors = np.linalg.norm(xy - truth, axis=2) / sizes[:, None]
    counted = np.ones(16, np.bool_)
    counted[list(NOT_COUNTED)] = False
    half, tenth = (_shares(errors <= limit, labelled) for limit in (THRESHOLD, 0.1))
    weights = np.where(counted, labelled.sum(axis=0), 0)
    joints = {name: _mean(half[list(rows)]) for name, rows in JOINTS.items()}
    return {"PCKh": _weighted(half, weights), "PCKh@0.1": _weighted(tenth, weights), **joints}


def _shares(near: Mask, labelled: Mask) -> F64:
    """Return each keypoint's share that is near, (16,), NaN where none is labelled."""
    with np.errstate(invalid="ignore"):
        shares: F64 = (near & labelled).sum(axis=0) / labelled.sum(axis=0)
    return shares


def _mean(shares: F64) -> float | None:
    return float(shares.mean()) if np.isfinite(shares).all() else None


def _weighted(shares: F64, weights: F64) -> float | None:
    known = weights > 0
    if not known.any():
        return None
    return float((shares[known] * weights[known]).sum() / weights[known].sum())


def _triplets(keypoints: Sequence[Sequence[float]]) -> F64:
    """Return keypoints float64 (N, 16, 3); raises InputError for people with another number."""
    if other := next((len(each) for each in keypoints if len(each) != 48), None):
        raise InputError(f"a person has {other / 3:g} keypoints, MPII's have 16")
    return np.array(keypoints, np.float64).reshape(-1, 16, 3)
