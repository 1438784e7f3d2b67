"""YOLOX: cells to boxes, against the definition written cell by cell."""

import math

import msgspec
import numpy as np
import pytest

from edge.codecs import decode
from runtimes.base import Array
from runtimes.codec_spec import YOLOXCodec
from runtimes.errors import InputError
from runtimes.spec import (
    CropSpec,
    ImageSpec,
    ModelSpec,
    TensorSpec,
    Thresholds,
)

WIDTH, HEIGHT, STRIDES = 96, 64, (8, 16, 32)


def spec(codec: YOLOXCodec, nms_iou: float = 1.0) -> ModelSpec:
    return ModelSpec(
        model="yolox",
        task="detect",
        inputs=(),
        outputs=(TensorSpec(name="output"),),
        image=ImageSpec(wh=(WIDTH, HEIGHT)),
        crop=CropSpec(kind="letterbox"),
        codec=codec,
        thresholds=Thresholds(score=0.3, nms_iou=nms_iou),
    )


def cells(classes: int = 3, batch: int = 1) -> Array:
    count = sum((WIDTH // stride) * (HEIGHT // stride) for stride in STRIDES)
    rng = np.random.default_rng(0)
    boxes = rng.uniform(-1, 1.5, (batch, count, 4))
    return np.concatenate([boxes, rng.random((batch, count, 1 + classes))], axis=2).astype("f4")


def test_every_cell_is_decoded_by_the_definition() -> None:
    values = cells()
    (got,) = decode({"output": values}, spec(YOLOXCodec(max_detections=10_000)))
    want = []
    rows = iter(values[0].tolist())
    for stride in STRIDES:
        for row in range(HEIGHT // stride):
            for column in range(WIDTH // stride):
                x, y, log_w, log_h, objectness, *classes = next(rows)
                score = objectness * max(classes)
                if score > 0.3:
                    x, y = (x + column) * stride, (y + row) * stride
                    w, h = math.exp(log_w) * stride, math.exp(log_h) * stride
                    label = classes.index(max(classes))
                    want.append((score, label, x - w / 2, y - h / 2, x + w / 2, y + h / 2))
    want.sort(reverse=True)
    np.testing.assert_allclose(got.scores, [row[0] for row in want], rtol=1e-5)
    assert got.labels.tolist() == [row[1] for row in want]
    np.testing.assert_allclose(got.boxes, [row[2:] for row in want], rtol=1e-4, atol=1e-3)


def test_limits_and_batch() -> None:
    values = cells(batch=2)
    first, second = decode({"output": values}, spec(YOLOXCodec(max_detections=4), nms_iou=0.5))
    assert len(first) == len(second) == 4
    (alone,) = decode({"output": values[1:]}, spec(YOLOXCodec(max_detections=4), nms_iou=0.5))
    np.testing.assert_array_equal(second.boxes, alone.boxes)
    assert len(decode({"output": values}, spec(YOLOXCodec(max_candidates=2)))[0]) == 2


def test_nothing_likely_is_no_box() -> None:
    values = cells()
    values[..., 4] = 0.1
    assert len(decode({"output": values}, spec(YOLOXCodec()))[0]) == 0


def test_cells_that_do_not_fit_the_input_are_refused() -> None:
    with pytest.raises(InputError, match=r"yolox: 10 cells, but \(96, 64\)"):
        decode({"output": cells()[:, :10]}, spec(YOLOXCodec()))


def test_outputs_have_as_many_classes_as_are_named() -> None:
    named = msgspec.structs.replace(spec(YOLOXCodec()), classes=("a", "b", "c", "d"))
    with pytest.raises(InputError, match="have 3 classes, its spec names 4;"):
        decode({"output": cells(classes=3)}, named)
