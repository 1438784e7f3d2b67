"""Courses: every step's batch follows from the seed and the step, however the training got there."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from lightning_fabric import Fabric  # noqa: E402

from edge.catalog.specs_vitpose import vitpose_spec  # noqa: E402
from edge.schema import load_schema  # noqa: E402
from quantize.distill.config import Recipe  # noqa: E402
from quantize.distill.data.augment import AT_REST, GENTLE, STRONG, WEAK  # noqa: E402
from quantize.distill.data.batches import Share  # noqa: E402
from quantize.distill.data.instances import drawn_people  # noqa: E402
from quantize.distill.data.patch_cache import Album  # noqa: E402
from quantize.distill.data.samples import Sampler  # noqa: E402
from quantize.distill.data.schedule import plan_course  # noqa: E402

COCO = load_schema("coco17")
WH = (48, 64)
FABRIC = Fabric(accelerator="cpu", devices=1)


@pytest.fixture(scope="module")
def sampler(tmp_path_factory) -> Sampler:
    people = drawn_people(tmp_path_factory.mktemp("drawn"), 3, 6, COCO)
    spec = vitpose_spec("student", WH, "coco17")
    return Sampler(Album(people, 1.25), COCO, spec.crop, WH, seed=1)


def course(sampler, **changed):
    recipe = Recipe(student="s", **({"batch": 2, "steps": 10, "views": "weak"} | changed))
    return plan_course([Share(0, len(sampler.album))], recipe)


def rows(made, sampler, done=0) -> list[tuple[int, ...]]:
    return [batch.rows for batch in made.batches(sampler, done, FABRIC, 1)]


@given(done=st.integers(0, 10), accumulate=st.integers(1, 3))
@settings(max_examples=15, deadline=None)
def test_any_step_can_be_the_first(sampler, done, accumulate) -> None:
    made = course(sampler, accumulate=accumulate)
    whole = rows(made, sampler)
    assert len(whole) == 10 * accumulate
    assert rows(made, sampler, done) == whole[done * accumulate :]


def test_a_resumed_course_shows_the_same_pixels(sampler) -> None:
    made = course(sampler)
    whole = list(made.batches(sampler, 0, FABRIC, 1))[7:]
    for before, after in zip(whole, made.batches(sampler, 7, FABRIC, 2), strict=True):
        assert before.images.equal(after.images)
        assert before.xy.equal(after.xy)


def test_an_epoch_shows_everybody_once(sampler) -> None:
    count = len(sampler.album)
    made = course(sampler, batch=1, steps=None, epochs=2)
    seen = [row for batch in rows(made, sampler) for row in batch]
    assert made.steps == 2 * count
    assert sorted(seen[:count]) == sorted(seen[count:]) == list(range(count))
    assert seen[:count] != seen[count:]


def test_fewer_people_than_a_step_needs_come_more_often(sampler) -> None:
    count = len(sampler.album)
    made = course(sampler, batch=count + 3, steps=2)
    for batch in rows(made, sampler):
        assert len(batch) == count + 3
        assert np.bincount(batch, minlength=count).min() >= 1


def test_strong_views_end_weak(sampler) -> None:
    """The last tenth; all other views stay as they are, and a detector's jitter stays with them."""
    assert course(sampler, views="strong").strength == STRONG
    assert course(sampler, views="strong")._end() == WEAK
    assert course(sampler, views="gentle")._end() == GENTLE
    assert course(sampler, views="still")._end() == AT_REST
    jittered = course(sampler, views="strong", jitter="detector")
    assert (jittered.strength.jitter, jittered._end().jitter) == ("detector", "detector")


def test_shares_weigh(sampler) -> None:
    count = len(sampler.album)
    half = count // 2
    shares = [Share(0, half, 3.0), Share(half, count - half, 0.5)]
    made = plan_course(shares, Recipe(student="s", batch=1, epochs=1))
    seen = np.bincount([row for batch in rows(made, sampler) for row in batch], minlength=count)
    assert set(seen[:half]) == {3}
    assert seen[half:].sum() == round((count - half) * 0.5)
    assert made.steps == seen.sum()
