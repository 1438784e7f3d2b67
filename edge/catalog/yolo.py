"""Detectors and pose models that people have as ONNX: YOLOX, and Ultralytics' YOLOs (v8, 11, 12, 26 ...).

`yolo-detect` and `yolo-pose` stand for every size and version of the latter, since their exports have one format.
"""

import re

from edge.catalog.entry import CatalogEntry, SpecBuilder, by_name
from edge.catalog.specs import COCO_CLASSES
from edge.catalog.specs_yolo import yolo_detect_spec, yolo_pose_spec, yolox_spec
from runtimes.spec import ModelSpec

AGPL = "AGPL-3.0 (Ultralytics)"
ULTRALYTICS_NAME = re.compile(r"yolov?(8|9|10|11|12|26)[ntsmbclex](?P<pose>-pose)?")


def ultralytics_entry(name: str) -> str | None:
    """Return the entry that a name of Ultralytics' own means, such as yolov8n-pose; None for other names."""
    found = ULTRALYTICS_NAME.fullmatch(name.lower())
    return None if found is None else "yolo-pose" if found["pose"] else "yolo-detect"


def _spec(entry: CatalogEntry) -> ModelSpec:
    if entry.family == "yolox":
        return yolox_spec(entry.name, entry.input_wh, entry.classes)
    if entry.schema:
        return yolo_pose_spec(entry.name, entry.input_wh, entry.schema)
    return yolo_detect_spec(entry.name, entry.input_wh)


def _yolox(size: str, side: int) -> CatalogEntry:
    return CatalogEntry(
        f"yolox-{size}",
        "yolox",
        size,
        "detect",
        (side, side),
        classes=COCO_CLASSES,
        trained_on="COCO",
    )


def _ultralytics(name: str, schema: str | None, classes: tuple[str, ...]) -> CatalogEntry:
    return CatalogEntry(
        name,
        "ultralytics",
        "any",
        "pose-bottomup" if schema else "detect",
        (640, 640),
        schema=schema,
        classes=classes,
        licence=AGPL,
        commercial_use=False,
        trained_on="COCO",
    )


ENTRIES = by_name(
    *(_yolox(size, 416) for size in ("nano", "tiny")),
    *(_yolox(size, 640) for size in "smlx"),
    _ultralytics("yolo-detect", None, COCO_CLASSES),
    _ultralytics("yolo-pose", "coco17", ()),
)
SPECS: dict[str, SpecBuilder] = {"yolox": _spec, "ultralytics": _spec}
