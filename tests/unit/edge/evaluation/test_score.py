"""Predicting over a set and scoring by its protocol, with a scripted model of two keypoints."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from edge.evaluation.coco import Annotation, Category, CocoImage, CocoResult, GroundTruth
from edge.evaluation.dataset import Dataset
from edge.evaluation.predict import predict
from edge.evaluation.score import evaluate, protocol_of
from edge.image import write_image
from edge.model import Model
from edge.types import Detections
from runtimes.base import Outputs
from runtimes.codec_spec import YxsCodec
from runtimes.fake import FakeSession
from runtimes.spec import CropSpec, ImageSpec, KeypointsSpec, ModelSpec, TensorSpec

pytest.importorskip("faster_coco_eval")

SPEC = ModelSpec(
    model="pair",
    task="pose-topdown",
    inputs=(TensorSpec(name="image"),),
    outputs=(TensorSpec(name="yxs"),),
    image=ImageSpec(wh=(32, 32)),
    crop=CropSpec(kind="square"),
    codec=YxsCodec(),
    keypoints=KeypointsSpec(name="pair", names=("a", "b"), sigmas=(0.1, 0.1)),
)


def corners(feeds: Outputs) -> Outputs:
    """Keypoints at a quarter and three quarters of each crop."""
    pair = np.array([[[0.25, 0.25, 0.9], [0.75, 0.75, 0.9]]], np.float32)
    return {"yxs": np.tile(pair, (len(feeds["image"]), 1, 1, 1))}


def labelled(number: int, x: float, area: float | None = None) -> Annotation:
    return Annotation(
        id=number,
        image_id=1,
        category_id=1,
        bbox=(x, 0, 80, 80),
        area=area,
        keypoints=(x + 20, 20, 2, x + 60, 60, 2),
    )


def truth(*people: Annotation, crowd_index: float | None = None) -> GroundTruth:
    image = CocoImage(id=1, file_name="a.png", width=300, height=80, crowd_index=crowd_index)
    return GroundTruth(images=(image,), annotations=people, categories=(Category(id=1),))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_image(tmp_path / "a.png", np.zeros((80, 300, 3), np.uint8))
    return tmp_path


def test_poses_in_labelled_boxes_are_right_where_the_model_is(folder: Path) -> None:
    dataset = Dataset(truth(labelled(1, 0), labelled(2, 150)), {1: folder / "a.png"})
    model = Model(SPEC, FakeSession(corners))
    results = predict(model, dataset)
    assert pytest.approx(1) == evaluate(model, dataset, results).AP


def test_boxes_outside_the_image_give_no_poses_and_are_counted(folder: Path) -> None:
    """Of a file of detections, of a detector, or of annotations that do not state the images' sizes."""
    dataset = Dataset(truth(labelled(1, 0), labelled(2, 150)), {1: folder / "a.png"})
    rows = np.array([[0, 0, 80, 80], [300, 0, 380, 80], [-90, 5, 0, 60], [150, -9, 230, 80]])
    found = Detections(rows.astype(np.float32), np.ones(4, np.float32), np.zeros(4, np.int32))
    with pytest.warns(UserWarning, match="2 boxes lie wholly outside the image: no poses there"):
        results = predict(Model(SPEC, FakeSession(corners)), dataset, boxes=lambda *_: found)
    assert len(results) == 2


def test_poses_that_repeat_another_by_oks_are_dropped_in_labelled_boxes_too(folder: Path) -> None:
    """As in mmpose, whose CocoMetric runs OKS NMS whatever the boxes come from."""
    dataset = Dataset(truth(labelled(1, 0), labelled(2, 1)), {1: folder / "a.png"})
    assert len(predict(Model(SPEC, FakeSession(corners)), dataset)) == 1
    bare = msgspec.structs.replace(
        SPEC, keypoints=msgspec.structs.replace(SPEC.keypoints, sigmas=())
    )
    assert len(predict(Model(bare, FakeSession(corners)), dataset)) == 2  # no OKS without sigmas


@pytest.mark.parametrize("crowd_index", [None, 0.5])
def test_crowdpose_takes_a_persons_area_from_the_box(crowd_index: float | None) -> None:
    # both keypoints off by 12: an OKS of exp(-144 / (.08 * area)); areas .53 * 6400 = 3392 and 100
    moved = CocoResult(
        image_id=1, score=0.9, bbox=(0, 0, 80, 80), keypoints=(32, 20, 0.9, 72, 60, 0.9)
    )
    dataset = Dataset(truth(labelled(1, 0, area=100.0), crowd_index=crowd_index), {})
    model = Model(SPEC, FakeSession(corners))
    assert protocol_of(model, dataset.truth).use_area is (crowd_index is None)
    passed = np.linspace(0.5, 0.95, 10) <= np.exp(-144 / (0.08 * 3392))
    assert 0 < passed.mean() < 1
    wanted = 0 if crowd_index is None else passed.mean()
    assert pytest.approx(wanted) == evaluate(model, dataset, [moved]).AP
