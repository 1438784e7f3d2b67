"""A detector's losses against their formulas, and how outputs of three grids become boxes."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from edge.catalog.specs import RTMDET_STRIDES, rtmdet_spec  # noqa: E402
from edge.codecs import decode  # noqa: E402
from quantize.distill.detector.assignment import assign, make_grid  # noqa: E402
from quantize.distill.detector.losses import (  # noqa: E402
    Predictions,
    detection_losses,
    gather_predictions,
    giou,
    quality_focal_loss,
)

SIDES = st.floats(0.5, 50)
PLACES = st.floats(-50, 50)


@st.composite
def boxes(draw) -> torch.Tensor:
    left, top = draw(PLACES), draw(PLACES)
    return torch.tensor([[left, top, left + draw(SIDES), top + draw(SIDES)]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("found", "wanted", "expected"),
    [
        ((0, 0, 2, 2), (0, 0, 2, 2), 1),
        ((0, 0, 1, 1), (1, 0, 2, 1), 0),  # side by side: the hull is full
        ((0, 0, 1, 1), (2, 0, 3, 1), -1 / 3),  # a gap of one in a hull of three
        ((0, 0, 2, 2), (1, 1, 3, 3), 1 / 7 - 2 / 9),
        ((0, 0, 4, 4), (1, 1, 3, 3), 1 / 4),  # one inside the other: the hull is the larger
    ],
)
def test_generalised_iou_by_hand(found, wanted, expected) -> None:
    value = giou(torch.tensor([found]).double(), torch.tensor([wanted]).double())
    assert value.item() == pytest.approx(expected, abs=1e-9)


@settings(deadline=None)
@given(first=boxes(), second=boxes())
def test_generalised_iou_is_symmetric_bounded_and_under_iou(first, second) -> None:
    value = giou(first, second).item()
    assert value == pytest.approx(giou(second, first).item())
    low, high = torch.maximum(first, second)[0, :2], torch.minimum(first, second)[0, 2:]
    shared = (high - low).clamp(min=0).prod().item()
    areas = [(box[0, 2:] - box[0, :2]).prod().item() for box in (first, second)]
    iou = shared / (sum(areas) - shared)
    assert -1 <= value <= iou + 1e-9
    assert giou(first, first).item() == pytest.approx(1)


@settings(deadline=None)
@given(first=boxes(), second=boxes(), moved=PLACES, factor=st.floats(0.1, 10))
def test_generalised_iou_knows_no_unit(first, second, moved, factor) -> None:
    value = giou(first, second).item()
    assert giou(first * factor + moved, second * factor + moved).item() == pytest.approx(
        value, abs=1e-6
    )


def test_a_box_turned_inside_out_is_driven_open() -> None:
    """Its right edge left of its left one: following the gradient moves them back past each other."""
    found = torch.tensor([[6.0, 2.0, 4.0, 8.0]], requires_grad=True)
    (1 - giou(found, torch.tensor([[0.0, 0.0, 10.0, 10.0]]))).sum().backward()
    left, _, right, _ = found.grad[0].tolist()
    assert left > 0 > right


def test_quality_focal_by_hand() -> None:
    """Score 1/2: ln 2 times the squared distance to the quality; and none where a score tells its IoU."""
    quality = torch.tensor([0.0, 1.0, 0.5, 0.25])
    expected = math.log(2) * np.array([0.25, 0.25, 0, 0.0625])
    np.testing.assert_allclose(
        quality_focal_loss(torch.zeros(4), quality).numpy(), expected, rtol=1e-6
    )
    logit = math.log(0.8 / 0.2)
    loss = quality_focal_loss(torch.tensor([logit]), torch.tensor([0.3]))
    entropy = -(0.3 * math.log(0.8) + 0.7 * math.log(0.2))
    assert loss.item() == pytest.approx(entropy * 0.25, rel=1e-5)
    assert quality_focal_loss(torch.tensor([logit]), torch.tensor([0.8])).item() == pytest.approx(0)


def test_boxes_are_the_codecs() -> None:
    """A point's box in training is the box that the codec decodes."""
    rng = np.random.default_rng(5)
    spec = rtmdet_spec("d", (64, 96), ("person",))
    sizes = [(96 // stride, 64 // stride) for stride in RTMDET_STRIDES]
    logits = [rng.normal(0, 1, (1, 1, *size)).astype(np.float32) for size in sizes]
    sides = [rng.uniform(2, 20, (1, 4, *size)).astype(np.float32) for size in sizes]
    found = gather_predictions(
        [torch.from_numpy(level) for level in (*logits, *sides)], RTMDET_STRIDES
    )
    names = [output.name for output in spec.outputs]
    (decoded,) = decode(dict(zip(names, (*logits, *sides), strict=True)), spec)
    best = int(found.logits[0].argmax())
    clipped = found.boxes[0, best].numpy().clip(0, (64, 96, 64, 96))
    np.testing.assert_allclose(decoded.boxes[0], clipped, rtol=1e-6)
    assert decoded.scores[0] == pytest.approx(found.logits[0, best].sigmoid().item(), rel=1e-5)


def a_batch() -> tuple[Predictions, list[torch.Tensor]]:
    grid = make_grid([(8, 8), (4, 4), (2, 2)], RTMDET_STRIDES)
    rng = np.random.default_rng(2)
    logits = torch.tensor(rng.normal(-1, 1, (2, len(grid.xy))), dtype=torch.float32)
    reach = torch.tensor(rng.uniform(4, 20, (2, len(grid.xy), 4)), dtype=torch.float32)
    boxes = torch.cat([grid.xy - reach[..., :2], grid.xy + reach[..., 2:]], dim=-1)
    return Predictions(logits, boxes, grid), [
        torch.tensor([[5.0, 5, 30, 50], [20, 10, 60, 60]]),
        torch.zeros(0, 4),
    ]


def test_both_losses_are_divided_by_the_summed_quality() -> None:
    found, wanted = a_batch()
    first = assign(found.logits[0], found.boxes[0], found.grid, wanted[0])
    quality = torch.stack([first.quality, torch.zeros(len(found.grid.xy))])
    whole = max(quality.sum().item(), 1)
    mine = first.box_index >= 0
    off = 1 - giou(found.boxes[0][mine], wanted[0][first.box_index[mine]])
    losses = detection_losses(found, wanted)
    assert losses["giou"].item() == pytest.approx(
        2 * (off * first.quality[mine]).sum().item() / whole, rel=1e-5
    )
    assert losses["quality"].item() == pytest.approx(
        quality_focal_loss(found.logits, quality).sum().item() / whole, rel=1e-5
    )


def test_nobody_anywhere_leaves_the_background_to_be_learned() -> None:
    found, wanted = a_batch()
    logits = found.logits.clone().requires_grad_()
    boxes_ = found.boxes.clone().requires_grad_()
    losses = detection_losses(Predictions(logits, boxes_, found.grid), [wanted[1]] * 2)
    assert losses["giou"].item() == 0
    expected = quality_focal_loss(found.logits, torch.zeros_like(found.logits)).sum()
    assert losses["quality"].item() == pytest.approx(expected.item(), rel=1e-6)
    (losses["quality"] + losses["giou"]).backward()
    assert (logits.grad > 0).all()  # every score must sink
