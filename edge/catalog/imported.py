"""Models published in an engine's format: imported, not exported."""

from edge.catalog.entry import CatalogEntry, SpecBuilder, by_name
from edge.catalog.specs import movenet_spec, tinypose_spec
from runtimes.spec import ModelSpec


def _tinypose(_entry: CatalogEntry) -> ModelSpec:
    return tinypose_spec()


def _movenet(_entry: CatalogEntry) -> ModelSpec:
    return movenet_spec()


ENTRIES = by_name(
    CatalogEntry(
        "tinypose-256x192",
        "tinypose",
        "256x192",
        "pose-topdown",
        (192, 256),
        schema="coco17",
        ap=0.688,
        ap_source="PaddleDetection tiny_pose/README_en.md, COCO val2017, ground-truth boxes",
        importable_runtimes=("ncnn", "openvino"),
    ),
    CatalogEntry(
        "movenet-lightning",
        "movenet",
        "lightning",
        "pose-single",
        (192, 192),
        schema="coco17",
        importable_runtimes=("tflite",),
    ),
)
SPECS: dict[str, SpecBuilder] = {"tinypose": _tinypose, "movenet": _movenet}
