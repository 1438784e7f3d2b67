"""Pull and push loss: worked by hand, against a plain transcription of the equation, and their properties."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from edge.codecs.ae import decode_one  # noqa: E402
from quantize.distill.bottom_up.losses import (  # noqa: E402
    TAG_WEIGHT,
    TagPlaces,
    bottom_up_losses,
    picture_tag_losses,
    tag_losses,
)
from quantize.distill.bottom_up.targets import picture_targets  # noqa: E402
from runtimes.codec_spec import AssociativeEmbeddingCodec  # noqa: E402

POINTS, BINS = 3, 6


def places_of(seen: list[list[bool]], bins: list[list[int]] | None = None) -> TagPlaces:
    """People at bins 0, 1, ... of every keypoint, or at those given."""
    own = bins or [[person] * POINTS for person in range(len(seen))]
    return TagPlaces(
        torch.tensor(own, dtype=torch.int64).reshape(-1, POINTS),
        torch.tensor(seen, dtype=torch.bool).reshape(-1, POINTS),
    )


def tags_of(people: list[list[float]]) -> torch.Tensor:
    """Tags (K, bins) of people at bins 0, 1, ...; a number that no loss should read elsewhere."""
    tags = torch.full((POINTS, BINS), 1e6, dtype=torch.float64)
    for person, values in enumerate(people):
        tags[:, person] = torch.tensor(values, dtype=torch.float64)
    return tags


def transcribed(tags: torch.Tensor, places: TagPlaces) -> tuple[float, float]:
    """The module's equation, sum by sum."""
    means, pull = [], 0.0
    for bins, seen in zip(places.bins.tolist(), places.seen.tolist(), strict=True):
        own = [tags[k][bins[k]].item() for k in range(POINTS) if seen[k]]
        if own:
            means.append(sum(own) / len(own))
            pull += sum((tag - means[-1]) ** 2 for tag in own) / len(own)
    n = len(means)
    push = sum(
        math.exp(-((means[a] - means[b]) ** 2)) for a in range(n) for b in range(n) if a != b
    )
    return pull / max(n, 1), 0.5 * push / max(n * (n - 1), 1)


@st.composite
def pictures(draw: st.DrawFn) -> tuple[torch.Tensor, TagPlaces]:
    """Tags of one picture, and up to four people at any bins, the same ones too."""
    count = draw(st.integers(0, 4))
    values = draw(
        st.lists(st.floats(-2, 2), min_size=POINTS * BINS, max_size=POINTS * BINS).map(torch.tensor)
    )
    bins = draw(
        st.lists(st.integers(0, BINS - 1), min_size=count * POINTS, max_size=count * POINTS)
    )
    seen = draw(st.lists(st.booleans(), min_size=count * POINTS, max_size=count * POINTS))
    places = TagPlaces(
        torch.tensor(bins, dtype=torch.int64).reshape(count, POINTS),
        torch.tensor(seen, dtype=torch.bool).reshape(count, POINTS),
    )
    return values.double().reshape(POINTS, BINS), places


def test_worked_by_hand() -> None:
    """Tags 1, 2, 3 (mean 2, variance 2/3) and 0, 1 (mean 1/2, variance 1/4); the means lie 3/2 apart."""
    tags = tags_of([[1, 2, 3], [0, 9, 1]])
    pull, push = picture_tag_losses(tags, places_of([[True] * 3, [True, False, True]]))
    assert pull.item() == pytest.approx((2 / 3 + 1 / 4) / 2)
    assert push.item() == pytest.approx(math.exp(-9 / 4) / 2)
    third = places_of([[True] * 3, [True, False, True], [False, True, False]])
    pull, push = picture_tag_losses(tags_of([[1, 2, 3], [0, 9, 1], [5, 5, 5]]), third)
    assert pull.item() == pytest.approx((2 / 3 + 1 / 4) / 3)
    pairs = math.exp(-9 / 4) + math.exp(-9) + math.exp(-81 / 4)
    assert push.item() == pytest.approx(2 * pairs / 6 / 2)


@given(pictures())
def test_it_is_the_equation(picture: tuple[torch.Tensor, TagPlaces]) -> None:
    tags, places = picture
    found = [value.item() for value in picture_tag_losses(tags, places)]
    assert found == pytest.approx(list(transcribed(tags, places)), abs=1e-12)


@given(pictures(), st.randoms(use_true_random=False))
def test_the_order_of_people_changes_nothing(picture, random) -> None:
    tags, places = picture
    order = list(range(len(places.bins)))
    random.shuffle(order)
    moved = TagPlaces(places.bins[order], places.seen[order])
    first, second = picture_tag_losses(tags, places), picture_tag_losses(tags, moved)
    torch.testing.assert_close(first, second, rtol=1e-12, atol=1e-12)


def test_the_gradient_is_that_of_the_value() -> None:
    """Two people, one of whom lacks a keypoint; one more who has none; a bin that both read."""
    generator = torch.Generator().manual_seed(0)
    tags = torch.randn(2, POINTS, 2, BINS // 2, dtype=torch.float64, generator=generator)
    crowd = places_of(
        [[True, True, True], [True, False, True], [False] * 3], [[0, 1, 2], [5, 0, 2], [0] * 3]
    )
    alone = places_of([[True, True, False]])
    tags.requires_grad_()
    assert torch.autograd.gradcheck(lambda maps: tag_losses(maps, [crowd, alone]), (tags,))
    heatmaps = torch.randn(2, POINTS, 2, 3, dtype=torch.float64, generator=generator)
    heatmaps.requires_grad_()
    known = torch.tensor([[1.0, 1, 0], [0, 1, 1]]).double().expand(2, 1, 2, 3)

    def total(maps: torch.Tensor, tags: torch.Tensor) -> torch.Tensor:
        return sum(bottom_up_losses(maps, tags, heatmaps * 0 + 0.5, known, [crowd, alone]).values())

    assert torch.autograd.gradcheck(total, (heatmaps, tags))


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=4))
def test_equal_tags_are_not_pulled(values: list[float]) -> None:
    tags = tags_of([[value] * POINTS for value in values])
    pull, _ = picture_tag_losses(tags, places_of([[True] * POINTS] * len(values)))
    assert pull.item() == pytest.approx(0, abs=1e-24)


