"""Version 1 stays as it was; version 2 has exact ground truth, occlusion and photographs' spectra."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.synth import DrawnVersion, Scene, draw_scene, write_dataset
from edge.synth.photographic.scene import LEAST_PIXELS, arrange
from edge.synth.photographic.textures import fractal
from edge.synth.scene import compose
from runtimes.errors import InputError

WH = (200, 160)
seeds = st.integers(0, 2**32 - 1)

# Boxes, areas and (nose, left wrist, right ankle) as the generator drew them before it had versions
FIRST_VERSION = (
    (
        (1, (200, 160), 83.1),
        [
            ([36, 126, 46, 152], 140, [[41.3, 128.5, 2], [43.7, 131.1, 2], [40.8, 150.3, 2]]),
            ([113, 56, 124, 89], 194, [[118.5, 58.5, 1], [114.8, 71.5, 2], [119.3, 86.5, 2]]),
            ([94, 62, 101, 90], 121, [[99.7, 65.3, 2], [94.8, 69.8, 1], [96.0, 87.2, 2]]),
        ],
    ),
    (
        (7, (160, 200), 97.77),
        [
            ([82, 77, 97, 100], 141, [[84.5, 79.3, 2], [90.4, 87.3, 1], [85.5, 97.2, 2]]),
            ([0, 82, 36, 167], 1565, [[17.5, 87.1, 1], [5.4, 112.8, 2], [27.1, 159.5, 2]]),
        ],
    ),
)


@pytest.mark.parametrize(("scene", "people"), FIRST_VERSION)
def test_version_1_draws_what_it_always_drew(
    scene: tuple[int, tuple[int, int], float],
    people: list[tuple[list[int], int, list[list[float]]]],
) -> None:
    seed, wh, brightness = scene
    drawn = draw_scene(seed, wh)
    assert drawn.image.mean() == pytest.approx(brightness, abs=0.02)
    assert len(drawn.people) == len(people)
    for person, (box, area, places) in zip(drawn.people, people, strict=True):
        np.testing.assert_allclose(person.box, box, atol=1)  # OpenCV's rounding differs by CPU
        assert person.area == pytest.approx(area, abs=3)
        np.testing.assert_allclose(person.keypoints[[0, 9, 16]], places, atol=0.051)


def second(seed: int, people: tuple[int, int] = (1, 4)) -> Scene:
    return draw_scene(seed, WH, people, version=2)


def test_version_2_follows_from_the_seed_and_differs_from_version_1() -> None:
    np.testing.assert_array_equal(second(5).image, second(5).image)
    assert (second(5).image != second(6).image).any()
    assert (second(5).image != draw_scene(5, WH).image).any()


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_ground_truth_of_version_2_follows_who_owns_the_pixel(seed: int) -> None:
    """The rules of COCO: 0 outside the frame, 1 hidden, 2 visible; the box is that of the visible pixels."""
    rng = np.random.default_rng(seed)
    backdrop = np.zeros((WH[1], WH[0], 3), np.float32)
    layers = arrange(rng, WH, backdrop, 4, np.full((5, 3), 90, np.float32))
    sprites = {each.person_id: each.sprite for each in layers if each.person_id >= 0}
    composed = compose(backdrop, layers)
    # nobody is in the picture without a label
    assert {person.person_id for person in composed.people} == set(sprites)
    for person in composed.people:
        sprite, mine = sprites[person.person_id], composed.owner == person.person_id
        rows, columns = np.nonzero(mine)
        assert person.area == len(rows) >= LEAST_PIXELS
        edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_array_equal(person.box, edges)
        for (x, y, v), (true_x, true_y), own in zip(
            person.keypoints.tolist(), sprite.keypoints.tolist(), sprite.visible, strict=True
        ):
            if not (0 <= round(true_x) < WH[0] and 0 <= round(true_y) < WH[1]):
                assert (x, y, v) == (0, 0, 0)
                continue
            assert (x, y) == (true_x, true_y)
            assert (v == 2) == (own and mine[round(y), round(x)])


@pytest.mark.slow
def test_half_of_the_people_are_cut_by_the_frame_or_hidden_in_part() -> None:
    partial = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        backdrop = np.zeros((WH[1], WH[0], 3), np.float32)
        layers = arrange(rng, WH, backdrop, 3, np.full((5, 3), 90, np.float32))
        people = {each.person_id: each.sprite for each in layers if each.person_id >= 0}
        for person in compose(backdrop, layers).people:
            whole = (people[person.person_id].cover >= 0.5).sum()
            cut = (person.keypoints[:, 2] == 0).any()
            partial.append(cut or person.area < 0.95 * whole)
    assert len(partial) > 60
    assert np.mean(partial) >= 0.5


@pytest.mark.slow
def test_version_2_has_crowds_and_pictures_of_nobody() -> None:
    counts = [len(second(seed, (0, 12)).people) for seed in range(30)]
    assert min(counts) == 0
    assert max(counts) >= 6
    assert second(3, (0, 0)).people == ()


@pytest.mark.parametrize("slope", [-1.6, -2.4])
def test_a_fractal_has_its_spectrum(slope: float) -> None:
    side = 128
    noise = fractal(np.random.default_rng(1), side, slope)
    assert noise.mean() == pytest.approx(0, abs=1e-4)
    assert noise.std() == pytest.approx(1, abs=1e-4)
    power = np.abs(np.fft.fft2(noise)) ** 2
    # along both axes, where frequencies are exact
    for line in (power[1:60, 0], power[0, 1:60]):
        frequency = np.arange(1, 60) / side
        fitted = np.polyfit(np.log(frequency), np.log(line), 1)[0]
        assert fitted == pytest.approx(slope, abs=0.05)


def test_pictures_of_version_2_are_as_rough_as_photographs() -> None:
    """COCO photographs: mean gradient 10 grey levels a pixel; version 1: 3."""
    roughness: dict[DrawnVersion, list[float]] = {1: [], 2: []}
    for version, found in roughness.items():
        for seed in range(8):
            image = draw_scene(seed, (320, 240), version=version).image
            rows, columns = np.gradient(image.mean(axis=2))
            found.append(np.hypot(rows, columns).mean())
    assert np.mean(roughness[1]) < 5
    assert 6 < np.mean(roughness[2]) < 18


def test_impossible_scenes_of_version_2_are_refused() -> None:
    with pytest.raises(InputError, match="32"):
        draw_scene(0, (16, 100), version=2)
    with pytest.raises(InputError, match="people"):
        draw_scene(0, WH, people=(3, 1), version=2)


def test_a_data_set_of_version_2_is_written_as_drawn(tmp_path: Path) -> None:
    first = write_dataset(tmp_path / "one", 3, 1, WH)
    other = write_dataset(tmp_path / "two", 3, 1, WH, version=2)
    assert first.read_bytes() != other.read_bytes()
