"""Tracking figures by TrackEval (MIT; `pip install trackeval`): HOTA, IDF1, identity switches, recall."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from trackeval.metrics import CLEAR, HOTA, Identity

from edge.nms.overlap import pairwise_iou
from edge.types import F32

MATCH_IOU = 0.5


@dataclass(frozen=True, slots=True)
class Moment:
    """One frame: ids and boxes float32 (N, 4) xyxy of the true people and of the found ones.

    visit_ids: of the true people, another one each time they come back. ignored: boxes of true people too hidden to
    count; who is found there is neither right nor wrong.
    """

    truth_ids: tuple[int, ...]
    visit_ids: tuple[int, ...]
    truth_boxes: F32
    ignored: F32
    found_ids: tuple[int, ...]
    found_boxes: F32


def tracking_figures(sequences: Sequence[Sequence[Moment]]) -> dict[str, float]:
    """Return HOTA, IDF1, recall and precision from 0 to 1 and the number of identity switches of all sequences.

    A person who comes back is another one, but for IDF1_returning.
    """
    returning = Identity({"PRINT_CONFIG": False})
    whole = {
        str(number): returning.eval_sequence(_data(each, [moment.truth_ids for moment in each]))
        for number, each in enumerate(sequences)
    }
    metrics = (HOTA(), CLEAR({"PRINT_CONFIG": False}), Identity({"PRINT_CONFIG": False}))
    data = [_data(each, [moment.visit_ids for moment in each]) for each in sequences]
    hota, clear, identity = (
        metric.combine_sequences(
            {str(number): metric.eval_sequence(each) for number, each in enumerate(data)}
        )
        for metric in metrics
    )
    return {
        "HOTA": float(np.mean(hota["HOTA"])),
        "IDF1": float(identity["IDF1"]),
        "IDF1_returning": float(returning.combine_sequences(whole)["IDF1"]),
        "id_switches": int(clear["IDSW"]),
        "recall": float(clear["CLR_Re"]),
        "precision": float(clear["CLR_Pr"]),
    }


def _data(sequence: Sequence[Moment], truth_ids: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Return a sequence as TrackEval's metrics take it: ids counted from 0 without gaps, IoU of every pair."""
    truth: dict[int, int] = {}
    found: dict[int, int] = {}
    rows: dict[str, list[Any]] = {"gt_ids": [], "tracker_ids": [], "similarity_scores": []}
    for moment, ids in zip(sequence, truth_ids, strict=True):
        kept = _counted(moment)
        rows["gt_ids"].append(_numbers(ids, truth))
        own = [each for each, keep in zip(moment.found_ids, kept, strict=True) if keep]
        rows["tracker_ids"].append(_numbers(own, found))
        rows["similarity_scores"].append(pairwise_iou(moment.truth_boxes, moment.found_boxes[kept]))
    return {
        **rows,
        "num_timesteps": len(sequence),
        "num_gt_ids": len(truth),
        "num_tracker_ids": len(found),
        "num_gt_dets": sum(map(len, rows["gt_ids"])),
        "num_tracker_dets": sum(map(len, rows["tracker_ids"])),
    }


def _counted(moment: Moment) -> np.ndarray:
    """Return which found people are not those of an ignored box, bool (N,)."""
    if not len(moment.ignored) or not len(moment.found_boxes):
        return np.ones(len(moment.found_boxes), bool)
    best = pairwise_iou(moment.ignored, moment.found_boxes).max(axis=0)
    if len(moment.truth_boxes):
        best[pairwise_iou(moment.truth_boxes, moment.found_boxes).max(axis=0) >= MATCH_IOU] = 0
    counted: np.ndarray = best < 0.1  # an ignored person shows a sliver, the pose a whole body
    return counted


def _numbers(ids: Sequence[int], known: dict[int, int]) -> np.ndarray:
    return np.array([known.setdefault(each, len(known)) for each in ids], int)
