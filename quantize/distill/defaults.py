"""Default optimization of each family: what its paper states, and the learning rate for a batch size."""

import math
from dataclasses import dataclass

import msgspec

from quantize.distill.config import BATCH, LR, DistillConfig


@dataclass(frozen=True, slots=True)
class Optimization:
    """Defaults of a network. max_lr: the rate does not grow beyond it with the batch.

    layer_decay and drop_path: of a network that starts from `--init`. They protect pre-trained features, and random
    ones have nothing to protect.
    """

    weight_decay: float = 0.05
    ema: float = 0.05
    max_lr: float = 4e-3
    layer_decay: float = 1.0
    drop_path: float = 0.0


# RTMPose, table 7 (arXiv:2303.07399): weight decay 0 for t and s, no average for t; 4e-3 at 1024 crops a step. Its
# average covers 5000 steps of 420 epochs (decay 0.9998): 8 % of them on COCO alone, 2 % with AIC.
RTMPOSE = Optimization()
# ViTPose++, table 1 (arXiv:2212.04246): 5e-4 at 512 crops a step, 1e-3 at 1024. It says nothing of an average.
VITPOSE = Optimization(weight_decay=0.1, max_lr=1e-3)
# AlphaPose's configs: Adam at 1e-3 (its paper, arXiv:2211.03375, says 0.01) without weight decay or average.
FASTPOSE = Optimization(weight_decay=0.0, ema=0.0, max_lr=1e-3)
# CSPNeXt's pre-training has RTMPose's values in mmpose's configs.
FAMILIES = {"rtmpose": RTMPOSE, "cspnext": RTMPOSE, "vitpose": VITPOSE, "fastpose": FASTPOSE}
SIZES = {
    "rtmpose-t": Optimization(weight_decay=0.0, ema=0.0),
    "rtmpose-s": Optimization(weight_decay=0.0),
    "cspnext-t": Optimization(weight_decay=0.0, ema=0.0),
    "cspnext-s": Optimization(weight_decay=0.0),
    "vitpose-s": Optimization(0.1, max_lr=1e-3, layer_decay=0.8, drop_path=0.1),
    "vitpose-b": Optimization(0.1, max_lr=1e-3, layer_decay=0.75, drop_path=0.3),
    "vitpose-l": Optimization(0.1, max_lr=1e-3, layer_decay=0.8, drop_path=0.5),
    "vitpose-h": Optimization(0.1, max_lr=1e-3, layer_decay=0.8, drop_path=0.55),
}


def default_optimization(family: str, size: str) -> Optimization:
    """Return the defaults of a network; of an unpublished size, its family's."""
    name = f"{family}-{size.partition('-')[0]}"
    return SIZES.get(name, FAMILIES.get(family, Optimization()))


def scaled_lr(lr: float, reference: int, samples: int, max_lr: float = math.inf) -> float:
    """Return the learning rate for steps of `samples`, where `lr` suits steps of `reference`.

    It grows with the square root of the batch, as Adam's noise demands (arXiv:2205.10287); four significant digits.
    """
    return min(float(f"{lr * math.sqrt(samples / reference):.4g}"), max_lr)


def with_defaults(config: DistillConfig, family: str, size: str) -> DistillConfig:
    """Return the configuration with the family's values in place of None; of format 1 with those of that time."""
    usual = default_optimization(family, size)
    if config.format == 1:  # its `ema` stays None: an average that no setting describes any more
        return _filled(config, lr=LR, weight_decay=0.05, layer_decay=1.0, drop_path=0.0)
    return _filled(
        config,
        lr=scaled_lr(LR, BATCH, config.batch * config.accumulate, usual.max_lr),
        weight_decay=usual.weight_decay,
        layer_decay=usual.layer_decay if config.init else 1.0,
        ema=usual.ema,
        drop_path=usual.drop_path if config.init else 0.0,
    )


def _filled(config: DistillConfig, **values: float) -> DistillConfig:
    missing = {name: value for name, value in values.items() if getattr(config, name) is None}
    return msgspec.structs.replace(config, **missing)
