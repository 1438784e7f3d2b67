"""Pseudo-labels: found poses as a COCO data set, which training, quantization and evaluation read."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.geometry import Size
from edge.schema import KeypointSchema
from edge.types import Poses
from runtimes.spec import Lineage
from runtimes.version import __version__

PERSON = 1  # the category's id
VISIBLE = 2
AREA_OF_BOX = 0.53  # a person's segment in its box, on average over COCO


@dataclass(frozen=True, slots=True)
class LabelRule:
    """Limits of what becomes a label.

    min_score: of a person, the mean of all keypoint scores; people below are left out. min_keypoint_score: keypoints
    below are unlabelled (v 0); their position and score stay in the file.
    """

    min_score: float = 0.5
    min_keypoint_score: float = 0.3


@dataclass(frozen=True, slots=True)
class LabelSource:
    """A model that labels were made with: its name, and the terms that bind what is made with it."""

    role: str
    model: str
    lineage: Lineage


def sure_people(poses: Poses, rule: LabelRule) -> Poses:
    """Return the people whose labels are kept."""
    return poses[poses.scores.mean(axis=1) >= rule.min_score] if len(poses) else poses


def label_records(
    poses: Poses, image_id: int, first_id: int, rule: LabelRule, wh: Size
) -> list[dict[str, Any]]:
    """Return COCO annotations of the people in one image of size `wh`, numbered from `first_id`.

    Boxes are clipped to the image, and keypoints outside it unlabelled. Beside COCO's fields: score, the mean of all
    keypoint scores, and keypoint_scores, one a keypoint.
    """
    within = np.all((poses.xy >= 0) & (poses.xy <= np.array(wh) - 1), axis=2)
    labelled = (poses.scores >= rule.min_keypoint_score) & within
    triplets = np.concatenate([poses.xy, np.where(labelled, VISIBLE, 0)[..., None]], axis=2)
    boxes = poses.boxes.clip(0, np.tile(np.array(wh, np.float32), 2))
    sizes = boxes[:, 2:] - boxes[:, :2]
    return [
        {
            "id": first_id + place,
            "image_id": image_id,
            "category_id": PERSON,
            "iscrowd": 0,
            "bbox": _rounded([*boxes[place, :2], *sizes[place]], 2),
            "area": round(float(sizes[place].prod()) * AREA_OF_BOX, 2),
            "keypoints": _rounded(triplets[place].ravel(), 2),
            "num_keypoints": int(labelled[place].sum()),
            "score": round(float(poses.scores[place].mean()), 4),
            "keypoint_scores": _rounded(poses.scores[place], 4),
        }
        for place in range(len(poses))
    ]


def image_record(image_id: int, name: str, wh: Size, licences: Sequence[str]) -> dict[str, Any]:
    """Return a COCO image; its licence is the first of those given."""
    record = {"id": image_id, "file_name": name, "width": wh[0], "height": wh[1]}
    return record | ({"license": 1} if licences else {})


def pseudo_label_file(
    images: Sequence[dict[str, Any]],
    annotations: Sequence[dict[str, Any]],
    schema: KeypointSchema,
    sources: Sequence[LabelSource],
    licences: Sequence[str],
) -> dict[str, Any]:
    """Return the content of a COCO file; licences: of the pictures. `info.models` has the models and their terms."""
    return {
        "info": {
            "description": f"pseudo-labels by {' and '.join(each.model for each in sources)}",
            "contributor": f"edgepose {__version__}",
            "models": [
                {
                    "role": each.role,
                    "model": each.model,
                    "licences": each.lineage.licences,
                    "commercial_use": each.lineage.commercial_use,
                }
                for each in sources
            ],
        },
        "licenses": [{"id": n, "name": name, "url": ""} for n, name in enumerate(licences, 1)],
        "images": images,
        "annotations": annotations,
        "categories": [
            {
                "id": PERSON,
                "name": "person",
                "supercategory": "person",
                "keypoints": schema.names,
                "skeleton": [[a + 1, b + 1] for a, b in schema.edges],
            }
        ],
    }


def image_root(out: Path, paths: Sequence[Path]) -> Path:
    """Return the folder that file names start from: the annotation file's own if it holds all images, else theirs."""
    own = out.absolute().parent
    theirs = Path(os.path.commonpath([path.absolute().parent for path in paths]))
    return own if theirs.is_relative_to(own) else theirs


def _rounded(values: Any, digits: int) -> list[float]:
    return [round(float(value), digits) for value in values]
