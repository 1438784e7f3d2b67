"""OKS NMS of results before they are scored, as in mmpose's CocoMetric."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from edge.evaluation.average_precision import Results
from edge.evaluation.coco import CocoResult, Id, as_results
from edge.nms.overlap import oks_matrix, oks_nms
from edge.types import F32
from runtimes.errors import InputError

Suppress = Callable[[F32, NDArray[np.float64], float], NDArray[np.intp]]

# mmpose takes the area of the padded box, 1.25 a side, as the person's.
_PADDING = 1.25


def drop_duplicates(
    results: Results,
    sigmas: Sequence[float],
    *,
    suppress: Suppress = oks_nms,
    threshold: float = 0.9,
) -> list[CocoResult]:
    """Return results without those that repeat a better one of the same image by OKS (mmpose's nms_thr).

    suppress: `oks_nms` or `soft_oks_nms` of edge.nms.overlap (mmpose's nms_mode). Raises InputError where a result has
    no box: OKS needs the person's size.
    """
    images: dict[Id, list[CocoResult]] = {}
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
