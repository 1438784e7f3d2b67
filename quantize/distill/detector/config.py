"""The configuration of a detector's training run."""

from quantize.distill.config import TrainingConfig

FAMILY = "rtmdet"
BATCH, LR, DRAWN = 16, 2e-3, 5000


class DetectorConfig(TrainingConfig, frozen=True, kw_only=True):
    """Everything that decides a trained detector; the defaults are those of the shipped one.

    student: `rtmdet-nano` and other sizes. init: of the same network. batch: pictures. lr: None for 2e-3 at 16 pictures
    a step, with the square root of their number. ema: window of the weights' moving average as a share of the steps, 0
    for no average.
    """

    format: int = 1
    batch: int = BATCH
    drawn: int = DRAWN
    weight_decay: float = 0.05
    ema: float = 0.05


def is_detector(student: str) -> bool:
    """Return whether a student's name is a detector's."""
    return student.partition("-")[0] == FAMILY
