"""Ultralytics' two output formats, decoded to values worked out by hand."""

import msgspec
import numpy as np
import pytest

from edge.catalog.specs_yolo import cells, yolo_detect_spec, yolo_pose_spec
from edge.codecs import decode_boxes, decode_poses
from edge.schema import KeypointSchema
from runtimes.codec_spec import YoloCodec, YoloRowsCodec
from runtimes.errors import InputError
from runtimes.spec import ModelSpec

WH = (64, 32)
PAIR = KeypointSchema("pair", ("a", "b"))


def raw(channels: int, columns: dict[int, list[float]]) -> dict[str, np.ndarray]:
    """Return an output of zeros but for these cells."""
    values = np.zeros((1, channels, cells(WH)), np.float32)
    for cell, column in columns.items():
        values[0, :, cell] = column
    return {"output0": values}


def changed(spec: ModelSpec, **changes: object) -> ModelSpec:
    return msgspec.structs.replace(spec, **changes)


def test_cells_are_those_of_three_strides() -> None:
    assert cells((640, 640)) == 8400
    assert cells(WH) == 8 * 4 + 4 * 2 + 2 * 1


def test_a_detector_gives_the_best_class_of_each_cell_and_drops_duplicates() -> None:
    spec = changed(yolo_detect_spec("any", WH), classes=("dog", "person", "net"))
    outputs = raw(
        7,
        {
            0: [20, 10, 8, 4, 0.1, 0.9, 0.2],
            5: [20.5, 10, 8, 4, 0.1, 0.8, 0.2],  # the same box: IoU 7.5 / 8.5 = .88
            6: [20.5, 10, 8, 4, 0.7, 0.1, 0.2],  # of another class, so it stays
            41: [50, 20, 10, 10, 0.0, 0.04, 0.02],  # under the threshold of .05
        },
    )
    (found,) = decode_boxes(outputs, spec)
    assert found.boxes.tolist() == [[16, 8, 24, 12], [16.5, 8, 24.5, 12]]
    assert found.scores.tolist() == pytest.approx([0.9, 0.7])
    assert found.labels.tolist() == [1, 0]


def test_a_pose_model_gives_keypoints_with_their_boxes() -> None:
    spec = yolo_pose_spec("any", WH, PAIR)
    outputs = raw(
        11,
        {
            3: [20, 10, 8, 4, 0.6, 17, 9, 0.9, 23, 11, 0.1],
            7: [40, 16, 10, 20, 0.95, 38, 8, 0.8, 41, 25, 0.7],
            9: [20, 10.2, 8, 4, 0.5, 0, 0, 1, 0, 0, 1],  # the first box again
        },
    )
    (found,) = decode_poses(outputs, spec)
    assert found.xy.tolist() == [[[38, 8], [41, 25]], [[17, 9], [23, 11]]]
    assert found.scores.tolist() == pytest.approx(np.array([[0.8, 0.7], [0.9, 0.1]]))
    assert found.boxes is not None
    assert found.boxes.boxes.tolist() == [[35, 6, 45, 26], [16, 8, 24, 12]]
    assert found.boxes.scores.tolist() == pytest.approx([0.95, 0.6])


def test_two_values_a_keypoint_take_the_boxs_score() -> None:
    spec = changed(yolo_pose_spec("any", WH, PAIR), codec=YoloCodec(point_values=2))
    (found,) = decode_poses(raw(9, {3: [20, 10, 8, 4, 0.6, 17, 9, 23, 11]}), spec)
    assert found.xy.tolist() == [[[17, 9], [23, 11]]]
    assert found.scores.tolist() == pytest.approx(np.array([[0.6, 0.6]]))


def test_rows_are_boxes_already() -> None:
    spec = changed(yolo_detect_spec("any", WH), codec=YoloRowsCodec())
    rows = np.zeros((2, 300, 6), np.float32)
    rows[0, :3] = [[1, 2, 3, 4, 0.3, 7], [5, 6, 9, 9, 0.9, 0], [0, 0, 1, 1, 0.01, 0]]
    first, second = decode_boxes({"output0": rows}, spec)
    assert first.boxes.tolist() == [[5, 6, 9, 9], [1, 2, 3, 4]]
    assert first.scores.tolist() == pytest.approx([0.9, 0.3])
    assert first.labels.tolist() == [0, 7]
    assert len(second) == 0


def test_rows_with_keypoints() -> None:
    spec = changed(yolo_pose_spec("any", WH, PAIR), codec=YoloRowsCodec())
    rows = np.zeros((1, 300, 12), np.float32)
    rows[0, 0] = [1, 2, 30, 20, 0.9, 0, 4, 5, 0.8, 6, 7, 0.3]
    (found,) = decode_poses({"output0": rows}, spec)
    assert found.xy.tolist() == [[[4, 5], [6, 7]]]
    assert found.scores.tolist() == pytest.approx(np.array([[0.8, 0.3]]))
    assert found.boxes is not None
    assert found.boxes.boxes.tolist() == [[1, 2, 30, 20]]


def test_counts_that_do_not_add_up_are_one_line() -> None:
    spec = yolo_pose_spec("any", WH, PAIR)
    with pytest.raises(InputError, match="9 channels are not 4, some classes and 2 keypoints of 3"):
        decode_poses(raw(9, {}), spec)
    with pytest.raises(InputError, match="9 columns are not 6 and 2 keypoints of 3"):
        decode_poses(
            {"output0": np.zeros((1, 300, 9), np.float32)}, changed(spec, codec=YoloRowsCodec())
        )
    two = changed(yolo_detect_spec("any", WH), classes=("a", "b"))
    with pytest.raises(InputError, match="7 channels are not 4, 2 classes"):
        decode_boxes(raw(7, {}), two)
