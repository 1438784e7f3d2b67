"""RTMDet: grids of logits and distances to boxes, against the same law cell by cell."""

import math

import msgspec
import numpy as np
import pytest

from edge.codecs import decode
from edge.nms.overlap import pairwise_iou
from runtimes.base import Outputs
from runtimes.codec_spec import RTMDetCodec
from runtimes.errors import InputError
from runtimes.spec import (
    CropSpec,
    ImageSpec,
    ModelSpec,
    TensorSpec,
    Thresholds,
)

STRIDES = (8, 16, 32)
WIDTH, HEIGHT = 128, 64
DEFAULT, ENDLESS = RTMDetCodec(), RTMDetCodec(max_detections=10_000)


def spec(score: float = 0.3, nms_iou: float = 0.6, codec: RTMDetCodec = DEFAULT) -> ModelSpec:
    names = [f"{kind}{level}" for kind in ("cls", "reg") for level in range(3)]
    return ModelSpec(
        model="rtmdet",
        task="detect",
        inputs=(),
        outputs=tuple(TensorSpec(name=name) for name in names),
        image=ImageSpec(wh=(WIDTH, HEIGHT)),
        crop=CropSpec(kind="letterbox"),
        codec=codec,
        thresholds=Thresholds(score=score, nms_iou=nms_iou),
    )


def grids(seed: int, classes: int = 1, batch: int = 1) -> Outputs:
    rng = np.random.default_rng(seed)
    outputs = {}
    for level, stride in enumerate(STRIDES):
        shape = (HEIGHT // stride, WIDTH // stride)
        outputs[f"cls{level}"] = rng.normal(-1, 2, (batch, classes, *shape)).astype(np.float32)
        outputs[f"reg{level}"] = rng.uniform(-4, 40, (batch, 4, *shape)).astype(np.float32)
    return outputs


def every_box(outputs: Outputs, threshold: float) -> dict[tuple[int, tuple[float, ...]], float]:
    """All boxes of the first input above the threshold, before NMS: {(class, box): score}."""
    found = {}
    for level, stride in enumerate(STRIDES):
        for label, row, column in np.ndindex(outputs[f"cls{level}"][0].shape):
            score = 1 / (1 + math.exp(-outputs[f"cls{level}"][0, label, row, column]))
            left, top, right, bottom = outputs[f"reg{level}"][0, :, row, column].tolist()
            x, y = column * stride, row * stride
            box = (
                min(max(x - left, 0), WIDTH),
                min(max(y - top, 0), HEIGHT),
                min(max(x + right, 0), WIDTH),
                min(max(y + bottom, 0), HEIGHT),
            )
            if score > threshold and box[2] > box[0] and box[3] > box[1]:
                found[label, tuple(round(side, 2) for side in box)] = score
    return found


@pytest.mark.parametrize("classes", [1, 3])
def test_without_nms_every_cell_above_the_threshold_gives_its_box(classes: int) -> None:
    outputs = grids(0, classes)
    (got,) = decode(outputs, spec(nms_iou=1.0, codec=ENDLESS))
    want = every_box(outputs, 0.3)
    assert len(got) == len(want)
    for box, score, label in zip(got.boxes, got.scores, got.labels, strict=True):
        key = (int(label), tuple(round(float(side), 2) for side in box))
        assert want[key] == pytest.approx(score, abs=1e-5)
    assert (np.diff(got.scores) <= 0).all()


def test_nms_separates_boxes_of_one_class_only() -> None:
    (got,) = decode(grids(1, classes=2), spec(nms_iou=0.4))
    overlap = pairwise_iou(got.boxes, got.boxes) - np.eye(len(got))
    same = got.labels[:, None] == got.labels
    assert (overlap[same] <= 0.4).all()
    assert (overlap[~same] > 0.4).any()


def test_limits_keep_the_best() -> None:
    outputs = grids(2)
    (every,) = decode(outputs, spec(nms_iou=1.0, codec=ENDLESS))
    (five,) = decode(outputs, spec(nms_iou=1.0, codec=RTMDetCodec(max_detections=5)))
    np.testing.assert_array_equal(five.boxes, every.boxes[:5])
    (ten_a_level,) = decode(
        outputs, spec(score=0.0, nms_iou=1.0, codec=RTMDetCodec(max_candidates=10))
    )
    assert len(ten_a_level) <= 30
    assert ten_a_level.scores[0] == every.scores[0]


@pytest.mark.parametrize("score", [0.0, 0.999, 1.0])
def test_extreme_thresholds_and_logits_raise_no_warning(score: float) -> None:
    outputs = grids(3)
    outputs["cls0"][:] = -200
    for name in ("cls1", "cls2"):
        outputs[name][:] = -300
    (got,) = decode(outputs, spec(score=score))
    assert (got.scores >= 0).all()
    assert score == 0.0 or len(got) == 0


def test_a_batch_is_each_input_alone() -> None:
    outputs = grids(4, batch=3)
    for i, got in enumerate(decode(outputs, spec())):
        (alone,) = decode({name: values[i : i + 1] for name, values in outputs.items()}, spec())
        np.testing.assert_array_equal(got.boxes, alone.boxes)
        np.testing.assert_array_equal(got.scores, alone.scores)


@pytest.mark.parametrize("names", [("person",), ("a", "b", "c")])
def test_outputs_have_as_many_classes_as_are_named(names) -> None:
    named = msgspec.structs.replace(spec(), classes=names)
    with pytest.raises(InputError, match=f"have 2 classes, its spec names {len(names)};"):
        decode(grids(0, classes=2), named)
