"""Model: boxes in, poses out, around a session whose answers are scripted."""

import cv2
import msgspec
import numpy as np
import pytest

from edge.model import MAX_BATCH, Model, load
from edge.schema import load_schema
from edge.types import Detections, Poses
from runtimes.base import Effective, Outputs
from runtimes.codec_spec import BoxesCodec, SimCCCodec
from runtimes.errors import ArtifactError, EngineError, InputError, SourceError
from runtimes.fake import FakeSession
from runtimes.spec import (
    CropSpec,
    ImageSpec,
    ModelSpec,
    TensorSpec,
    Thresholds,
)

WIDTH, HEIGHT, POINTS = 48, 64, 17
COCO = load_schema("coco17")
POSE = ModelSpec(
    model="pose",
    task="pose-topdown",
    inputs=(TensorSpec(name="image"),),
    outputs=(TensorSpec(name="x"), TensorSpec(name="y")),
    image=ImageSpec(wh=(WIDTH, HEIGHT)),
    crop=CropSpec(kind="affine", padding=1.0),
    codec=SimCCCodec(),
    keypoints=COCO.to_spec(),
)
DETECTOR = ModelSpec(
    model="detector",
    task="detect",
    inputs=(TensorSpec(name="image"),),
    outputs=(TensorSpec(name="dets"), TensorSpec(name="labels")),
    image=ImageSpec(wh=(320, 320)),
    crop=CropSpec(kind="letterbox", pad_value=114),
    codec=BoxesCodec(),
    classes=("person", "dog"),
    thresholds=Thresholds(score=0.05),
)
FRAME = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)


def peaks(bins_xy: np.ndarray, value: float = 2.0) -> Outputs:
    """SimCC outputs with one peak a keypoint; bins_xy int (B, K, 2)."""
    batch, points, _ = bins_xy.shape
    x = np.zeros((batch, points, 2 * WIDTH), np.float32)
    y = np.zeros((batch, points, 2 * HEIGHT), np.float32)
    for place in np.ndindex(batch, points):
        x[(*place, bins_xy[place][0])] = value
        y[(*place, bins_xy[place][1])] = value
    return {"x": x, "y": y}


def same_for_all(feeds: Outputs) -> Outputs:
    """Every keypoint at input pixel (12, 32), for each image of the batch."""
    return peaks(np.tile([24, 64], (len(feeds["image"]), POINTS, 1)))


