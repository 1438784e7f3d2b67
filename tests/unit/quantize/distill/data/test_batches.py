"""Batches: every sample once an epoch, the same for the same seed, divided equally over processes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from edge.schema import load_schema  # noqa: E402
from quantize.distill.data.augment import STRONG  # noqa: E402
from quantize.distill.data.batches import (  # noqa: E402
    SourceSlice,
    epoch_order,
    pose_batches,
    split_into_batches,
)
from quantize.distill.data.instances import drawn_instances  # noqa: E402
from quantize.distill.data.patch_cache import PatchCache  # noqa: E402
from quantize.distill.data.samples import Sampler  # noqa: E402
from quantize.distill.loop.distributed import Processes  # noqa: E402
from runtimes.errors import SourceError  # noqa: E402
from runtimes.spec import CropSpec  # noqa: E402


@given(
    counts=st.lists(st.integers(1, 30), min_size=1, max_size=3),
    seed=st.integers(0, 99),
    epoch=st.integers(0, 9),
)
def test_every_row_comes_once_an_epoch(counts, seed, epoch) -> None:
    starts = np.cumsum([0, *counts[:-1]]).tolist()
    shares = [SourceSlice(start, count) for start, count in zip(starts, counts, strict=True)]
    assert sorted(epoch_order(shares, seed, epoch)) == list(range(sum(counts)))
    assert epoch_order(shares, seed, epoch) == epoch_order(shares, seed, epoch)


@given(count=st.integers(1, 40), weight=st.floats(0.1, 4))
def test_weights_are_times_an_epoch(count, weight) -> None:
    rows = epoch_order([SourceSlice(5, count, weight)], 0, 0)
    assert len(rows) == max(round(count * weight), 1)
    times = np.bincount(np.array(rows) - 5, minlength=count)
    assert times.max() - times.min() <= 1


def test_epochs_and_seeds_differ() -> None:
    share = [SourceSlice(0, 50)]
    orders = {tuple(epoch_order(share, seed, epoch)) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


@given(count=st.integers(1, 50), size=st.integers(1, 12), world=st.integers(1, 4))
def test_parts_make_the_batch(count, size, world) -> None:
    plan = split_into_batches(range(count), size)
    assert all(len(batch) == min(size, count) for batch in plan)
    assert [row for batch in plan for row in batch] == list(range(len(plan) * min(size, count)))
    for batch in plan:
        parts = [Processes(rank, world).part(batch) for rank in range(world)]
        assert sorted(row for part in parts for row in part) == batch


@pytest.mark.parametrize("workers", [1, 3])
def test_threads_change_nothing(tmp_path, workers) -> None:
    coco, udp = load_schema("coco17"), CropSpec(kind="affine", padding=1.25, udp=True)
    people = drawn_instances(tmp_path, 5, 4, coco)
    sampler = Sampler(PatchCache(people, 1.25), coco, udp, (48, 64), seed=2)
    plan = split_into_batches(epoch_order([SourceSlice(0, len(people))], 2, 1), 2)
    made = list(pose_batches(sampler, plan, 1, STRONG, workers))
    assert [list(batch.rows) for batch in made] == plan
    for batch in made:
        for place, row in enumerate(batch.rows):
            wanted = sampler.sample(row, 1, STRONG)
            np.testing.assert_array_equal(batch.images[place], wanted.image)
            np.testing.assert_array_equal(batch.xy[place], wanted.xy)
            np.testing.assert_array_equal(batch.weights[place], wanted.weights)
            assert batch.flipped[place] == wanted.flipped


def test_a_missing_picture_ends_the_training(tmp_path) -> None:
    coco, udp = load_schema("coco17"), CropSpec(kind="affine", padding=1.25, udp=True)
    people = drawn_instances(tmp_path, 5, 2, coco)
    sampler = Sampler(PatchCache(people, 1.25), coco, udp, (48, 64))
    people[0].image_path.unlink()
    with pytest.raises(SourceError, match=people[0].image_path.name):
        list(pose_batches(sampler, [[0]], 0, STRONG))
