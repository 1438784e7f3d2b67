"""Default optimization: the papers' tables, the learning rate of a batch size, and runs of the first format."""

import pytest

from quantize.distill.config import DistillConfig
from quantize.distill.defaults import scaled_lr, with_defaults


@pytest.mark.parametrize(
    ("family", "size", "decay", "ema"),
    [
        ("rtmpose", "t", 0.0, 0.0),
        ("rtmpose", "s", 0.0, 0.05),
        ("rtmpose", "m", 0.05, 0.05),
        ("rtmpose", "l", 0.05, 0.05),
        ("cspnext", "t-fpn", 0.0, 0.0),
        ("cspnext", "s", 0.0, 0.05),
        ("cspnext", "m-fpn", 0.05, 0.05),
        ("vitpose", "192x6x3-simple", 0.1, 0.05),
        ("fastpose", "res50", 0.0, 0.0),
    ],
)
def test_the_papers_tables(family, size, decay, ema) -> None:
    config = with_defaults(DistillConfig(student="-"), family, size)
    assert (config.weight_decay, config.ema) == (decay, ema)


def test_pretrained_features_change_less_than_the_head() -> None:
    """ViTPose++, table 1; random features have nothing to protect."""
    pretrained = with_defaults(DistillConfig(student="-", init="x.pth"), "vitpose", "b-simple")
    assert (pretrained.layer_decay, pretrained.drop_path) == (0.75, 0.3)
    random = with_defaults(DistillConfig(student="-"), "vitpose", "b-simple")
    assert (random.layer_decay, random.drop_path) == (1.0, 0.0)


def test_what_is_given_stays() -> None:
    given = DistillConfig(
        student="-", lr=0.1, weight_decay=0.2, ema=0.3, layer_decay=0.4, drop_path=0.5
    )
    assert with_defaults(given, "rtmpose", "t") == given


@pytest.mark.parametrize(
    ("family", "batch", "accumulate", "lr"),
    [
        ("rtmpose", 32, 1, 1e-3),
        ("rtmpose", 32, 4, 2e-3),
        ("rtmpose", 1024, 1, 4e-3),
        ("vitpose", 512, 1, 1e-3),
    ],
)
def test_the_rate_grows_with_the_root_of_the_batch(family, batch, accumulate, lr) -> None:
    config = DistillConfig(student="-", batch=batch, accumulate=accumulate)
    assert with_defaults(config, family, "m").lr == lr


def test_the_rate_has_four_digits() -> None:
    assert scaled_lr(2e-3, 16, 2) == 7.071e-4


def test_a_run_of_the_first_format_keeps_its_average() -> None:
    old = with_defaults(DistillConfig(student="-", format=1), "rtmpose", "t")
    assert (old.ema, old.weight_decay, old.layer_decay, old.lr) == (None, 0.05, 1.0, 1e-3)
