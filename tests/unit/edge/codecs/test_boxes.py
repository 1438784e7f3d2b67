"""Boxes from a graph with NMS, and what `decode` says to a wrong output name."""

import msgspec
import numpy as np
import pytest

from edge.codecs import decode
from runtimes.codec_spec import BoxesCodec
from runtimes.errors import InputError
from runtimes.spec import CropSpec, ImageSpec, ModelSpec, TensorSpec, Thresholds

SPEC = ModelSpec(
    model="end2end",
    task="detect",
    inputs=(),
    outputs=(TensorSpec(name="dets"), TensorSpec(name="labels")),
    image=ImageSpec(wh=(320, 320)),
    crop=CropSpec(kind="letterbox"),
    codec=BoxesCodec(),
    thresholds=Thresholds(score=0.3),
)


def test_real_rows_above_the_threshold_stay_best_first() -> None:
    dets = np.zeros((2, 4, 5), np.float32)
    dets[0, :3, 4] = 0.4, 0.9, 0.3
    dets[0, :3, 0] = 1, 2, 3
    dets[1, 0] = 5, 6, 7, 8, 0.8
    labels = np.array([[0, 7, 0, -1], [2, -1, -1, -1]], np.int64)
    first, second = decode({"dets": dets, "labels": labels}, SPEC)
    assert first.boxes[:, 0].tolist() == [2, 1]
    assert first.labels.tolist() == [7, 0]
    np.testing.assert_allclose(first.scores, [0.9, 0.4])
    assert second.boxes.tolist() == [[5, 6, 7, 8]]


def test_padding_is_no_box_at_any_threshold() -> None:
    spec = ModelSpec(
        **{name: getattr(SPEC, name) for name in SPEC.__struct_fields__ if name != "thresholds"},
        thresholds=Thresholds(score=-1.0),
    )
    outputs = {"dets": np.zeros((1, 3, 5), np.float32), "labels": np.full((1, 3), -1)}
    assert len(decode(outputs, spec)[0]) == 0


def test_no_rows_are_no_boxes() -> None:
    outputs = {"dets": np.zeros((1, 0, 5), np.float32), "labels": np.zeros((1, 0), np.int64)}
    assert len(decode(outputs, SPEC)[0]) == 0


def test_a_missing_output_is_named() -> None:
    with pytest.raises(InputError, match="end2end: no output labels among boxes, dets"):
        decode({"dets": np.zeros((1, 0, 5)), "boxes": np.zeros((1, 0))}, SPEC)


def test_a_label_without_a_name_is_no_box_of_anything() -> None:
    named = msgspec.structs.replace(SPEC, classes=("ball", "person"))
    dets = np.tile(np.array([0, 0, 9, 9, 0.9], np.float32), (1, 2, 1))
    assert len(decode({"dets": dets, "labels": np.array([[1, -1]])}, named)[0]) == 1
    with pytest.raises(InputError, match=r"end2end: gives boxes of class 16, .* spec names 2;"):
        decode({"dets": dets, "labels": np.array([[0, 16]])}, named)
