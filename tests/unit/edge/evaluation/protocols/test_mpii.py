"""PCKh by cases worked out by hand from its definition: within half of 0.6 of the head box's diagonal."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge.evaluation.coco_file import load_ground_truth
from edge.evaluation.dataset import Dataset, load_dataset
from edge.evaluation.predict import predict
from edge.evaluation.protocols.mpii import evaluate_pckh, is_mpii, pckh_figures
from edge.image import write_image
from edge.model import Model
from edge.schema import load_schema
from runtimes.base import Outputs
from runtimes.codec_spec import YxsCodec
from runtimes.errors import EdgeposeWarning, InputError
from runtimes.fake import FakeSession
from runtimes.spec import CropSpec, ImageSpec, KeypointsSpec, ModelSpec, TensorSpec

NAMES = load_schema("mpii16").names
LABEL = [(10.0 * n, 5.0 * n) for n in range(16)]
# diagonal 50, size 30: half of it is 15 pixels, a tenth 3
HEAD = (30.0, 40.0)


def figures(moves: dict[str, float], unlabelled: tuple[str, ...] = ()) -> dict[str, float | None]:
    """Score one person whose keypoints are moved by so many pixels; others are at their labels."""
    truth = np.array([LABEL])
    xy = truth.copy()
    for name, pixels in moves.items():
        xy[0, NAMES.index(name), 0] += pixels
    labelled = np.array([[name not in unlabelled for name in NAMES]])
    return pckh_figures(xy, truth, labelled, np.array([HEAD]))


def test_a_keypoint_at_the_limit_is_right_and_one_beyond_is_wrong() -> None:
    assert figures({"head_top": 15.0})["head"] == 1
    assert figures({"head_top": 15.001})["head"] == 0
    assert figures({"head_top": 3.0})["PCKh@0.1"] == 1
    assert figures({"head_top": 3.001})["PCKh@0.1"] == pytest.approx(13 / 14)


def test_left_and_right_are_averaged() -> None:
    found = figures({"left_wrist": 16.0, "right_knee": 100.0, "left_knee": 100.0})
    assert (found["wrist"], found["knee"], found["ankle"]) == (0.5, 0, 1)
    assert found["PCKh"] == pytest.approx(11 / 14)


def test_pelvis_and_thorax_do_not_count() -> None:
    assert figures({"pelvis": 100.0, "thorax": 100.0})["PCKh"] == 1


def test_the_mean_weighs_keypoints_by_how_often_they_are_labelled() -> None:
    """Person 1: all 14 right. Person 2: three labelled, its head wrong. 16 of 17, not the mean of shares."""
    truth = np.array([LABEL, LABEL])
    xy = truth.copy()
    xy[1, 9] += (0, 61)  # its head is twice as large: 30 pixels are half of it
    labelled = np.ones((2, 16), np.bool_)
    labelled[1] = [name in {"head_top", "left_hip", "right_hip"} for name in NAMES]
    found = pckh_figures(xy, truth, labelled, np.array([HEAD, (60.0, 80.0)]))
    assert found["PCKh"] == pytest.approx(16 / 17)
    assert (found["head"], found["hip"]) == (0.5, 1)
    xy[1, 9] = truth[1, 9] + (0, 30)
    found = pckh_figures(xy, truth, labelled, np.array([HEAD, (60.0, 80.0)]))
    assert (found["PCKh"], found["PCKh@0.1"]) == (1, pytest.approx(16 / 17))


def test_what_is_nowhere_labelled_has_no_figure() -> None:
    found = figures({}, unlabelled=("left_elbow",))
    assert (found["elbow"], found["wrist"], found["PCKh"]) == (None, 1, 1)
    assert figures({}, unlabelled=NAMES)["PCKh"] is None


SPEC = ModelSpec(
    model="mpii",
    task="pose-topdown",
    inputs=(TensorSpec(name="image"),),
    outputs=(TensorSpec(name="yxs"),),
    image=ImageSpec(wh=(32, 32)),
    crop=CropSpec(kind="square"),
    codec=YxsCodec(),
    keypoints=KeypointsSpec(name="mpii16", names=NAMES),
)


def middle(feeds: Outputs) -> Outputs:
    """All keypoints in the middle of the crop."""
    return {"yxs": np.full((len(feeds["image"]), 1, 16, 3), 0.5, np.float32)}


def annotation(number: int, x: float, **head: list[float]) -> dict[str, object]:
    """A person of 80x80 whose keypoints are 20 pixels right of its middle."""
    return {
        "id": number,
        "image_id": 1,
        "category_id": 1,
        "bbox": [x, 0, 80, 80],
        "keypoints": [x + 60, 40, 1] * 16,
        **head,
    }


def dataset(folder: Path, *people: dict[str, object]) -> Dataset:

    write_image(folder / "a.png", np.zeros((80, 400, 3), np.uint8))
    (folder / "mpii.json").write_text(
        json.dumps(
            {
                "images": [{"id": 1, "file_name": "a.png", "width": 400, "height": 80}],
                "annotations": people,
                "categories": [{"id": 1, "name": "person", "keypoints": list(NAMES)}],
            }
        )
    )
    return load_dataset(folder / "mpii.json")


def test_poses_in_annotated_boxes_are_scored_by_their_own_persons_head(tmp_path: Path) -> None:
    """Off by 20 pixels: right where the head's diagonal is at least 20 / .5 / .6 = 66.7."""
    people = dataset(
        tmp_path,
        annotation(1, 0, bbox_head=[0, 0, 60, 80]),
        annotation(2, 100, headbox=[100, 10, 130, 50]),
        annotation(3, 200),
    )
    model = Model(SPEC, FakeSession(middle))
    assert is_mpii(model)
    with pytest.warns(EdgeposeWarning, match="1 of 3 people have no head box"):
        result = evaluate_pckh(model, people, predict(model, people))
    assert result.figures["PCKh"] == pytest.approx(0.5)
    assert result.figures["PCKh@0.1"] == 0
    assert (result.protocol, result.images, result.people) == ("pckh", 1, 2)


