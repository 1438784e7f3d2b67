"""Scores of drawn clips: people moved, left out and invented by the test are the ones counted."""

import numpy as np

from edge.cli.drawn_score import drift_px, match_boxes, score_clip
from edge.schema import load_schema
from edge.synth import DrawnPerson, Scene
from edge.types import Poses

COCO = load_schema("coco17")
IMAGE = np.zeros((240, 320, 3), np.uint8)


def person(left: float, visible: int = 17) -> DrawnPerson:
    """40 x 80 px; keypoints on its diagonal, the first `visible` of them seen."""
    steps = np.linspace(0, 1, 17)
    points = np.stack([left + 40 * steps, 20 + 80 * steps, np.ones(17)], axis=1)
    points[:visible, 2] = 2
    box = np.array([left, 20, left + 40, 100], np.float32)
    return DrawnPerson(points.astype(np.float32), box, 1000.0, 0)


def poses(*people: DrawnPerson, move: tuple[float, float] = (0, 0)) -> Poses:
    """Poses as a perfect pipeline gives them, moved by some pixels."""
    if not people:
        return Poses.empty(COCO)
    boxes = np.stack([each.box for each in people])
    xy = np.stack([each.keypoints[:, :2] for each in people]) + np.float32(move)
    count = len(people)
    ids = np.full(count, -1, np.int32)
    return Poses(xy, np.ones((count, 17), np.float32), boxes, np.ones(count, np.float32), ids, COCO)


def test_people_are_found_missed_and_invented() -> None:
    first, second, third = person(10), person(100), person(200)
    scenes = [Scene(IMAGE, (first, second)), Scene(IMAGE, (first,)), Scene(IMAGE, ())]
    score = score_clip(scenes, [poses(second, third), poses(first, first), poses(third)])
    # one person has two poses in the second frame: found once, and one too many
    assert (score.drawn, score.found, score.missed, score.false_positives) == (3, 2, 1, 3)
    assert score.error_px == 0


def test_the_error_is_that_of_visible_keypoints() -> None:
    scenes = [Scene(IMAGE, (person(10, visible=9),))]
    moved = poses(person(10), move=(3, 4))
    moved.xy[0, 9:] += 100
    assert score_clip(scenes, [moved]).error_px == 5
    assert score_clip(scenes, [poses()]).error_px is None


def test_pairs_are_one_to_one_and_the_best_first() -> None:
    truth = np.array([[0, 0, 10, 10], [4, 0, 14, 10]], np.float32)
    found = np.array([[3, 0, 13, 10], [100, 0, 110, 10]], np.float32)
    assert match_boxes(truth, found) == [(1, 0)]
    assert match_boxes(truth, np.zeros((0, 4), np.float32)) == []


def test_drift_is_the_distance_from_the_reference() -> None:
    first, second = person(10), person(100)
    reference = [poses(first, second), poses(first)]
    moved = [poses(second, first, move=(0, 2)), poses(second)]
    assert drift_px(reference, moved) == (2.0, 2)
    assert drift_px(reference, reference) == (0.0, 0)
    assert drift_px([poses()], [poses(first)]) == (None, 1)
