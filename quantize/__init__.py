"""Smaller artifacts (int8) and smaller models (students of large teachers), each checked; needs torch, once used."""

from typing import TYPE_CHECKING

from runtimes.lazy import lazy_exports

if TYPE_CHECKING:
    from quantize.distill.config import Recipe
    from quantize.distill.runner import Outcome, distil
    from quantize.int8.calibration import Sets, gather_sets
    from quantize.int8.run import Job, int8_destination, quantize_artifact
    from quantize.int8.search import searched
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "quantize.distill.config": ("Recipe",),
            "quantize.distill.runner": ("Outcome", "distil"),
            "quantize.int8.calibration": ("Sets", "gather_sets"),
            "quantize.int8.run": ("Job", "int8_destination", "quantize_artifact"),
            "quantize.int8.search": ("searched",),
        },
    )

__all__ = [
    "Job",
    "Outcome",
    "Recipe",
    "Sets",
    "distil",
    "gather_sets",
    "int8_destination",
    "quantize_artifact",
    "searched",
]
