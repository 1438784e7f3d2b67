"""Images that judge int8: detectors are judged on enough boxes, on drawn images where the held-out set has too few."""

import msgspec
import numpy as np
import pytest

from edge.parity.boxes import MIN_BOXES
from export.inputs import drawn_inputs
from quantize.int8 import held_out as module
from quantize.int8.calibration import ImageSets
from quantize.int8.held_out import held_out_reference
from runtimes.artifact import Artifact
from runtimes.codec_spec import BoxesCodec
from runtimes.files import seal
from runtimes.spec import TensorSpec

SIDE = 32
STEP, MOST = 2, 6  # drawing takes time


def sets(own: np.ndarray) -> ImageSets:
    return ImageSets(own[:1], own[:1], own, "photographs of here", "0" * 64)


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


def noise(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)


def test_a_held_out_set_with_enough_boxes_is_all(detector) -> None:
    own = noise(MIN_BOXES // 2)  # two strong boxes an image
    held_out = held_out_reference(detector, sets(own))
    np.testing.assert_array_equal(held_out.reference.images, own)
    assert held_out.label == f"photographs of here, {MIN_BOXES // 2} held out"


def test_images_are_drawn_until_there_are_enough_boxes(pose, tmp_path) -> None:
    detector = constant_detector(tmp_path / "one", pose, [0.9, 0.2, 0.1])
    own = noise(MIN_BOXES - STEP - 1)
    held_out = held_out_reference(detector, sets(own))
    images = held_out.reference.images
    assert len(images) == len(own) + 2 * STEP  # after one step a box is missing
    np.testing.assert_array_equal(images[: len(own)], own)
    assert len(np.unique(images, axis=0)) == len(images)
    assert len(held_out.reference.boxes) == len(images)
    assert sum(int((each.scores >= 0.3).sum()) for each in held_out.reference.boxes) >= MIN_BOXES
    assert held_out.label.endswith(f"{len(own)} held out, and {2 * STEP} drawn")
    again = held_out_reference(detector, sets(own))
    np.testing.assert_array_equal(again.reference.images, images)


def test_no_drawn_image_is_in_another_set(detector) -> None:
    """Calibrated on the very images that would be drawn first: others are."""
    own = noise(3)
    first = held_out_reference(detector, sets(own)).reference.images[3:]
    taken = ImageSets(first[:STEP], first[STEP : STEP + 1], own, "drawn people", "0" * 64)
    second = held_out_reference(detector, taken).reference.images[3:]
    assert len(second) == len(first) == MOST
    np.testing.assert_array_equal(second[: MOST - STEP - 1], first[STEP + 1 :])
    used = {image.tobytes() for image in first[: STEP + 1]}
    assert used.isdisjoint(image.tobytes() for image in second)


def test_drawing_ends_where_the_detector_finds_no_people(pose, tmp_path) -> None:
    blind = constant_detector(tmp_path / "blind", pose, [0.2, 0.2, 0.1])
    assert len(held_out_reference(blind, sets(noise(3))).reference.images) == 3 + MOST


def test_poses_are_judged_on_the_held_out_set(pose) -> None:
    own = drawn_inputs(pose.manifest, 3).images
    held_out = held_out_reference(pose, sets(own))
    np.testing.assert_array_equal(held_out.reference.images, own)
    assert len(held_out.reference.poses) == 3
