"""Validation of a bottom-up model on held-out pictures: keypoint AP of whole frames, through the SDK's own pipeline."""

from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from edge.evaluation.dataset import Dataset
from quantize.distill.loop.distributed import ALONE, Processes
from quantize.distill.picture_validation import score_pictures
from runtimes.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class PeopleMetrics:
    """COCO's keypoint AP and recall of whole frames (None: undefined), and the numbers that they are over."""

    ap: float | None
    ap50: float | None
    ap75: float | None
    ar: float | None
    images: int
    people: int

    @property
    def curves(self) -> dict[str, float | None]:
        """Return the metrics that are followed during training."""
        return {"ap": self.ap, "ap50": self.ap50, "ap75": self.ap75, "ar": self.ar}

    @property
    def table(self) -> dict[str, float | None]:
        """Return what is shown of them, by column title."""
        return {"AP": self.ap, "AP50": self.ap50, "AR": self.ar, "people": self.people}

    def to_dict(self) -> dict[str, Any]:
        """Return all fields, for JSON."""
        return asdict(self)


def validate_bottom_up(
    module: nn.Module, spec: ModelSpec, dataset: Dataset, processes: Processes = ALONE
) -> PeopleMetrics:
    """Return the metrics of a PyTorch network, on the device where it is; each process takes a part of the images."""
    summary = score_pictures(module, spec, dataset, processes)
    return PeopleMetrics(
        summary.AP, summary.AP50, summary.AP75, summary.AR, summary.images, summary.people
    )
