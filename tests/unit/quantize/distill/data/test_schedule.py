"""Batch schedules: every step depends on seed and step alone, resumed or not."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from lightning_fabric import Fabric  # noqa: E402

from edge.catalog.specs_vitpose import vitpose_spec  # noqa: E402
from edge.schema import load_schema  # noqa: E402
from quantize.distill.config import DistillConfig  # noqa: E402
from quantize.distill.data.augment import (  # noqa: E402
    GENTLE,
    NO_AUGMENTATION,
    STRONG,
    WEAK,
    Augmentation,
    HalfBodyMin,
)
from quantize.distill.data.batches import SourceSlice  # noqa: E402
from quantize.distill.data.instances import drawn_instances  # noqa: E402
from quantize.distill.data.patch_cache import PatchCache  # noqa: E402
from quantize.distill.data.samples import Sampler  # noqa: E402
from quantize.distill.data.schedule import plan_batches  # noqa: E402

COCO = load_schema("coco17")
WH = (48, 64)
FABRIC = Fabric(accelerator="cpu", devices=1)


@pytest.fixture(scope="module")
def sampler(tmp_path_factory) -> Sampler:
    people = drawn_instances(tmp_path_factory.mktemp("drawn"), 3, 6, COCO)
    spec = vitpose_spec("student", WH, "coco17")
    return Sampler(PatchCache(people, 1.25), COCO, spec.crop, WH, seed=1)


def schedule(sampler, **changed):
    config = DistillConfig(student="s", **({"batch": 2, "steps": 10, "augment": "weak"} | changed))
    return plan_batches([SourceSlice(0, len(sampler.patch_cache))], config)


def rows(made, sampler, done=0) -> list[tuple[int, ...]]:
    return [batch.rows for batch in made.batches(sampler, done, FABRIC, 1)]


@given(done=st.integers(0, 10), accumulate=st.integers(1, 3))
@settings(max_examples=15, deadline=None)
def test_any_step_can_be_the_first(sampler, done, accumulate) -> None:
    made = schedule(sampler, accumulate=accumulate)
    whole = rows(made, sampler)
    assert len(whole) == 10 * accumulate
    assert rows(made, sampler, done) == whole[done * accumulate :]


def test_a_resumed_schedule_shows_the_same_pixels(sampler) -> None:
    made = schedule(sampler)
    whole = list(made.batches(sampler, 0, FABRIC, 1))[7:]
    for before, after in zip(whole, made.batches(sampler, 7, FABRIC, 2), strict=True):
        assert before.images.equal(after.images)
        assert before.xy.equal(after.xy)


def test_an_epoch_shows_every_person_once(sampler) -> None:
    count = len(sampler.patch_cache)
    made = schedule(sampler, batch=1, steps=None, epochs=2)
    seen = [row for batch in rows(made, sampler) for row in batch]
    assert made.steps == 2 * count
    assert sorted(seen[:count]) == sorted(seen[count:]) == list(range(count))
    assert seen[:count] != seen[count:]


def test_fewer_people_than_a_step_needs_come_more_often(sampler) -> None:
    count = len(sampler.patch_cache)
    made = schedule(sampler, batch=count + 3, steps=2)
    for batch in rows(made, sampler):
        assert len(batch) == count + 3
        assert np.bincount(batch, minlength=count).min() >= 1


def phases(sampler, **changed) -> list[tuple[float, Augmentation]]:
    return [(each.start, each.augmentation) for each in schedule(sampler, **changed).phases]


def test_strong_augmentation_ends_weak(sampler) -> None:
    """The last tenth; all other views stay as they are, and a detector's jitter stays with them."""
    assert phases(sampler, augment="strong") == [(0, STRONG), (0.9, WEAK)]
    assert phases(sampler, augment="gentle") == [(0, GENTLE)]
    assert phases(sampler, augment="still") == [(0, NO_AUGMENTATION)]
    jittered = phases(sampler, augment="strong", jitter="detector")
    assert [each.jitter for _, each in jittered] == ["detector", "detector"]


def test_long_runs_end_weak_as_the_paper_has_it(sampler) -> None:
    """30 of 420 epochs; and any share that is asked for."""
    (_, strong), (start, weak) = phases(sampler, augment="strong", steps=None, epochs=420)
    assert (strong, weak) == (STRONG, WEAK)
    assert start == pytest.approx(390 / 420)
    assert phases(sampler, augment="strong", weak_share=0.25)[1][0] == 0.75
    assert phases(sampler, augment="strong", weak_share=0) == [(0, STRONG)]
    assert phases(sampler, augment="strong", weak_share=1) == [(0, WEAK)]


def test_jitter_begins_late_where_asked(sampler) -> None:
    made = phases(sampler, augment="strong", jitter="detector", jitter_start=0.74)
    assert [(start, each.jitter) for start, each in made] == [
        (0.0, "none"),
        (0.74, "detector"),
        (0.9, "detector"),
    ]


def test_a_phase_begins_at_its_step(sampler) -> None:
    """From any step on, each crop is augmented as the phase of its step says."""
    made = schedule(sampler, augment="gentle", jitter="detector", jitter_start=0.6)
    assert made.steps == 10
    plain, jittered = (each.augmentation for each in made.phases)
    per_epoch = len(sampler.patch_cache) // 2
    for done in (0, 5, 6):
        for step, batch in enumerate(made.batches(sampler, done, FABRIC, 1), start=done):
            for row, crop in zip(batch.rows, batch.crops, strict=True):
                wanted = jittered if step >= 6 else plain
                again = sampler.sample(row, step // per_epoch, wanted)
                np.testing.assert_array_equal(crop.matrix, again.crop.matrix)


def test_runs_of_the_first_release_keep_their_views(sampler) -> None:
    old = phases(sampler, augment="strong", format=1, steps=None, epochs=420)
    assert [start for start, _ in old] == [0, 0.9]
    for _, each in old:
        assert each.shift_prob == 1
        assert each.half_body_min == HalfBodyMin(8, 3, 3)


def test_slices_are_weighted(sampler) -> None:
    count = len(sampler.patch_cache)
    half = count // 2
    shares = [SourceSlice(0, half, 3.0), SourceSlice(half, count - half, 0.5)]
    made = plan_batches(shares, DistillConfig(student="s", batch=1, epochs=1))
    seen = np.bincount([row for batch in rows(made, sampler) for row in batch], minlength=count)
    assert set(seen[:half]) == {3}
    assert seen[half:].sum() == round((count - half) * 0.5)
    assert made.steps == seen.sum()
