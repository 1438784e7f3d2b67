"""Which images judge int8: a detector is judged on enough boxes, of drawn pictures where the report set has too few."""

import msgspec
import numpy as np
import pytest

from edge.parity.boxes import MIN_BOXES
from export.inputs import drawn_inputs
from quantize.int8 import held_out as module
from quantize.int8.calibration import Sets
from quantize.int8.held_out import held_out
from runtimes.artifact import Artifact
from runtimes.codec_spec import BoxesCodec
from runtimes.files import seal
from runtimes.spec import TensorSpec

SIDE = 32
STEP, MOST = 2, 6  # drawing takes time


def sets(report: np.ndarray) -> Sets:
    return Sets(report[:1], report[:1], report, "photographs of here", "0" * 64)


@pytest.fixture(autouse=True)
def few(monkeypatch) -> None:
    monkeypatch.setattr(module, "STEP", STEP)
    monkeypatch.setattr(module, "MOST", MOST)


@pytest.fixture
def pose(small_artifact, tmp_path) -> Artifact:
    artifact: Artifact = small_artifact(tmp_path / "pose")
    return artifact


@pytest.fixture
def detector(pose, tmp_path) -> Artifact:
    """Finds in every picture the same three boxes, one of them under .3: an ONNX graph of constants."""
    return constant_detector(tmp_path / "detector", pose, [0.9, 0.5, 0.2])


def constant_detector(root, pose: Artifact, scores: list[float]) -> Artifact:
    onnx = pytest.importorskip("onnx")
    helper, kinds = onnx.helper, onnx.TensorProto
    corners = [[0, 0, 9, 9], [10, 10, 30, 30], [0, 20, 9, 30]]
    dets = np.array([[*box, score] for box, score in zip(corners, scores, strict=True)], np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Shape", ["image"], ["batch"], start=0, end=1),
            helper.make_node("Concat", ["batch", "rows"], ["size"], axis=0),
            helper.make_node("Concat", ["batch", "row"], ["label_size"], axis=0),
            helper.make_node("Expand", ["boxes", "size"], ["dets"]),
            helper.make_node("Expand", ["zero", "label_size"], ["labels"]),
        ],
        "constant",
        [helper.make_tensor_value_info("image", kinds.UINT8, ["N", SIDE, SIDE, 3])],
        [
            helper.make_tensor_value_info("dets", kinds.FLOAT, ["N", 3, 5]),
            helper.make_tensor_value_info("labels", kinds.INT64, ["N", 3]),
        ],
        [
            onnx.numpy_helper.from_array(dets[None], "boxes"),
            onnx.numpy_helper.from_array(np.zeros((1, 3), np.int64), "zero"),
            onnx.numpy_helper.from_array(np.array([3, 5]), "rows"),
            onnx.numpy_helper.from_array(np.array([3]), "row"),
        ],
    )
    root.mkdir()
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), root / "model.onnx")
    manifest = msgspec.structs.replace(
        pose.manifest,
        task="detect",
        outputs=(TensorSpec(name="dets"), TensorSpec(name="labels", dtype="int64")),
        codec=BoxesCodec(),
        keypoints=None,
        files=(),
    )
    return seal(root, manifest)


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)


def test_a_report_set_with_enough_boxes_is_all(detector) -> None:
    report = pictures(MIN_BOXES // 2)  # two strong boxes a picture
    judging = held_out(detector, sets(report))
    np.testing.assert_array_equal(judging.reference.images, report)
    assert judging.label == f"photographs of here, {MIN_BOXES // 2} held out"


def test_pictures_are_drawn_until_there_are_enough_boxes(pose, tmp_path) -> None:
    detector = constant_detector(tmp_path / "one", pose, [0.9, 0.2, 0.1])
    report = pictures(MIN_BOXES - STEP - 1)
    judging = held_out(detector, sets(report))
    images = judging.reference.images
    assert len(images) == len(report) + 2 * STEP  # one of them would leave a box missing
    np.testing.assert_array_equal(images[: len(report)], report)
    assert len(np.unique(images, axis=0)) == len(images)
    assert sum(int((each.scores >= 0.3).sum()) for each in judging.reference.boxes) >= MIN_BOXES
    assert judging.label.endswith(f"{len(report)} held out, and {2 * STEP} drawn")
    again = held_out(detector, sets(report))
    np.testing.assert_array_equal(again.reference.images, images)


def test_a_detector_that_finds_nothing_in_drawn_pictures_ends_the_search(pose, tmp_path) -> None:
    blind = constant_detector(tmp_path / "blind", pose, [0.2, 0.2, 0.1])
    assert len(held_out(blind, sets(pictures(3))).reference.images) == 3 + MOST


def test_poses_are_judged_on_the_report_set(pose) -> None:
    report = drawn_inputs(pose.manifest, 3).images
    judging = held_out(pose, sets(report))
    np.testing.assert_array_equal(judging.reference.images, report)
    assert len(judging.reference.poses) == 3
