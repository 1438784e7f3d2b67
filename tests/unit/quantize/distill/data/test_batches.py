"""Who comes when: everybody once an epoch, the same for the same seed, and in parts that make the whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from edge.schema import load_schema  # noqa: E402
from quantize.distill.data.augment import STRONG  # noqa: E402
from quantize.distill.data.batches import Share, batches_of, order_of, part_of, prepare  # noqa: E402
from quantize.distill.data.instances import drawn_people  # noqa: E402
from quantize.distill.data.patch_cache import Album  # noqa: E402
from quantize.distill.data.samples import Sampler  # noqa: E402
from runtimes.errors import SourceError  # noqa: E402
from runtimes.spec import CropSpec  # noqa: E402


@given(
    counts=st.lists(st.integers(1, 30), min_size=1, max_size=3),
    seed=st.integers(0, 99),
    epoch=st.integers(0, 9),
)
def test_everybody_comes_once_an_epoch(counts, seed, epoch) -> None:
    starts = np.cumsum([0, *counts[:-1]]).tolist()
    shares = [Share(start, count) for start, count in zip(starts, counts, strict=True)]
    assert sorted(order_of(shares, seed, epoch)) == list(range(sum(counts)))
    assert order_of(shares, seed, epoch) == order_of(shares, seed, epoch)


@given(count=st.integers(1, 40), weight=st.floats(0.1, 4))
def test_weights_are_times_an_epoch(count, weight) -> None:
    rows = order_of([Share(5, count, weight)], 0, 0)
    assert len(rows) == max(round(count * weight), 1)
    times = np.bincount(np.array(rows) - 5, minlength=count)
    assert times.max() - times.min() <= 1


def test_epochs_and_seeds_differ() -> None:
    share = [Share(0, 50)]
    orders = {tuple(order_of(share, seed, epoch)) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


@given(count=st.integers(1, 50), size=st.integers(1, 12), world=st.integers(1, 4))
def test_parts_make_the_batch(count, size, world) -> None:
    plan = batches_of(range(count), size)
    assert all(len(batch) == min(size, count) for batch in plan)
    assert [row for batch in plan for row in batch] == list(range(len(plan) * min(size, count)))
    for batch in plan:
        parts = [part_of(batch, rank, world) for rank in range(world)]
        assert sorted(row for part in parts for row in part) == batch


@pytest.mark.parametrize("workers", [1, 3])
def test_threads_change_nothing(tmp_path, workers) -> None:
    coco, udp = load_schema("coco17"), CropSpec(kind="affine", padding=1.25, udp=True)
    people = drawn_people(tmp_path, 5, 4, coco)
    sampler = Sampler(Album(people, 1.25), coco, udp, (48, 64), seed=2)
    plan = batches_of(order_of([Share(0, len(people))], 2, 1), 2)
    made = list(prepare(sampler, plan, 1, STRONG, workers))
    assert [list(batch.rows) for batch in made] == plan
    for batch in made:
        for place, row in enumerate(batch.rows):
            wanted = sampler.sample(row, 1, STRONG)
            np.testing.assert_array_equal(batch.images[place], wanted.image)
            np.testing.assert_array_equal(batch.xy[place], wanted.xy)
            np.testing.assert_array_equal(batch.weights[place], wanted.weights)
            assert batch.mirrored[place] == wanted.mirrored


def test_a_picture_that_is_gone_ends_the_training(tmp_path) -> None:
    coco, udp = load_schema("coco17"), CropSpec(kind="affine", padding=1.25, udp=True)
    people = drawn_people(tmp_path, 5, 2, coco)
    sampler = Sampler(Album(people, 1.25), coco, udp, (48, 64))
    people[0].picture.unlink()
    with pytest.raises(SourceError, match=people[0].picture.name):
        list(prepare(sampler, [[0]], 0, STRONG))
