"""Result files: COCO results as other evaluators read them (pycocotools, xtcocotools, mmpose)."""

from collections.abc import Sequence
from typing import Any

import msgspec

from edge.evaluation.coco import CocoResult
from edge.evaluation.wholebody import part_fields


def encode_results(results: Sequence[CocoResult]) -> bytes:
    """Return a JSON list of results, one a line, without fields that are not set.

    Whole bodies of 133 keypoints are split into the fields of COCO-WholeBody: keypoints, foot_kpts, face_kpts,
    lefthand_kpts, righthand_kpts, as its evaluator wants them.
    """
    lines = [msgspec.json.encode(_record(each)) for each in results]
    return b"[\n" + b",\n".join(lines) + b"\n]\n"


def _record(result: CocoResult) -> dict[str, Any]:
    values: dict[str, Any] = msgspec.structs.asdict(result) | part_fields(result)
    return {name: value for name, value in values.items() if value not in (None, ())}
