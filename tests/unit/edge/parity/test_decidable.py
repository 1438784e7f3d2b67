"""Decidable keypoints by the codec's sigma, on maps that are sums of Gaussians."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.parity.decidable import decidable_keypoints
from runtimes.base import Array
from runtimes.codec_spec import HeatmapCodec, SimCCCodec
from runtimes.spec import CropSpec, ImageSpec, ModelSpec, TensorSpec

# codec, and the sizes (h, w) of its maps: SimCC's axes are maps of one row
SIMCC = [
    (SimCCCodec(sigma=(4.9, 5.66)), (192, 256)),
    (SimCCCodec(sigma=(6.0, 6.93)), (288, 384)),
    (SimCCCodec(sigma=(2.45, 2.83)), (96, 128)),
    (SimCCCodec(split_ratio=1.0, sigma=(2.45, 2.83)), (192, 256)),
]
HEATMAPS = [
    (HeatmapCodec(refine="dark", sigma=(2.0, 2.0)), (48, 64)),
    (HeatmapCodec(refine="udp", sigma=(3.0, 3.0)), (72, 96)),
    (HeatmapCodec(sigma=(1.0, 1.0)), (24, 32)),
    (HeatmapCodec(refine="udp", sigma=(6.0, 6.0)), (192, 256)),
]
CASES = SIMCC + HEATMAPS
Codec = SimCCCodec | HeatmapCodec
Wh = tuple[int, int]
# one peak or many: (x, y) as a share of the map, height, and breadth in label sigmas
Peak = tuple[NDArray[np.float64], float, float]


def shape(codec: Codec, wh: Wh) -> NDArray[np.int_]:
    """Bins along x and y."""
    return np.rint(
        np.array(wh) * (codec.split_ratio if isinstance(codec, SimCCCodec) else 1)
    ).astype(int)


def axes(codec: Codec, wh: Wh, at: NDArray[np.float64], broad: float) -> list[Array]:
    """A Gaussian of height 1 along x and along y; `at` in bins."""
    sigma = np.array(codec.sigma) * broad
    return [
        np.exp(-0.5 * ((np.arange(count) - at[axis]) / sigma[axis]) ** 2)
        for axis, count in enumerate(shape(codec, wh))
    ]


def draw(codec: Codec, wh: Wh, peaks: list[Peak]) -> list[Array]:
    """The codec's outputs, (1, 1, ...): the sum of peaks."""
    parts = [(axes(codec, wh, at, broad), height) for at, height, broad in peaks]
    if isinstance(codec, SimCCCodec):
        return [sum(height * each[i] for each, height in parts)[None, None] for i in (0, 1)]
    return [sum(height * np.outer(down, across) for (across, down), height in parts)[None, None]]


def noisy(maps: list[Array], size: float, seed: int) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [each + rng.uniform(-size, size, each.shape) for each in maps]


def is_decidable(codec: Codec, wh: Wh, maps: list[Array]) -> bool:
    spec = ModelSpec(
        model="any",
        task="pose-topdown",
        inputs=(),
        outputs=tuple(TensorSpec(name=f"map{index}") for index in range(len(maps))),
        image=ImageSpec(wh=wh),
        crop=CropSpec(kind="affine"),
        codec=codec,
    )
    found = decidable_keypoints(
        {f"map{index}": each.astype(np.float32) for index, each in enumerate(maps)}, spec
    )
    assert found is not None
    assert found.shape == (1, 1)
    return bool(found[0, 0])


def inside(codec: Codec, wh: Wh, share: tuple[float, float]) -> NDArray[np.float64]:
    return np.array(share) * (shape(codec, wh) - 1)


places = st.tuples(st.floats(0, 1), st.floats(0, 1))
seeds = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize(("codec", "wh"), CASES)
@settings(max_examples=25, deadline=None)
@given(place=places, height=st.floats(0.2, 8), broad=st.floats(1, 4), seed=seeds)
def test_one_peak_is_decidable_up_to_four_times_as_broad_as_the_label(
    codec, wh, place, height, broad, seed
) -> None:
    maps = draw(codec, wh, [(inside(codec, wh, place), height, broad)])
    assert is_decidable(codec, wh, noisy(maps, 0.02 * height, seed))


