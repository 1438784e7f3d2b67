"""What happens to results before they are scored: one score a person, and poses found twice dropped.

Follows mmpose's CocoMetric (score_mode, nms_mode, nms_thr), so published figures can be compared.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.evaluation.average_precision import Results
from edge.evaluation.coco import CocoResult, as_results
from edge.nms.overlap import oks_matrix, oks_nms
from edge.types import CONFIDENT, F32
from runtimes.errors import InputError

ScoreMode = Literal["bbox", "bbox_keypoint", "bbox_rle"]
Scores = NDArray[np.float64]
Suppress = Callable[[F32, Scores, float], NDArray[np.intp]]

# mmpose measures people by the padded box the network saw: 1.25 a side.
_PADDING = 1.25


def _bbox(box_score: float, _: Scores) -> float:
    return box_score


def _bbox_keypoint(box_score: float, scores: Scores) -> float:
    good = scores[scores > CONFIDENT]
    return box_score * float(good.mean()) if good.size else 0.0


def _bbox_rle(box_score: float, scores: Scores) -> float:
    return box_score + float(scores.mean()) + float(scores.max())


_SCORES: dict[ScoreMode, Callable[[float, Scores], float]] = {
    "bbox": _bbox,
    "bbox_keypoint": _bbox_keypoint,
    "bbox_rle": _bbox_rle,
}


def rescore(results: Results, mode: ScoreMode) -> list[CocoResult]:
    """Return results whose box score became a person's score.

    bbox: unchanged; bbox_keypoint: times the mean of keypoint scores above 0.2 (mmpose's default);
    bbox_rle: plus the mean and the best keypoint score.
    """
    score = _SCORES[mode]
    return [
        msgspec.structs.replace(each, score=score(each.score, np.array(each.keypoints[2::3])))
        for each in as_results(results)
    ]


def drop_duplicates(
    results: Results,
    sigmas: Sequence[float],
    *,
    suppress: Suppress = oks_nms,
    threshold: float = 0.9,
) -> list[CocoResult]:
    """Return results without those that repeat a better one of the same image by OKS.

    suppress: `oks_nms` or `soft_oks_nms` of edge.nms.overlap. Raises InputError where a result has no box to tell its
    size by.
    """
    images: dict[int, list[CocoResult]] = {}
    for each in as_results(results):
        images.setdefault(each.image_id, []).append(each)
    kept = []
    for found in images.values():
        boxes = [each.bbox for each in found]
        if None in boxes:
            raise InputError(
                f"a result of image {found[0].image_id} has no bbox; OKS needs its size"
            )
        sizes = np.array(boxes, np.float64)[:, 2:]
        xyz = np.array([each.keypoints for each in found]).reshape(len(found), -1, 3)
        oks = oks_matrix(xyz[..., :2], None, (sizes * _PADDING).prod(axis=1), np.asarray(sigmas))
        scores = np.array([each.score for each in found])
        kept += [found[index] for index in suppress(oks, scores, threshold)]
    return kept