@given(st.floats(0, 2), st.floats(0.01, 2))
def test_pushing_falls_as_people_part(distance: float, more: float) -> None:
    both = places_of([[True] * POINTS] * 2)
    near, far = (
        picture_tag_losses(tags_of([[0.0] * POINTS, [apart] * POINTS]), both)[1].item()
        for apart in (distance, distance + more)
    )
    assert 0 < far < near <= 0.5


@pytest.mark.parametrize(
    "seen", [[], [[False] * POINTS] * 2, [[True, False, False]]], ids=["no", "unlabelled", "one"]
)
def test_few_people_give_finite_losses_and_gradients(seen: list[list[bool]]) -> None:
    tags = torch.zeros(1, POINTS, 1, BINS, requires_grad=True)
    heatmaps = torch.zeros(1, POINTS, 1, BINS, requires_grad=True)
    known = torch.ones(1, 1, 1, BINS)
    losses = bottom_up_losses(heatmaps, tags, heatmaps.detach() + 1, known, [places_of(seen)])
    assert {name: value.item() for name, value in losses.items()} == {
        "heatmap": 1.0, "pull": 0.0, "push": 0.0,
    }  # fmt: skip
    sum(losses.values()).backward()
    assert tags.grad is None or not tags.grad.any()
    assert torch.isfinite(heatmaps.grad).all()


def test_a_batchs_losses_are_the_means_of_its_pictures() -> None:
    generator = torch.Generator().manual_seed(1)
    maps = torch.randn(4, 2, POINTS, 1, BINS, generator=generator)
    known = torch.ones(2, 1, 1, BINS)
    known[1, ..., 2:] = 0
    places = [places_of([[True] * POINTS] * 2), places_of([[True, True, False]])]
    heatmaps, tags, target, _ = maps
    whole = bottom_up_losses(heatmaps, tags, target, known, places)
    parts = [
        bottom_up_losses(heatmaps[[n]], tags[[n]], target[[n]], known[[n]], [places[n]])
        for n in range(2)
    ]
    for name, value in whole.items():
        torch.testing.assert_close(value, (parts[0][name] + parts[1][name]) / 2)


def test_unknown_bins_teach_no_heatmap() -> None:
    heatmaps = torch.zeros(1, POINTS, 1, BINS, requires_grad=True)
    known = torch.ones(1, 1, 1, BINS)
    known[..., 3:] = 0
    target = torch.ones(1, POINTS, 1, BINS)
    losses = bottom_up_losses(heatmaps, torch.zeros_like(heatmaps), target, known, [places_of([])])
    assert losses["heatmap"].item() == pytest.approx(0.5)
    losses["heatmap"].backward()
    assert (heatmaps.grad[..., :3] < 0).all()
    assert not heatmaps.grad[..., 3:].any()


def test_tags_weigh_a_thousandth_of_heatmaps() -> None:
    """HigherHRNet's configs: push_loss_factor and pull_loss_factor .001, heatmaps_loss_factor 1."""
    tags = tags_of([[1, 2, 3], [0, 9, 1]])[None, :, None]
    maps = torch.zeros(1, POINTS, 1, BINS, dtype=torch.float64)
    both = places_of([[True] * 3, [True, False, True]])
    losses = bottom_up_losses(maps, tags, maps, torch.ones(1, 1, 1, BINS), [both])
    pull, push = tag_losses(tags, [both])
    assert TAG_WEIGHT == 1e-3
    assert losses["pull"].item() == pytest.approx(pull.item() / 1000)
    assert losses["push"].item() == pytest.approx(push.item() / 1000)


def test_maps_that_minimise_the_losses_decode_to_the_people() -> None:
    """Moved down the gradient from noise, in which all people's tags are alike, to four people and no one else."""
    corners = np.array([(20, 20), (100, 20), (24, 80), (140, 88)], np.float32)
    offsets = np.array([(0, 0), (24, 0), (0, 24)], np.float32)
    people = corners[:, None] + offsets
    keypoints = np.concatenate([people, np.full((4, POINTS, 1), 2, np.float32)], axis=2)
    made = picture_targets(keypoints, np.zeros((0, 4), np.float32), (192, 128), (48, 32))
    places = [TagPlaces(torch.from_numpy(made.bins), torch.from_numpy(made.seen))]
    target, known = torch.from_numpy(made.heatmaps)[None], torch.from_numpy(made.known)[None]
    generator = torch.Generator().manual_seed(0)
    maps = 0.05 * torch.randn(2, *target.shape, generator=generator)
    maps.requires_grad_()
    optimizer = torch.optim.Adam([maps], lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        sum(bottom_up_losses(maps[0], maps[1], target, known, places).values()).backward()
        optimizer.step()
    heatmaps, tags = (each[0].detach().numpy() for each in maps)
    codec = AssociativeEmbeddingCodec(missing="leave")
    found = decode_one(heatmaps, tags[:, None], codec, (192, 128))
    order = np.argsort(found.xy[:, 0].sum(axis=1))
    wanted = people[np.argsort(corners.sum(axis=1))]
    np.testing.assert_allclose(found.xy[order], wanted, atol=1.5)
    assert (found.scores > 0.9).all()