@pytest.mark.parametrize(("codec", "wh"), CASES)
@settings(max_examples=25, deadline=None)
@given(
    place=st.tuples(st.floats(0.3, 0.7), st.floats(0.3, 0.7)),
    apart=st.floats(3, 8),
    angle=st.floats(0, 2 * np.pi),
    rival=st.floats(0.94, 1),
    seed=seeds,
)
def test_two_peaks_are_not(codec, wh, place, apart, angle, rival, seed) -> None:
    first = np.rint(inside(codec, wh, place))
    step = np.array([np.cos(angle), np.sin(angle)])
    if isinstance(codec, SimCCCodec):  # axes are decided one by one: along one of them
        step = np.eye(2)[int(angle > np.pi)]
    second = first + np.rint(apart * np.array(codec.sigma) * step)
    assume(((second >= 0) & (second < shape(codec, wh))).all())  # both peaks lie on the map
    maps = draw(codec, wh, [(first, 1.0, 1.0), (second, rival, 1.0)])
    assert not is_decidable(codec, wh, noisy(maps, 0.01, seed))


@pytest.mark.parametrize(("codec", "wh"), CASES)
@pytest.mark.parametrize("rival", [0.5, 0.8])
def test_a_second_peak_that_is_lower_is_no_rival(codec, wh, rival) -> None:
    first = inside(codec, wh, (0.3, 0.4))
    maps = draw(codec, wh, [(first, 1.0, 1.0), (first + 5 * np.array(codec.sigma), rival, 1.0)])
    assert is_decidable(codec, wh, noisy(maps, 0.02, 1))


@pytest.mark.parametrize(("codec", "wh"), CASES)
@pytest.mark.parametrize("apart", [0.5, 1.0, 1.9])
def test_two_labels_nearer_than_two_sigmas_are_one_peak(codec, wh, apart) -> None:
    first = inside(codec, wh, (0.4, 0.5))
    second = first + apart * np.array(codec.sigma) * (1, 0)
    assert is_decidable(codec, wh, draw(codec, wh, [(first, 1.0, 1.0), (second, 1.0, 1.0)]))


@pytest.mark.parametrize(("codec", "wh"), CASES)
@pytest.mark.parametrize("level", [0.02, 0.5, 1.0, 8.0])
def test_flat_maps_are_not(codec, wh, level) -> None:
    blank = [np.full_like(each, level) for each in draw(codec, wh, [(np.zeros(2), 1.0, 1.0)])]
    assert not is_decidable(codec, wh, blank)
    assert not is_decidable(codec, wh, noisy(blank, 0.02 * level, 2))
    assert not is_decidable(codec, wh, [each - level for each in blank])
    assert not is_decidable(codec, wh, [-each for each in blank])


@pytest.mark.parametrize(("codec", "wh"), CASES)
@pytest.mark.parametrize("broad", [10, 20])
def test_a_hill_that_falls_by_a_tenth_beyond_three_sigmas_is_flat(codec, wh, broad) -> None:
    # 90 % of the height at broad * sqrt(2 ln(1 / .9)) = .459 broad sigmas, 4.6 and 9.2 here
    maps = draw(codec, wh, [(inside(codec, wh, (0.5, 0.5)), 1.0, float(broad))])
    assert not is_decidable(codec, wh, maps)


@pytest.mark.parametrize(("codec", "wh"), CASES)
def test_noise_is_not(codec, wh) -> None:
    shapes = [each.shape for each in draw(codec, wh, [(np.zeros(2), 1.0, 1.0)])]
    rng = np.random.default_rng(3)
    for _ in range(20):
        assert not is_decidable(codec, wh, [rng.normal(size=each) for each in shapes])


@pytest.mark.parametrize(("codec", "wh"), CASES)
def test_saturated_and_rounded_peaks_are(codec, wh) -> None:
    maps = draw(codec, wh, [(inside(codec, wh, (0.6, 0.4)), 1.0, 1.5)])
    assert is_decidable(codec, wh, [np.minimum(each, 0.8) for each in maps])
    assert is_decidable(codec, wh, [np.rint(each * 32) / 32 for each in maps])


@pytest.mark.parametrize(("codec", "wh"), SIMCC)
@pytest.mark.parametrize("axis", [0, 1])
def test_either_axis_of_simcc_can_be_undecided(codec, wh, axis) -> None:
    maps = draw(codec, wh, [(inside(codec, wh, (0.5, 0.5)), 1.0, 1.0)])
    assert is_decidable(codec, wh, maps)
    maps[axis] = np.ones_like(maps[axis])
    assert not is_decidable(codec, wh, maps)
