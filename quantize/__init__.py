"""Smaller artifacts (int8) and smaller models (students of large teachers), each checked; needs torch, once used."""

from typing import TYPE_CHECKING

from runtimes.lazy import lazy_exports

if TYPE_CHECKING:
    from quantize.distill.config import DistillConfig
    from quantize.distill.detector.config import DetectorConfig
    from quantize.distill.detector.runner import train_detector
    from quantize.distill.job import TrainingResult
    from quantize.distill.runner import train_student
    from quantize.int8.calibration import Sets, gather_sets
    from quantize.int8.run import Job, int8_destination, quantize_artifact
    from quantize.int8.search import searched
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "quantize.distill.config": ("DistillConfig",),
            "quantize.distill.detector.config": ("DetectorConfig",),
            "quantize.distill.detector.runner": ("train_detector",),
            "quantize.distill.job": ("TrainingResult",),
            "quantize.distill.runner": ("train_student",),
            "quantize.int8.calibration": ("Sets", "gather_sets"),
            "quantize.int8.run": ("Job", "int8_destination", "quantize_artifact"),
            "quantize.int8.search": ("searched",),
        },
    )

__all__ = [
    "DetectorConfig",
    "DistillConfig",
    "Job",
    "Sets",
    "TrainingResult",
    "gather_sets",
    "int8_destination",
    "quantize_artifact",
    "searched",
    "train_detector",
    "train_student",
]
