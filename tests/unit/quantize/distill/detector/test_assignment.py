"""Dynamic soft-label assignment against the paper's formulas written out point by point, and its invariants."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from quantize.distill.detector.assignment import (  # noqa: E402
    PointGrid,
    assign,
    make_grid,
    match_dynamic_k,
    matching_cost,
    pairwise_iou,
)

STRIDES = (8, 16, 32)
SIDE = 96
GRID = make_grid([(SIDE // stride, SIDE // stride) for stride in STRIDES], STRIDES)


def drawn(seed: int, people: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits, found boxes around their points, and people: a network in the middle of its training."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-2, 2, len(GRID.xy)).astype(np.float32)
    reach = rng.uniform(-4, 40, (len(GRID.xy), 4)).astype(np.float32)
    xy = GRID.xy.numpy()
    found = np.concatenate([xy - reach[:, :2], xy + reach[:, 2:]], axis=1)
    corner = rng.uniform(0, 60, (people, 2))
    wanted = np.concatenate([corner, corner + rng.uniform(10, 36, (people, 2))], axis=1)
    return torch.tensor(logits), torch.tensor(found), torch.tensor(wanted, dtype=torch.float32)


def iou_by_hand(a, b) -> float:
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    areas = [max(c[2] - c[0], 0) * max(c[3] - c[1], 0) for c in (a, b)]
    return width * height / max(sum(areas) - width * height, 1e-7)


def assigned_by_hand(logits, found, wanted) -> tuple[list[int], list[float]]:
    """Section 3.3, equations 1 to 4, and SimOTA's dynamic k, in plain loops of doubles."""
    xy, strides = GRID.xy.tolist(), GRID.strides.tolist()
    logits, found, wanted = logits.tolist(), found.tolist(), wanted.tolist()
    points = [
        p for p, (x, y) in enumerate(xy) if any(w[0] < x < w[2] and w[1] < y < w[3] for w in wanted)
    ]
    cost, iou = {}, {}
    for p in points:
        for n, w in enumerate(wanted):
            u = iou_by_hand(found[p], w)
            score = 1 / (1 + math.exp(-logits[p]))
            entropy = -(u * math.log(score) + (1 - u) * math.log(1 - score))
            away = math.dist(xy[p], ((w[0] + w[2]) / 2, (w[1] + w[3]) / 2)) / strides[p]
            iou[p, n] = u
            cost[p, n] = entropy * (u - score) ** 2 - 3 * math.log(u + 1e-7) + 10 ** (away - 3)
    chosen: dict[int, list[int]] = {}
    for n in range(len(wanted)):
        count = max(int(sum(sorted((iou[p, n] for p in points), reverse=True)[:13])), 1)
        for p in sorted(points, key=lambda p: cost[p, n])[:count]:
            chosen.setdefault(p, []).append(n)
    owner, quality = [-1] * len(xy), [0.0] * len(xy)
    for p, several in chosen.items():
        people = range(len(wanted))
        n = several[0] if len(several) == 1 else min(people, key=lambda n: cost[p, n])
        owner[p], quality[p] = n, iou[p, n]
    return owner, quality


@pytest.mark.parametrize("seed", range(12))
def test_it_is_the_papers_assignment(seed) -> None:
    logits, found, wanted = drawn(seed, 1 + seed % 5)
    given_ = assign(logits, found, GRID, wanted)
    owner, quality = assigned_by_hand(logits, found, wanted)
    assert given_.box_index.tolist() == owner
    np.testing.assert_allclose(given_.quality.numpy(), quality, rtol=1e-4, atol=1e-6)


def test_points_lie_on_the_first_pixel_of_their_cell() -> None:
    grid = make_grid([(2, 3), (1, 2)], (8, 16))
    assert grid.xy.tolist() == [[0, 0], [8, 0], [16, 0], [0, 8], [8, 8], [16, 8], [0, 0], [16, 0]]
    assert grid.strides.tolist() == [8] * 6 + [16] * 2


def test_the_three_costs_of_one_point() -> None:
    """At the centre, IoU 1/2, score 1/2: ln 2 * 0 + 3 ln 2 + 10^-3; six strides away 10^3 is added instead."""
    grid = PointGrid(torch.tensor([[10.0, 10.0], [10.0, 58.0]]), torch.tensor([8.0, 8.0]))
    iou = torch.tensor([[0.5], [0.5]])
    cost = matching_cost(torch.zeros(2), iou, grid, torch.tensor([[0.0, 0.0, 20.0, 20.0]]))
    assert cost[0].item() == pytest.approx(3 * math.log(2) + 1e-3, abs=1e-5)
    assert cost[1].item() == pytest.approx(3 * math.log(2) + 1e3, abs=1e-3)


