"""The configuration of a bottom-up model's training run."""

from quantize.distill.config import TrainingConfig

BATCH, LR = 16, 1e-3
INPUT_WH = (512, 512)  # ViTPose++ (arXiv:2212.04246, table 14), HigherHRNet
BOTTOM_UP = "ae"


class BottomUpConfig(TrainingConfig, frozen=True, kw_only=True):
    """Everything that decides a trained bottom-up model.

    student: `cspnext-t-fpn-ae`, `vitpose-192x6x3-stride8-ae` and others. schema: the keypoints, by the name of a known
    set or a SCHEMA.json. batch: pictures. lr: None for 1e-3 at 16 pictures a step, with the square root of their
    number. ema: window of the weights' moving average as a share of the steps, 0 for no average. weight_decay, ema:
    None for the family's usual value (`defaults`).
    """

    format: int = 1
    schema: str = "coco17"
    batch: int = BATCH
    weight_decay: float | None = None
    ema: float | None = None


def is_bottom_up(student: str) -> bool:
    """Return whether a student's name is a bottom-up model's."""
    return BOTTOM_UP in student.split("-")
