"""Smaller artifacts (int8) and smaller models (students of large teachers), each checked; needs torch, once used."""

from typing import TYPE_CHECKING

from runtimes.lazy import lazy_exports

if TYPE_CHECKING:
    from quantize.distill.config import DistillConfig
    from quantize.distill.detector.config import DetectorConfig
    from quantize.distill.detector.runner import train_detector
    from quantize.distill.loop.job import TrainingResult
    from quantize.distill.runner import train_student
    from quantize.int8.calibration import ImageSets, gather_sets
    from quantize.int8.run import Int8Options, int8_destination, quantize_artifact
    from quantize.int8.search import search_kept_layers
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "quantize.distill.config": ("DistillConfig",),
            "quantize.distill.detector.config": ("DetectorConfig",),
            "quantize.distill.detector.runner": ("train_detector",),
            "quantize.distill.loop.job": ("TrainingResult",),
            "quantize.distill.runner": ("train_student",),
            "quantize.int8.calibration": ("ImageSets", "gather_sets"),
            "quantize.int8.run": ("Int8Options", "int8_destination", "quantize_artifact"),
            "quantize.int8.search": ("search_kept_layers",),
        },
    )

__all__ = [
    "DetectorConfig",
    "DistillConfig",
    "ImageSets",
    "Int8Options",
    "TrainingResult",
    "gather_sets",
    "int8_destination",
    "quantize_artifact",
    "search_kept_layers",
    "train_detector",
    "train_student",
]
