"""The configuration of a detector's training run."""

from quantize.distill.config import LoopConfig, Precision

FAMILY = "rtmdet"
BATCH, LR, DRAWN = 16, 2e-3, 5000


class DetectorConfig(LoopConfig, frozen=True, kw_only=True):
    """Everything that decides a trained detector; the defaults are those of the shipped one.

    student: `rtmdet-nano` and other sizes. data: COCO.json, synth or synth-v2 (drawn people), each `:WEIGHT` to be
    seen more or less than once an epoch. images: the folder of COCO.json's images. category: of the people in it,
    empty for `person`. data_licence: of data that states none, see `data.licences`. init: a checkpoint of the same
    network to start from. steps: optimizer steps; None for `epochs` of the data. batch: pictures per batch over all
    processes; a step takes `accumulate` batches. drawn: number of drawn pictures of each version. lr: None for 2e-3
    at 16 pictures a step, with the square root of their number. ema: window of the weights' moving average as a
    share of the steps, 0 for no average.
    """

    format: int = 1
    student: str
    data: tuple[str, ...] = ("synth",)
    images: str = ""
    category: str = ""
    data_licence: str = ""
    input_wh: tuple[int, int] | None = None
    init: str = ""
    epochs: int = 10
    steps: int | None = None
    batch: int = BATCH
    accumulate: int = 1
    lr: float | None = None
    weight_decay: float = 0.05
    ema: float = 0.05
    drawn: int = DRAWN
    precision: Precision = "f32"
    seed: int = 0
    workers: int | None = None


def is_detector(student: str) -> bool:
    """Return whether a student's name is a detector's."""
    return student.partition("-")[0] == FAMILY
