"""Outputs of a session: names, dtypes, shapes, padding."""

from pathlib import Path

import numpy as np
import pytest

from runtimes.adapters.outputs import join_batches, name_outputs
from runtimes.errors import EngineError
from runtimes.spec import TensorSpec

ROOT = Path("tiny.fake-fp32")


def test_quantised_values_become_real() -> None:
    spec = TensorSpec(name="a", dtype="int8", scale=0.5, zero_point=-128, shape=(-1, 3))
    out = name_outputs(ROOT, (spec,), [np.array([[-128, 0, 127]], np.int8)])["a"]
    assert out.dtype == np.float32
    assert out.tolist() == [[0.0, 64.0, 127.5]]


def test_floats_and_labels_keep_their_kind() -> None:
    specs = (TensorSpec(name="f"), TensorSpec(name="i"), TensorSpec(name="b"))
    raw = [np.ones((1, 2), np.float16), np.ones((1, 2), np.int32), np.ones((1, 2), bool)]
    out = name_outputs(ROOT, specs, raw)
    assert [value.dtype for value in out.values()] == [np.float32, np.int64, np.int64]


def test_axes_of_one_are_put_back_and_nothing_else() -> None:
    values = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    for shape in ((-1, 1, 2, 3), (-1, 2, 1, 3), (-1, 2, 3)):
        out = name_outputs(ROOT, (TensorSpec(name="a", shape=shape),), [values])["a"]
        assert out.shape == (1, *shape[1:])
        assert out.ravel().tolist() == list(range(6))
    for shape in ((-1, 3, 2), (-1, 6), (-1, 2, 3, 2), (-1, 2, -1, 1)):
        with pytest.raises(EngineError, match=r"'a' has shape \(1, 2, 3\)"):
            name_outputs(ROOT, (TensorSpec(name="a", shape=shape),), [values])


def test_a_free_axis_takes_any_length() -> None:
    spec = TensorSpec(name="dets", shape=(-1, -1, 5))
    for count in (0, 1, 7):
        out = name_outputs(ROOT, (spec,), [np.zeros((1, count, 5), np.float32)])
        assert out["dets"].shape == (1, count, 5)


def test_fixed_outputs_are_joined_without_a_count() -> None:
    spec = TensorSpec(name="a", shape=(-1, 2))
    parts = [{"a": np.full((1, 2), index, np.float32)} for index in range(3)]
    joined = join_batches(ROOT, (spec,), parts)
    assert list(joined) == ["a"]
    assert joined["a"].tolist() == [[0, 0], [1, 1], [2, 2]]


def test_ragged_outputs_are_padded_and_counted() -> None:
    specs = (
        TensorSpec(name="dets", shape=(-1, -1, 2)),
        TensorSpec(name="labels", dtype="int64", shape=(-1, -1)),
        TensorSpec(name="whole", shape=(-1, 1)),
    )
    parts = [
        {
            "dets": np.ones((1, count, 2), np.float32),
            "labels": np.zeros((1, count), np.int64),
            "whole": np.ones((1, 1), np.float32),
        }
        for count in (2, 0, 1)
    ]
    joined = join_batches(ROOT, specs, parts)
    assert joined["count"].dtype == np.int32
    assert joined["count"].tolist() == [2, 0, 1]
    assert joined["labels"].tolist() == [[0, 0], [-1, -1], [0, -1]]
    assert joined["dets"].sum(axis=(1, 2)).tolist() == [4, 0, 2]
    assert joined["whole"].shape == (3, 1)


def test_a_batch_the_graph_padded_itself_counts_every_row() -> None:
    specs = (TensorSpec(name="dets", shape=(-1, -1, 5)),)
    joined = join_batches(ROOT, specs, [{"dets": np.zeros((4, 9, 5), np.float32)}])
    assert joined["count"].tolist() == [9, 9, 9, 9]


def test_ragged_outputs_that_disagree_are_refused() -> None:
    specs = (TensorSpec(name="dets", shape=(-1, -1, 5)), TensorSpec(name="labels", shape=(-1, -1)))
    part = {"dets": np.zeros((1, 3, 5), np.float32), "labels": np.zeros((1, 4), np.int64)}
    with pytest.raises(EngineError, match="dets, labels differ"):
        join_batches(ROOT, specs, [part])