def boxes(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def test_keypoints_come_back_to_the_frame() -> None:
    session = FakeSession(same_for_all)
    # twice the input's size, so one input pixel is two of the frame; the second box is wide and grows in height
    poses = Model(POSE, session)(FRAME, boxes([100, 50, 196, 178], [0, 100, 96, 110]))
    assert session.feeds[0]["image"].shape == (2, HEIGHT, WIDTH, 3)
    np.testing.assert_allclose(poses.xy[0], np.tile([100 + 24, 50 + 64], (17, 1)), atol=1e-4)
    np.testing.assert_allclose(poses.xy[1], np.tile([24, 105], (17, 1)), atol=1e-4)
    assert poses.scores.tolist() == [[2.0] * 17] * 2
    assert poses.ids.tolist() == [-1, -1]
    assert poses.box_scores.tolist() == [1.0, 1.0]
    assert poses.schema == COCO


def test_without_boxes_the_whole_frame_is_the_person() -> None:
    session = FakeSession(same_for_all)
    poses = Model(POSE, session)(FRAME)
    assert poses.boxes.tolist() == [[0, 0, 320, 240]]
    # 320 wide needs 426.7 high for 48 x 64: a quarter of the width, half of the height
    np.testing.assert_allclose(poses.xy[0, 0], [80, 120], atol=1e-3)


def test_empty_boxes_give_an_empty_result_and_no_run() -> None:
    session = FakeSession([])
    poses = Model(POSE, session)(FRAME, np.zeros((0, 4), np.float32))
    assert len(poses) == 0
    assert poses.xy.shape == (0, 17, 2)
    assert session.feeds == []


def test_many_boxes_run_in_bounded_batches_and_keep_their_order() -> None:
    def brightness(feeds: Outputs) -> Outputs:
        bins = feeds["image"].reshape(len(feeds["image"]), -1).max(axis=1).astype(int)
        return peaks(np.stack([np.tile(bins[:, None], (1, 17))] * 2, axis=2))

    session = FakeSession(brightness)
    frame = np.zeros((100, 200, 3), np.uint8)
    wanted = np.arange(19)
    for index in wanted:
        frame[:, 10 * index : 10 * index + 10] = index + 1
    rows = [[10 * i + 2.0, 40, 10 * i + 8.0, 48] for i in wanted]
    items = Model(POSE, session).poses(frame, boxes(*rows))
    assert [len(feeds["image"]) for feeds in session.feeds] == [MAX_BATCH, MAX_BATCH, 3]
    middle = boxes(*rows)[:, :2] + [3, 4]
    found = (items.xy[:, 0] - middle) * 8 + [
        24,
        32,
    ]  # the crop is 6 x 8 pixels, eight times enlarged
    np.testing.assert_allclose(found, np.tile((wanted[:, None] + 1) / 2, (1, 2)), atol=1e-3)


def test_flip_averages_with_the_mirrored_input() -> None:
    left, right = COCO.names.index("left_wrist"), COCO.names.index("right_wrist")
    plain = np.tile([40, 60], (1, POINTS, 1))
    mirrored = np.tile([2 * WIDTH - 1 - 40, 60], (1, POINTS, 1))
    mirrored[0, right] = [2 * WIDTH - 1 - 50, 70]  # the mirror's right wrist is the left one
    session = FakeSession([peaks(plain), peaks(mirrored, value=4.0)])
    poses = Model(POSE, session).poses(FRAME, boxes([100, 50, 196, 178]), flip=True)
    first, second = (feeds["image"] for feeds in session.feeds)
    np.testing.assert_array_equal(second, first[:, :, ::-1])
    # input pixels are half bins, frame pixels twice input pixels: one bin is one pixel
    expected = np.tile([140, 110], (POINTS, 1))
    expected[left] = [150, 120]  # 4 / 2 beats 2 / 2
    np.testing.assert_allclose(poses.xy[0], expected, atol=1e-4)
    assert poses.scores[0, right] == 3.0
    assert poses.scores[0, left] == 2.0


def detections(*rows: list[float], labels: tuple[int, ...] = ()) -> Outputs:
    dets = np.array([rows], np.float32).reshape(1, -1, 5)
    return {"dets": dets, "labels": np.array([labels or [0] * dets.shape[1]], np.int64)}


def test_detections_come_back_from_the_letterbox() -> None:
    session = FakeSession(
        [detections([10, 20, 110, 220, 0.4], [0, 0, 320, 320, 0.9], labels=(1, 0))]
    )
    frame = np.full((480, 640, 3), 7, np.uint8)
    found = Model(DETECTOR, session)(frame)
    image = session.feeds[0]["image"][0]
    assert (image[:240] == 7).all()
    assert (image[240:] == 114).all()
    # best first; a box may reach beyond the frame, as the network said
    assert found.boxes.tolist() == [[0, 0, 640, 640], [20, 40, 220, 440]]
    assert found.scores.tolist() == pytest.approx([0.9, 0.4])
    assert found.labels.tolist() == [0, 1]


def test_a_threshold_makes_another_model_of_the_same_session() -> None:
    answer = detections([0, 0, 9, 9, 0.4], [0, 0, 9, 9, 0.2])
    plain = Model(DETECTOR, FakeSession(lambda _: answer))
    strict = plain.with_threshold(0.3)
    assert len(plain.detect(FRAME)) == 2
    assert len(strict.detect(FRAME)) == 1
    assert strict.session is plain.session


def test_tasks_are_not_confused() -> None:
    pose, detector = Model(POSE, FakeSession([])), Model(DETECTOR, FakeSession([]))
    with pytest.raises(InputError, match="detector"):
        pose.detect(FRAME)
    with pytest.raises(InputError, match="no boxes"):
        detector(FRAME, boxes([0, 0, 9, 9]))
    with pytest.raises(InputError, match="no keypoints"):
        detector.poses(FRAME)
    nameless = Model(msgspec.structs.replace(POSE, keypoints=None), FakeSession(same_for_all))
    with pytest.raises(InputError, match="flip"):
        nameless.decode_crops(np.zeros((1, HEIGHT, WIDTH, 3), np.uint8), flip=True)


@pytest.mark.parametrize(
    ("image", "advice"),
    [
        (None, "not None: cv2.imread"),
        (FRAME.astype(np.float32), r"not float32 .*\(255 \* image\)"),
        (FRAME.astype(np.float64) / 255, r"not float64"),
        (FRAME.astype(np.uint16), "not uint16 .*0..255"),
        (FRAME.astype(bool), "not bool"),
        (np.zeros((4, 4, 4), np.uint8), "drop alpha"),
        (np.zeros((3, 40, 40), np.uint8), "channels last"),
        (np.zeros((2, 40, 40, 3), np.uint8), "one image at a time"),
        (np.zeros((0, 0, 3), np.uint8), "no pixels"),
        (np.zeros((0, 5), np.uint8), "no pixels"),
        (np.zeros(5, np.uint8), r"not uint8 \(5,\)"),
        ([[1, 2], [3, 4]], "not list"),
        (b"jpeg", "not bytes"),
        (7, "not int"),
    ],
)
@pytest.mark.parametrize("spec", [POSE, DETECTOR])
def test_a_frame_is_uint8_bgr(spec, image, advice) -> None:
    model = Model(spec, FakeSession([]))
    with pytest.raises(InputError, match=f"image must be uint8.*{advice}") as told:
        model(image)
    assert "\n" not in str(told.value)


def read_in(image: object) -> np.ndarray:
    """The network's input for the whole of an image."""
    session = FakeSession(same_for_all)
    Model(POSE, session)(image)
    return session.feeds[0]["image"]


def test_a_path_a_pil_image_and_a_grey_image_are_images(tmp_path) -> None:
    pil = pytest.importorskip("PIL.Image")
    wanted = read_in(FRAME)
    cv2.imwrite(str(tmp_path / "a.png"), FRAME)
    rgb = np.ascontiguousarray(FRAME[..., ::-1])
    for same in (
        str(tmp_path / "a.png"),
        tmp_path / "a.png",
        pil.open(tmp_path / "a.png"),
        pil.fromarray(rgb),
        pil.fromarray(np.dstack([rgb, np.full(rgb.shape[:2], 9, np.uint8)])),
        np.asfortranarray(FRAME),
        FRAME[::-1][::-1],
    ):
        np.testing.assert_array_equal(read_in(same), wanted)
    grey = np.ascontiguousarray(FRAME[..., 1])
    wanted = read_in(np.dstack([grey] * 3))
    for same in (grey, grey[..., None], pil.fromarray(grey)):
        np.testing.assert_array_equal(read_in(same), wanted)
    with pytest.raises(SourceError, match="cannot read the image"):
        read_in(tmp_path / "absent.png")


GOOD = [0, 0, 9, 9]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([[np.nan, 0, 9, 9]], r"box 0 is \[NaN, 0, 9, 9\]: a coordinate is not finite"),
        ([GOOD, [0, 0, np.inf, 9]], "box 1 .*not finite"),
        (
            [GOOD, GOOD, [400, 300, 100, 350]],
            r"box 2 is \[400, 300, 100, 350\]: its corners",
        ),
        ([[0, 9, 9, 0]], "box 0 .*corners are exchanged"),
        ([[100, 100, 100, 100]], "box 0 .*no area"),
        ([[100, 100, 100, 200]], "box 0 .*no area"),
        (
            [GOOD, [-90, 0, -10, 50]],
            r"box 1 is \[-90, 0, -10, 50\]: it lies outside the frame, \d+x\d+",
        ),
        ([[0, -50, 9, 0]], "box 0 .*outside the frame"),
        ([[5000, 0, 5100, 50]], "box 0 .*outside the frame"),
        ([[0, 5000, 9, 5100]], "box 0 .*outside the frame"),
        ([0, 0, 9, 9], r"not \(4,\); one box is \[\["),
        (np.zeros(4, np.float32), r"boxes must be \(N, 4\)"),
        (np.zeros((2, 5)), r"not \(2, 5\)"),
        (np.zeros((1, 2, 4)), r"not \(1, 2, 4\)"),
        (np.zeros((0, 5)), r"not \(0, 5\)"),
        ("0,0,9,9", "boxes must be numbers"),
        ([["a", 0, 9, 9]], "boxes must be numbers"),
        ([[0, 0, 9], GOOD], "boxes must be numbers"),
        (Detections.empty(), r"not Detections; pass \.boxes"),
    ],
)
def test_boxes_that_are_none_are_refused(given, said) -> None:
    with pytest.raises(InputError, match=said) as told:
        Model(POSE, FakeSession([])).poses(FRAME, given)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "none", [[], (), np.zeros((0, 4)), np.zeros((0, 4), np.int64), np.zeros(0)]
)
def test_no_boxes_give_no_poses(none) -> None:
    session = FakeSession([])
    poses = Model(POSE, session)(FRAME, none)
    assert poses == Poses.empty(COCO)
    assert session.feeds == []


