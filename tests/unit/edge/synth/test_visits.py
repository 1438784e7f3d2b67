"""Clips of visitors: who is there when, exact ids, empty stretches, and the truth on disk."""

import json
from itertools import groupby, pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.evaluation.coco_file import load_ground_truth
from edge.synth import Scene, draw_visits, write_tracking_clip
from edge.synth.visit import posture, sample_visitors
from runtimes.errors import InputError, TargetExistsError

WH, FRAMES = (96, 72), 40


@pytest.fixture(scope="module")
def clips() -> dict[int, list[Scene]]:
    return {people: list(draw_visits(4, WH, FRAMES, 4.0, people)) for people in (1, 3, 6)}


def present(clip: list[Scene], person_id: int) -> list[bool]:
    return [any(person.person_id == person_id for person in scene.people) for scene in clip]


@pytest.mark.parametrize("people", [1, 3, 6])
def test_everyone_comes_and_leaves_and_the_frame_is_empty_in_between(
    clips: dict[int, list[Scene]], people: int
) -> None:
    clip = clips[people]
    seen = {person.person_id for scene in clip for person in scene.people}
    assert seen == set(range(people))
    stretches = [(busy, len(list(run))) for busy, run in groupby(bool(s.people) for s in clip)]
    assert not stretches[0][0]
    assert not stretches[-1][0]
    # empty between the two acts for at least a tenth of the clip
    assert max(length for busy, length in stretches[1:-1] if not busy) >= FRAMES / 10


def test_the_first_person_comes_back_under_the_same_id(clips: dict[int, list[Scene]]) -> None:
    for clip in clips.values():
        runs = [is_there for is_there, _ in groupby(present(clip, 0))]
        assert runs == [False, True, False, True, False]


def test_people_cross(clips: dict[int, list[Scene]]) -> None:
    places = [
        {person.person_id: float(person.box[[0, 2]].mean()) for person in scene.people}
        for scene in clips[6]
    ]
    crossings = sum(
        (before[a] - before[b]) * (after[a] - after[b]) < 0
        for before, after in pairwise(places)
        for a in before.keys() & after.keys()
        for b in before.keys() & after.keys()
        if a < b
    )
    assert crossings >= 6


def test_people_walk_at_human_speed_and_turn_smoothly() -> None:
    fps, length_s = 24, 20
    visitors = sample_visitors(np.random.default_rng(0), 0.6, length_s, 20)
    moments = 0
    for visitor in visitors:
        postures = [posture(visitor, index / fps) for index in range(length_s * fps)]
        for before, after in pairwise(postures):
            if before is None or after is None:
                continue
            moments += 1
            assert abs(after.x_m - before.x_m) * fps < 5
            assert abs(after.yaw_deg - before.yaw_deg) < 30
            assert np.abs(after.angles - before.angles).max() < 40
            assert abs(after.lift_m - before.lift_m) < 0.2
    assert moments > 20 * 4 * fps


def test_the_same_arguments_give_the_same_clip() -> None:
    first, again, other = (list(draw_visits(seed, WH, 8, 1.0, 2)) for seed in (1, 1, 2))
    for scene, twin in zip(first, again, strict=True):
        np.testing.assert_array_equal(scene.image, twin.image)
    assert (first[2].image != other[2].image).any()
    with pytest.raises(InputError, match="fps"):
        draw_visits(0, WH, fps=0)


def test_the_truth_of_a_clip_is_written_with_tracks(
    clips: dict[int, list[Scene]], tmp_path: Path
) -> None:
    target = write_tracking_clip(tmp_path / "clip", iter(clips[3]), 4.0)
    data = json.loads(target.read_text())
    assert [row["frame_id"] for row in data["images"]] == list(range(FRAMES))
    assert data["images"][6]["time_s"] == 1.5
    written = [
        sorted(row["track_id"] for row in data["annotations"] if row["image_id"] == image["id"])
        for image in data["images"]
    ]
    assert written == [sorted(p.person_id for p in scene.people) for scene in clips[3]]
    assert len(load_ground_truth(target).images) == FRAMES
    capture = cv2.VideoCapture(str(tmp_path / "clip" / "clip.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == FRAMES
    capture.release()
    with pytest.raises(TargetExistsError):
        write_tracking_clip(tmp_path / "clip", clips[3], 4.0)
