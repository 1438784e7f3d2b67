"""Validation of a detector on held-out pictures: box AP, through the SDK's own pipeline."""

from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from edge.evaluation.dataset import Dataset
from quantize.distill.loop.distributed import ALONE, Processes
from quantize.distill.picture_validation import score_pictures
from runtimes.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class BoxMetrics:
    """COCO's box AP (None: undefined), and the numbers of pictures and people it is over."""

    ap: float | None
    ap50: float | None
    ap75: float | None
    images: int
    people: int

    @property
    def curves(self) -> dict[str, float | None]:
        """Return the metrics that are followed during training."""
        return {"ap": self.ap, "ap50": self.ap50, "ap75": self.ap75}

    @property
    def table(self) -> dict[str, float | None]:
        """Return what is shown of them, by column title."""
        return {"box AP": self.ap, "AP50": self.ap50, "AP75": self.ap75, "pictures": self.images}

    def to_dict(self) -> dict[str, Any]:
        """Return all fields, for JSON."""
        return asdict(self)


def validate_detector(
    module: nn.Module, spec: ModelSpec, dataset: Dataset, processes: Processes = ALONE
) -> BoxMetrics:
    """Return the metrics of a PyTorch detector, on the device where it is; each process takes a part of the images."""
    summary = score_pictures(module, spec, dataset, processes)
    return BoxMetrics(summary.AP, summary.AP50, summary.AP75, summary.images, summary.people)
