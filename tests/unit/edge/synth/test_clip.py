"""Clips move smoothly, ids stay, and what is written can be read by others."""

import json
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.schema import load_schema
from edge.synth import coco_dataset, draw_clip, draw_scene, write_clip, write_dataset
from runtimes.errors import InputError, TargetExistsError

WH = (160, 120)


@pytest.mark.parametrize("seed", range(4))
def test_joints_move_a_little_each_frame_and_ids_stay(seed: int) -> None:
    scenes = list(draw_clip(seed, WH, frames=48, people=3))
    assert len(scenes) == 48
    tracked = [{person.person_id: person.keypoints for person in s.people} for s in scenes]
    assert {person_id for frame in tracked for person_id in frame} <= {0, 1, 2}
    assert all(0 in frame for frame in tracked)
    shared = 0
    for before, after in pairwise(tracked):
        for person_id in before.keys() & after.keys():
            first, second = before[person_id], after[person_id]
            labelled = (first[:, 2] > 0) & (second[:, 2] > 0)
            step = np.linalg.norm(second[labelled, :2] - first[labelled, :2], axis=1)
            shared += int(labelled.sum())
            # A hand flung up in a jump crosses a tenth of the picture in 1/24 s; nothing is faster.
            assert (step < 0.12 * WH[1]).all()
    assert shared > 400


def test_people_come_and_go_and_move() -> None:
    changes, moved = 0, 0.0
    for seed in range(4):
        scenes = list(draw_clip(seed, WH, frames=40, people=3))
        present = [frozenset(person.person_id for person in scene.people) for scene in scenes]
        changes += sum(a != b for a, b in pairwise(present))
        wrists = [scene.people[0].keypoints[9:11, :2] for scene in scenes if scene.people]
        moved = max(moved, float(np.ptp(np.stack(wrists), axis=0).max()))
    assert changes > 0
    assert moved > 0.05 * WH[1]


def test_a_clip_is_the_same_again_and_does_not_depend_on_where_it_stops() -> None:
    short, again = list(draw_clip(3, WH, frames=3)), list(draw_clip(3, WH, frames=3))
    for scene, twin in zip(short, again, strict=True):
        np.testing.assert_array_equal(scene.image, twin.image)
    assert (short[0].image != short[2].image).any()


def test_impossible_clips_are_refused_at_once() -> None:
    with pytest.raises(InputError, match="fps"):
        draw_clip(0, WH, fps=0)


def test_coco_counts_what_the_scenes_hold() -> None:
    scenes = [draw_scene(seed, WH) for seed in range(4)]
    data = coco_dataset(scenes, [f"{index}.png" for index in range(4)])
    people = [person for scene in scenes for person in scene.people]
    assert len(data["annotations"]) == len(people)
    (category,) = data["categories"]
    assert tuple(category["keypoints"]) == load_schema("coco17").names
    assert min(min(edge) for edge in category["skeleton"]) == 1
    for annotation, person in zip(data["annotations"], people, strict=True):
        x, y, width, height = annotation["bbox"]
        np.testing.assert_array_equal([x, y, x + width, y + height], person.box)
        triplets = np.reshape(annotation["keypoints"], (17, 3))
        np.testing.assert_allclose(triplets, person.keypoints, atol=0.006)
        assert annotation["num_keypoints"] == (triplets[:, 2] > 0).sum()
        assert annotation["iscrowd"] == 0


@pytest.mark.parametrize("package", ["pycocotools", "faster_coco_eval"])
def test_an_evaluator_reads_it_and_finds_the_truth_perfect(package: str, tmp_path: Path) -> None:
    evaluator = pytest.importorskip(package)
    if package == "pycocotools":
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    else:
        COCO, COCOeval = evaluator.COCO, evaluator.COCOeval_faster
    target = write_dataset(tmp_path / "drawn", seed=1, count=6, wh=WH)
    truth = COCO(str(target))
    results = [
        {
            "image_id": row["image_id"],
            "category_id": 1,
            "keypoints": row["keypoints"],
            "bbox": row["bbox"],
            "area": row["area"],
            "score": 1.0,
        }
        for row in json.loads(target.read_text())["annotations"]
    ]
    for kind in ("keypoints", "bbox"):
        evaluation = COCOeval(truth, truth.loadRes(results), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        assert evaluation.stats[0] == pytest.approx(1.0)


def test_a_dataset_appears_whole_and_is_not_overwritten(tmp_path: Path) -> None:
    target = write_dataset(tmp_path / "drawn", seed=5, count=2, wh=WH)
    assert target == tmp_path / "drawn" / "person_keypoints.json"
    for record in json.loads(target.read_text())["images"]:
        image = cv2.imread(str(target.parent / "images" / record["file_name"]))
        assert image is not None
        assert image.shape == (record["height"], record["width"], 3)
    with pytest.raises(TargetExistsError):
        write_dataset(tmp_path / "drawn", seed=5, count=1)
    with pytest.raises(InputError):
        write_dataset(tmp_path / "refused", seed=0, count=1, wh=(8, 8))
    assert [path.name for path in tmp_path.iterdir()] == ["drawn"]


def test_a_clip_is_written_as_a_video(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", draw_clip(0, WH, frames=5), 24.0)
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        read, frame = capture.read()
        if not read:
            break
        frames.append(frame)
    capture.release()
    assert len(frames) == 5
    first = next(draw_clip(0, WH, frames=5)).image
    assert np.abs(frames[0].astype(int) - first).mean() < 12
    with pytest.raises(InputError, match="at least one"):
        write_clip(tmp_path / "empty.mp4", [], 24.0)