def test_boxes_may_be_lists_and_leave_the_frame() -> None:
    poses = Model(POSE, FakeSession(same_for_all))(FRAME, [[100, 50, 196, 178], [-50, -9, 20, 500]])
    assert poses.boxes.tolist() == [[100, 50, 196, 178], [-50, -9, 20, 500]]
    assert poses.boxes.dtype == np.float32


def test_a_score_belongs_to_each_box() -> None:
    with pytest.raises(InputError, match=r"box_scores must be float32 \(2\)"):
        Model(POSE, FakeSession([])).poses(FRAME, [GOOD, GOOD], [0.5])


def test_a_model_says_what_it_is() -> None:
    shown = repr(Model(POSE, FakeSession([], Effective(2, "f16", "cpu")), "pose-48x64.ncnn-fp16"))
    assert shown == "Model(pose-48x64.ncnn-fp16, pose-topdown, 48x64, f16 on cpu, 2 threads)"


def test_closing_frees_the_session() -> None:
    with Model(POSE, FakeSession(same_for_all)) as model:
        model(FRAME)
    with pytest.raises(EngineError):
        model(FRAME)


def test_loading_what_is_not_there(tmp_path) -> None:
    with pytest.raises(ArtifactError, match="edgepose export"):
        load(tmp_path / "nothing")


@pytest.mark.parametrize("artifact", [None, 3, b"rtmpose-s", ["rtmpose-s"]])
def test_loading_what_is_no_path(artifact) -> None:
    with pytest.raises(InputError, match=f"directory or .*cache, not {type(artifact).__name__}"):
        load(artifact)