def test_a_person_gets_the_whole_part_of_its_summed_iou() -> None:
    """IoUs .9 .8 .7 sum to 2.4: the two cheapest, whatever their IoU; a person without overlap gets its cheapest."""
    iou = torch.tensor([[0.9, 0.0], [0.8, 0.0], [0.7, 0.0], [0.0, 0.0]])
    cost = torch.tensor([[3.0, 9.0], [1.0, 9.0], [2.0, 9.0], [9.0, 1.0]])
    assert match_dynamic_k(cost, iou).tolist() == [[0, 0], [1, 0], [1, 0], [0, 1]]


def test_thirteen_candidates_are_counted() -> None:
    """Twenty perfect points: 13 are given."""
    iou = torch.ones(20, 1)
    assert match_dynamic_k(torch.arange(20.0)[:, None], iou).sum() == 13


def test_a_contested_point_goes_where_it_is_cheapest() -> None:
    iou = torch.tensor([[0.6, 0.6], [0.1, 0.1]])
    cost = torch.tensor([[1.0, 2.0], [5.0, 5.0]])
    assert match_dynamic_k(cost, iou).tolist() == [[1, 0], [0, 0]]


def test_intersection_over_union() -> None:
    boxes = torch.tensor([[0.0, 0, 4, 2], [2.0, 0, 6, 2], [4.0, 0, 6, 2], [3.0, 3, 3, 3]])
    expected = [[1, 1 / 3, 0, 0], [1 / 3, 1, 1 / 2, 0], [0, 1 / 2, 1, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(pairwise_iou(boxes, boxes).numpy(), expected, rtol=1e-6)


def test_nobody_is_nobodys() -> None:
    logits, found, _ = drawn(0, 1)
    given_ = assign(logits, found, GRID, torch.zeros(0, 4))
    assert (given_.box_index == -1).all()
    assert not given_.quality.any()


@settings(deadline=None)
@given(seed=st.integers(0, 10**6), people=st.integers(0, 6))
def test_what_must_hold_of_every_assignment(seed, people) -> None:
    logits, found, wanted = drawn(seed, people)
    given_ = assign(logits, found, GRID, wanted)
    mine = given_.box_index >= 0
    assert given_.box_index.max() < max(people, 1)
    assert not given_.quality[~mine].any()
    assert (given_.quality >= 0).all()
    assert (given_.quality <= 1 + 1e-6).all()
    x, y = GRID.xy[mine].T[:, :, None]
    inside = (x > wanted[:, 0]) & (x < wanted[:, 2]) & (y > wanted[:, 1]) & (y < wanted[:, 3])
    assert inside.any(dim=1).all()


@settings(deadline=None)
@given(seed=st.integers(0, 10**6))
def test_somebody_alone_with_a_point_inside_is_never_left_out(seed) -> None:
    """Boxes are 10 pixels or more and the finest points 8 apart: there always is one."""
    logits, found, wanted = drawn(seed, 1)
    assert (assign(logits, found, GRID, wanted).box_index == 0).sum() >= 1


@settings(deadline=None)
@given(seed=st.integers(0, 10**6), people=st.integers(1, 5))
def test_padding_changes_nothing(seed, people) -> None:
    """A wider input has more points, all of them outside every box."""
    logits, found, wanted = drawn(seed, people)
    far = torch.full((7, 2), 5000.0)
    wider = PointGrid(torch.cat([far, GRID.xy]), torch.cat([torch.full((7,), 8.0), GRID.strides]))
    padded = assign(
        torch.cat([torch.full((7,), 5.0), logits]),
        torch.cat([wanted[:1].expand(7, 4), found]),
        wider,
        wanted,
    )
    first = assign(logits, found, GRID, wanted)
    assert padded.box_index.tolist() == [-1] * 7 + first.box_index.tolist()
    assert torch.equal(padded.quality[7:], first.quality)


@settings(deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_order_of_people_does_not_matter(seed) -> None:
    logits, found, wanted = drawn(seed, 4)
    first = assign(logits, found, GRID, wanted)
    turned = assign(logits, found, GRID, wanted.flip(0))
    expected = torch.where(first.box_index >= 0, 3 - first.box_index, -1)
    assert torch.equal(turned.box_index, expected)