def test_sets_without_head_boxes_and_other_poses_are_refused(tmp_path: Path) -> None:
    people = dataset(tmp_path, annotation(1, 0))
    model = Model(SPEC, FakeSession(middle))
    results = predict(model, people)
    with pytest.raises(InputError, match="PCKh needs the head's box"):
        evaluate_pckh(model, people, results)
    people = dataset(tmp_path, annotation(1, 0, bbox_head=[0, 0, 60, 80]))
    with pytest.raises(InputError, match="0 results for 1 people"):
        evaluate_pckh(model, people, [])


def test_a_head_box_without_extent_is_none(tmp_path: Path) -> None:
    heads = ([0, 0, 0, 0], [5, 5, -3, 2], [0, 0, 3, 4])
    people = [annotation(n, 0, bbox_head=head) for n, head in enumerate(heads, 1)]
    dataset(tmp_path, *people)
    truth = load_ground_truth(tmp_path / "mpii.json")
    assert [each.head_wh for each in truth.annotations] == [None, None, (3, 4)]


@pytest.mark.slow
def test_mpiis_own_files_become_a_coco_file(tmp_path: Path) -> None:
    """Two people of one image: positions lose 1, the box is the square of HRNet's crop, the .mat has the heads."""
    io = pytest.importorskip("scipy.io")
    record = {
        "image": "1.jpg",
        "center": [101.0, 51.0],
        "scale": 1.0,
        "joints": [[10.0 + n, 21.0] for n in range(16)],
        "joints_vis": [1] * 15 + [0],
    }
    (tmp_path / "val.json").write_text(json.dumps([record, record | {"scale": 2.0}]))
    positions = np.zeros((16, 2, 2))
    positions[..., 1] = 31
    heads = np.zeros((2, 2, 2))  # corner, x and y, person
    heads[1, :, 0], heads[1, :, 1] = (30, 40), (60, 80)
    missing = np.zeros((16, 2))
    missing[3, 1] = 1
    io.savemat(
        tmp_path / "gt.mat",
        {"pos_gt_src": positions, "jnt_missing": missing, "headboxes_src": heads},
    )
    script = Path(__file__).parents[5] / "examples" / "mpii_to_coco.py"
    options = ["--truth", tmp_path / "gt.mat", "--out", tmp_path / "coco.json"]
    subprocess.run([sys.executable, script, tmp_path / "val.json", *options], check=True)
    truth = load_ground_truth(tmp_path / "coco.json")
    first, second = truth.annotations
    assert (first.head_wh, second.head_wh) == ((30, 40), (60, 80))
    assert first.bbox == (0, -35, 200, 200)
    assert second.bbox == (-100, -120, 400, 400)
    assert second.keypoints[:3] == (30, 30, 2)
    assert second.keypoints[9:12] == (0, 0, 0)
    assert first.keypoints[9:12] == (-1, -1, 2)
