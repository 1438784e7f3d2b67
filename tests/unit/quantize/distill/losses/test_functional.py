"""Losses against their formulas, written out in numpy, and gradients against the papers' claims."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from quantize.distill.losses.functional import (  # noqa: E402
    AMPLITUDES,
    feature_mse,
    heatmap_mse,
    integral_l1,
    simcc_kl,
    symmetric_mean,
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def softmax(values: np.ndarray) -> np.ndarray:
    raised = np.exp(values - values.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


def test_heatmaps_of_keypoints_that_count(rng) -> None:
    found, wanted = rng.normal(size=(2, 2, 3, 4, 5))
    weights = np.array([[1, 0, 1], [0, 0, 1]], np.float64)
    error = ((found - wanted) ** 2).mean(axis=(2, 3))
    loss = heatmap_mse(*(torch.tensor(each) for each in (found, wanted, weights)))
    assert loss.item() == pytest.approx((error * weights).sum() / 6)
    whole = np.broadcast_to(weights[..., None, None], found.shape).copy()
    loss = heatmap_mse(*(torch.tensor(each) for each in (found, wanted, whole)))
    assert loss.item() == pytest.approx((error * weights).sum() / 6)


def test_the_loss_of_a_batch_is_the_mean_of_its_halves(rng) -> None:
    """Whatever counts in each half: this is what makes processes add up."""
    found, wanted = (torch.tensor(each) for each in rng.normal(size=(2, 4, 3, 4, 5)))
    weights = torch.tensor(rng.integers(0, 2, (4, 3)).astype(np.float64))
    whole = heatmap_mse(found, wanted, weights)
    halves = [heatmap_mse(found[s], wanted[s], weights[s]) for s in (slice(2), slice(2, 4))]
    assert whole.item() == pytest.approx(sum(halves).item() / 2)


def test_nothing_to_learn_is_no_loss() -> None:
    zero = torch.zeros(2, 3)
    maps = torch.ones(2, 3, 4, 5, requires_grad=True)
    loss = heatmap_mse(maps, torch.zeros(2, 3, 4, 5), zero)
    loss.backward()
    assert loss.item() == 0
    assert not maps.grad.any()


def test_simcc_is_rtmposes_divergence(rng) -> None:
    """KL(softmax(10 label) || softmax(10 found)), mean over bins, mean over keypoints that count."""
    found = [rng.normal(size=(2, 3, bins)) for bins in (6, 8)]
    wanted = [rng.normal(size=(2, 3, bins)) for bins in (6, 8)]
    weights = np.array([[1, 0, 1], [1, 1, 1]], np.float64)
    total = 0.0
    for each, label in zip(found, wanted, strict=True):
        p, q = softmax(10 * label), softmax(10 * each)
        total += ((p * np.log(p / q)).mean(axis=-1) * weights).sum()
    tensors = [tuple(map(torch.tensor, pair)) for pair in (found, wanted)]
    loss = simcc_kl(*tensors, torch.tensor(weights))
    assert loss.item() == pytest.approx(total / 6)


def test_a_student_that_agrees_is_not_punished(rng) -> None:
    logits = tuple(torch.tensor(rng.normal(size=(1, 2, 7))) for _ in range(2))
    assert simcc_kl(logits, logits, torch.ones(1, 2)).item() == pytest.approx(0, abs=1e-12)


def test_features_of_another_grid_are_resized() -> None:
    flat = torch.full((1, 2, 4, 4), 3.0)
    assert feature_mse(torch.full((1, 2, 8, 8), 1.0), flat).item() == pytest.approx(4)


def test_the_symmetric_gradient_is_two_on_either_side() -> None:
    shares = torch.tensor([[[0.1, 0.2, 0.4, 0.2, 0.1]]], requires_grad=True)
    mean = symmetric_mean(shares)
    assert mean.item() == pytest.approx(2.0, abs=1e-6)
    mean.sum().backward()
    below = torch.arange(5) < mean.item()
    np.testing.assert_array_equal(shares.grad[0, 0], torch.where(below, -2.0, 2.0))


@pytest.mark.parametrize(("gradient", "amplitude"), [("code", (2, 2)), ("paper", (12 / 8, 16 / 8))])
def test_the_gradient_of_an_axis_has_its_amplitude(gradient, amplitude) -> None:
    """AlphaPose's code has 2 whatever the map, equation 3 of its paper an eighth of the map."""
    for axis, wanted in enumerate(amplitude):
        shares = torch.full((1, 1, (12, 16)[axis]), 1 / (12, 16)[axis], requires_grad=True)
        symmetric_mean(shares, AMPLITUDES[gradient](shares.shape[-1])).sum().backward()
        np.testing.assert_array_equal(shares.grad.abs(), wanted)
    losses = []
    for side in (16, 32):
        maps = torch.zeros(1, 1, side, side, requires_grad=True)
        wanted_xy = torch.full((1, 1, 2), side - 1.0)
        integral_l1(maps, wanted_xy, torch.ones(1, 1), gradient).backward()
        losses.append(maps.grad.abs().sum().item())
    # of the fraction of a side, the paper's gradient is the same at every size of the map
    ratio = 1.0 if gradient == "paper" else 0.5
    assert losses[1] / losses[0] == pytest.approx(ratio, rel=0.05)


def test_integral_regression_moves_towards_the_keypoint() -> None:
    maps = torch.zeros(1, 1, 16, 12, requires_grad=True)
    wanted = torch.tensor([[[8.5, 3.0]]])
    optimizer = torch.optim.Adam([maps], lr=0.3)
    losses = []
    for _ in range(200):
        loss = integral_l1(maps, wanted, torch.ones(1, 1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx((8.5 - 5.5) / 12 + (7.5 - 3.0) / 16, rel=1e-5)
    assert losses[-1] < 0.1 * losses[0]
