"""Sinks: what lands on disk, that other programs' formats are kept, and that nothing half-written ever appears."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.evaluation.coco import as_results
from edge.media.sinks import (
    CallbackSink,
    CocoSink,
    CsvSink,
    ImageDirSink,
    JsonLinesSink,
    OpenPoseSink,
    PictureSink,
    Sink,
    SinkGroup,
    VideoSink,
)
from edge.schema import load_schema
from edge.types import Frame, Poses
from runtimes.errors import InputError, OutputError, TargetExistsError

MAKERS: dict[str, Callable[[Path], Sink]] = {
    "a.mp4": lambda path: VideoSink(path, 10),
    "a.avi": lambda path: VideoSink(path, 10),
    "a.json": CocoSink,
    "a.csv": CsvSink,
    "a.png": PictureSink,
    "pictures": ImageDirSink,
    "openpose": OpenPoseSink,
}


def frame_of(index: int, wh: tuple[int, int] = (64, 48)) -> Frame:
    return Frame(np.full((wh[1], wh[0], 3), 40 * index % 256, np.uint8), index, index / 10)


def poses_of(people: int, schema: str = "coco17") -> Poses:
    """People whose keypoint k of person n lies at (10 n + k, 100 + k) with score (k + 1) / K."""
    names = load_schema(schema).names
    n, k = np.meshgrid(np.arange(people), np.arange(len(names)), indexing="ij")
    return Poses(
        np.stack([10 * n + k, 100 + k], axis=2).astype(np.float32),
        ((k + 1) / len(names)).astype(np.float32),
        np.tile(np.array([1, 2, 31, 42], np.float32), (people, 1)),
        np.full(people, 0.5, np.float32),
        np.arange(people, dtype=np.int32) - 1,
        load_schema(schema),
    )


@pytest.mark.parametrize("name", MAKERS)
def test_nothing_appears_where_writing_failed(tmp_path: Path, name: str) -> None:
    def fail() -> None:
        with MAKERS[name](tmp_path / name) as sink:
            sink.write(frame_of(0), poses_of(1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", MAKERS)
def test_the_target_appears_when_closed_and_not_before(tmp_path: Path, name: str) -> None:
    with MAKERS[name](tmp_path / name) as sink:
        sink.write(frame_of(0), poses_of(1))
        assert not (tmp_path / name).exists()
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", MAKERS)
def test_a_target_that_exists_is_left_alone(tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    if target.suffix:
        target.write_text("precious")
    else:
        target.mkdir()
        (target / "precious").touch()
    with pytest.raises(TargetExistsError, match=name):
        MAKERS[name](target)
    assert target.exists()


def test_a_file_may_be_replaced_when_asked_for(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), CocoSink(target, overwrite=True):
        raise ZeroDivisionError
    assert target.read_text() == "old"
    with CocoSink(target, overwrite=True):
        pass
    assert json.loads(target.read_text()) == []


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with ImageDirSink(tmp_path / "out") as sink:
        sink.write(frame_of(3), poses_of(0))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["000003.jpg"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"cannot write into .*absent: No such file"),
        CsvSink(tmp_path / "absent/a.csv"),
    ):
        pass


@pytest.mark.parametrize("name", ["a.mp4", "a.avi"])
def test_video_keeps_frames_and_rate(tmp_path: Path, name: str) -> None:
    with VideoSink(tmp_path / name, 12.5) as sink:
        for index in range(5):
            sink.write(frame_of(index), poses_of(0))
    capture = cv2.VideoCapture(str(tmp_path / name))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(12.5)
    for index in range(5):
        read, image = capture.read()
        assert read
        assert image.shape == (48, 64, 3)
        assert abs(float(image.mean()) - 40 * index) < 4
    assert not capture.read()[0]


def test_video_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"as \.gif; use \.mp4, \.avi"):
        VideoSink(tmp_path / "a.gif", 10)
    with VideoSink(tmp_path / "a.mp4", 10) as sink:
        sink.write(frame_of(0), poses_of(0))
        with pytest.raises(InputError, match="frame 1 is 32x48"):
            sink.write(frame_of(1, (32, 48)), poses_of(0))


def test_a_video_of_no_frames_is_no_file(tmp_path: Path) -> None:
    with VideoSink(tmp_path / "a.mp4", 10):
        pass
    assert list(tmp_path.iterdir()) == []


def test_coco_results_read_as_coco_results(tmp_path: Path) -> None:
    with CocoSink(tmp_path / "a.json") as sink:
        for index, people in enumerate((2, 0, 1)):
            sink.write(frame_of(index), poses_of(people))
    results = as_results(json.loads((tmp_path / "a.json").read_bytes()))
    assert [result.image_id for result in results] == [0, 0, 2]
    assert results[1].bbox == (1, 2, 30, 40)
    assert results[1].keypoints[:3] == pytest.approx((10, 100, 1 / 17), abs=1e-3)
    raw = json.loads((tmp_path / "a.json").read_bytes())
    assert [record.get("track_id") for record in raw] == [None, 0, None]


def test_csv_has_one_row_a_person(tmp_path: Path) -> None:
    with CsvSink(tmp_path / "a.csv") as sink:
        sink.write(frame_of(0), poses_of(0))
        sink.write(frame_of(1), poses_of(2))
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["frame"], row["person"], row["track_id"]) for row in rows] == [
        ("1", "0", "-1"),
        ("1", "1", "0"),
    ]
    assert float(rows[1]["time_s"]) == pytest.approx(0.1)
    assert (rows[1]["x0"], rows[1]["y1"]) == ("1.000", "42.000")
    assert (rows[1]["right_ankle_x"], rows[1]["right_ankle_y"]) == ("26.000", "116.000")
    assert float(rows[1]["right_ankle_score"]) == 1
    assert len(rows[0]) == 11 + 3 * 17


def test_csv_holds_one_keypoint_set(tmp_path: Path) -> None:
    with CsvSink(tmp_path / "a.csv") as sink:
        sink.write(frame_of(0), poses_of(1))
        with pytest.raises(InputError, match="one keypoint set"):
            sink.write(frame_of(1), poses_of(1, "aic14"))


def openpose_person(folder: Path, schema: str) -> dict[str, np.ndarray]:
    with OpenPoseSink(folder) as sink:
        sink.write(frame_of(7), poses_of(2, schema))
    assert [path.name for path in folder.iterdir()] == ["000000000007_keypoints.json"]
    record = json.loads((folder / "000000000007_keypoints.json").read_bytes())
    assert record["version"] == 1.3
    assert len(record["people"]) == 2
    person = record["people"][1]
    assert person["person_id"] == [0]
    return {
        key: np.array(value).reshape(-1, 3) for key, value in person.items() if key.endswith("2d")
    }


def test_openpose_json_of_coco_has_a_neck_and_a_mid_hip(tmp_path: Path) -> None:
    body = openpose_person(tmp_path / "out", "coco17")["pose_keypoints_2d"]
    assert body.shape == (25, 3)
    assert body[0] == pytest.approx((10, 100, 1 / 17), abs=1e-3)  # nose
    assert body[1] == pytest.approx((15.5, 105.5, 6 / 17), abs=1e-3)  # between shoulders 5 and 6
    assert body[2] == pytest.approx((16, 106, 7 / 17), abs=1e-3)  # right shoulder
    assert body[8] == pytest.approx((21.5, 111.5, 12 / 17), abs=1e-3)  # between hips 11 and 12
    assert body[15] == pytest.approx((12, 102, 3 / 17), abs=1e-3)  # right eye
    assert (body[19:] == 0).all()  # no feet


def test_openpose_json_of_wholebody_has_face_and_hands(tmp_path: Path) -> None:
    parts = openpose_person(tmp_path / "out", "coco133")
    assert parts["pose_keypoints_2d"][19:, 0] == pytest.approx(10 + np.arange(17, 23))
    assert parts["face_keypoints_2d"][:68, 0] == pytest.approx(10 + np.arange(23, 91))
    assert (parts["face_keypoints_2d"][68:] == 0).all()
    assert parts["hand_left_keypoints_2d"][:, 0] == pytest.approx(10 + np.arange(91, 112))
    assert parts["hand_right_keypoints_2d"][:, 0] == pytest.approx(10 + np.arange(112, 133))


def test_openpose_json_keeps_a_schemas_own_neck_and_hip(tmp_path: Path) -> None:
    body = openpose_person(tmp_path / "out", "body26")["pose_keypoints_2d"]
    assert body[[1, 8], 0] == pytest.approx((28, 29))
    assert openpose_person(tmp_path / "two", "body25")["pose_keypoints_2d"][:, 0] == pytest.approx(
        10 + np.arange(25)
    )


def named(frame: Frame, name: str) -> Frame:
    return Frame(frame.image, frame.index, frame.time_s, name)


NAMES = ("photo.jpg", "photo.png", "v1.2_000016", "sub/photo.jpg", "")


def test_files_of_a_folder_are_named_after_their_frames(tmp_path: Path) -> None:
    frames = [named(frame_of(index), name) for index, name in enumerate(NAMES)]
    with ImageDirSink(tmp_path / "pictures") as pictures, OpenPoseSink(tmp_path / "op") as people:
        for frame in frames:
            pictures.write(frame, poses_of(0))
            people.write(frame, poses_of(1))
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {
        *("photo.jpg", "photo_000001.jpg", "v1.2_000016.jpg", "sub_photo.jpg", "000004.jpg")
    }
    assert {path.name for path in (tmp_path / "op").iterdir()} == {
        *("photo_keypoints.json", "photo_000000000001_keypoints.json"),
        *("v1.2_000016_keypoints.json", "sub_photo_keypoints.json"),
        "000000000004_keypoints.json",
    }


def test_results_say_which_frame_they_are_of(tmp_path: Path) -> None:
    frame = named(frame_of(7), "clip_000007")
    with CocoSink(tmp_path / "a.json") as coco, CsvSink(tmp_path / "a.csv") as table:
        coco.write(frame, poses_of(2))
        table.write(frame, poses_of(2))
    wanted = {"image_name": "clip_000007", "frame": 7, "time_s": 0.7}
    for record in json.loads((tmp_path / "a.json").read_bytes()):
        assert record["image_id"] == 7
        assert {key: record[key] for key in wanted} == wanted
    with (tmp_path / "a.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            assert (row["image_name"], row["frame"], row["time_s"]) == (
                "clip_000007",
                "7",
                "0.7000",
            )
    with OpenPoseSink(tmp_path / "op") as sink:
        sink.write(frame, poses_of(2))
    (page,) = (tmp_path / "op").iterdir()
    record = json.loads(page.read_bytes())
    assert {key: record[key] for key in wanted} == wanted


FOLDERS = (ImageDirSink, OpenPoseSink)


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_folder_of_its_own_files_is_replaced_when_asked_for(
    tmp_path: Path, kind: type[ImageDirSink] | type[OpenPoseSink]
) -> None:
    for first, count in ((0, 5), (20, 3)):
        with kind(tmp_path / "out", overwrite=True) as sink:
            for index in range(first, first + count):
                sink.write(frame_of(index), poses_of(1))
    kept = sorted(int(re.findall(r"\d+", path.name)[0]) for path in (tmp_path / "out").iterdir())
    assert kept == [20, 21, 22]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    with pytest.raises(TargetExistsError, match=r"out is not empty; add --force"):
        kind(tmp_path / "out")
    with pytest.raises(ZeroDivisionError), kind(tmp_path / "out", overwrite=True):
        raise ZeroDivisionError
    assert len(list((tmp_path / "out").iterdir())) == 3


@pytest.mark.parametrize("kind", FOLDERS)
@pytest.mark.parametrize(
    "precious", ["holiday.jpg", "clip_000000000000_keypoints.json", "notes", "sub/a"]
)
def test_files_of_others_are_never_replaced(
    tmp_path: Path, kind: type[ImageDirSink] | type[OpenPoseSink], precious: str
) -> None:
    """Photographs and OpenPose's own files look like ours, and lie beside files that are ours."""
    out = tmp_path / "out"
    with kind(out) as sink:
        sink.write(frame_of(0), poses_of(1))
    path = out / precious
    path.parent.mkdir(exist_ok=True)
    if precious.endswith("jpg"):
        cv2.imwrite(str(path), frame_of(1).image)
    else:
        path.write_text('{"version":1.3,"people":[]}')
    with pytest.raises(
        TargetExistsError, match=rf"did not write {precious.split('/', maxsplit=1)[0]}"
    ):
        kind(out, overwrite=True)
    assert path.exists()
    other = next(each for each in FOLDERS if each is not kind)
    path.unlink()
    if path.parent == out:
        with pytest.raises(TargetExistsError, match="did not write"):
            other(out, overwrite=True)


def test_pictures_of_a_folder_can_be_read_again(tmp_path: Path) -> None:
    image = np.dstack([np.tile(np.arange(0, 256, 4, np.uint8), (48, 1))] * 3)
    with ImageDirSink(tmp_path / "out") as sink:
        sink.write(Frame(image, 0, 0.0), poses_of(0))
    found = cv2.imread(str(tmp_path / "out/000000.jpg"))
    assert np.abs(found.astype(int) - image).max() < 12


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_one_picture_is_one_file(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"a.{suffix}"
    with PictureSink(target) as sink:
        sink.write(frame_of(2), poses_of(0))
    found = cv2.imread(str(target))
    assert found.shape == (48, 64, 3)
    assert abs(float(found.mean()) - 80) < 2
    with PictureSink(tmp_path / f"b.{suffix}") as sink:
        sink.write(frame_of(0), poses_of(0))
        with pytest.raises(InputError, match="one picture"):
            sink.write(frame_of(1), poses_of(0))


def brightness(path: Path) -> list[int]:
    """Mean of each frame of a video, in steps of 20."""
    capture = cv2.VideoCapture(str(path))
    values = []
    while True:
        read, image = capture.read()
        if not read:
            return values
        values.append(round(float(image.mean()) / 20))


@pytest.mark.parametrize(
    ("times", "shown", "repeated", "left_out"),
    [
        ([0, 0.1, 0.2, 0.3], [0, 1, 2, 3], 0, 0),
        ([5.0, 5.1, 5.2], [0, 1, 2], 0, 0),
        # a model that needs three frame times
        ([0, 0.3, 0.6, 0.9], [0, 0, 0, 1, 1, 1, 2, 2, 2, 3], 6, 0),
        # a camera that is twice as fast as the file
        ([0, 0.04, 0.1, 0.14, 0.2], [0, 2, 4], 0, 2),
        # jitter around the rate
        ([0, 0.11, 0.18, 0.31, 0.4], [0, 1, 2, 3, 4], 0, 0),
        # a stall
        ([0, 0.1, 0.6, 0.7], [0, 1, 1, 1, 1, 1, 2, 3], 4, 0),
    ],
)
def test_live_video_keeps_its_time(
    tmp_path: Path, times: list[float], shown: list[int], repeated: int, left_out: int
) -> None:
    with VideoSink(tmp_path / "a.avi", 10, pace="time") as sink:
        for number, time_s in enumerate(times):
            image = np.full((48, 64, 3), 20 * number, np.uint8)
            sink.write(Frame(image, number, time_s), poses_of(0))
    assert brightness(tmp_path / "a.avi") == shown
    assert (sink.repeated, sink.left_out) == (repeated, left_out)


@pytest.mark.parametrize(
    ("indices", "times", "shown"),
    [
        # timestamps rounded to milliseconds, as in Matroska
        ([0, 1, 2, 3, 4], [0, 0.099, 0.201, 0.299, 0.401], [0, 1, 2, 3, 4]),
        # the rate halves after the second frame
        ([0, 1, 2, 3, 4], [0, 0.1, 0.3, 0.5, 0.7], [0, 1, 2, 2, 2, 3, 4]),
        # two frames that the file has lost
        ([0, 1, 4, 5], [0, 0.1, 0.4, 0.5], [0, 1, 4, 5]),
        # times that stand still and run backwards
        ([0, 1, 2], [0.2, 0.2, 0.1], [0, 1]),
        # a time that is none
        ([0, 1, 2], [0, float("nan"), 0.1], [0, 1, 2]),
    ],
)
def test_video_of_a_file_keeps_the_files_time(
    tmp_path: Path, indices: list[int], times: list[float], shown: list[int]
) -> None:
    """Places of frames at 10 a second are the rounded times; a time within 1.5 frames is left as it is."""
    with VideoSink(tmp_path / "a.avi", 10, pace="file") as sink:
        for index, time_s in zip(indices, times, strict=True):
            sink.write(
                Frame(np.full((48, 64, 3), 20 * index, np.uint8), index, time_s), poses_of(0)
            )
    assert brightness(tmp_path / "a.avi") == shown


def test_frames_of_another_size_are_scaled_into_the_video_where_asked_for(tmp_path: Path) -> None:
    """A wide frame in a 4:3 video keeps its shape, between black bars."""
    with VideoSink(tmp_path / "a.avi", 10, fit="letterbox") as sink:
        for index, (height, width) in enumerate(((48, 64), (24, 64), (96, 128))):
            sink.write(
                Frame(np.full((height, width, 3), 200, np.uint8), index, index / 10), poses_of(0)
            )
    assert sink.fitted == 2
    capture = cv2.VideoCapture(str(tmp_path / "a.avi"))
    whole, wide, twice = (capture.read()[1][:, 32].mean(axis=1) for _ in range(3))
    assert (whole > 190).all()
    assert (twice > 190).all()
    assert (wide[14:34] > 190).all()
    assert (wide[[*range(10), *range(38, 48)]] < 10).all()


def test_a_stall_of_hours_is_not_filled_with_its_last_frame(tmp_path: Path) -> None:
    with VideoSink(tmp_path / "a.avi", 2, pace="time") as sink:
        for number, time_s in enumerate((0, 0.5, 10_000)):
            sink.write(
                Frame(np.full((48, 64, 3), 20 * number, np.uint8), number, time_s), poses_of(0)
            )
    assert sink.repeated == 2 * 60 - 1
    assert brightness(tmp_path / "a.avi")[-2:] == [1, 2]


STATES = ("detected", "tracked")


def test_states_and_ids_are_in_every_record(tmp_path: Path) -> None:
    makers = {"coco": CocoSink, "csv": CsvSink, "lines": JsonLinesSink, "openpose": OpenPoseSink}
    with SinkGroup([make(tmp_path / name) for name, make in makers.items()]) as sinks:
        sinks.write(frame_of(0), poses_of(2), STATES)
        sinks.write(frame_of(1), poses_of(1))
    coco = json.loads((tmp_path / "coco").read_bytes())
    found = [(each.get("track_id"), each.get("state")) for each in coco]
    assert found == [(None, "detected"), (0, "tracked"), (None, None)]
    with (tmp_path / "csv").open(newline="") as file:
        rows = [(row["track_id"], row["state"]) for row in csv.DictReader(file)]
    assert rows == [("-1", "detected"), ("0", "tracked"), ("-1", "")]
    lines = [json.loads(line) for line in (tmp_path / "lines").read_text().splitlines()]
    people = [(each["id"], each["state"]) for line in lines for each in line["people"]]
    assert people == [(None, "detected"), (0, "tracked"), (None, None)]
    pages = [json.loads(page.read_bytes()) for page in sorted((tmp_path / "openpose").iterdir())]
    assert [each.get("state") for each in pages[0]["people"]] == list(STATES)
    assert "state" not in pages[1]["people"][0]


@pytest.mark.parametrize("make", [CocoSink, CsvSink, JsonLinesSink, OpenPoseSink])
def test_a_state_too_few_is_refused(tmp_path: Path, make: Callable[[Path], Sink]) -> None:
    with make(tmp_path / "a") as sink, pytest.raises(InputError, match="1 states for 2 people"):
        sink.write(frame_of(0), poses_of(2), ("detected",))


def test_json_lines_hold_a_frame_each(tmp_path: Path) -> None:
    with JsonLinesSink(tmp_path / "a.jsonl", source="clip.mp4") as sink:
        for index, people in enumerate((2, 0)):
            sink.write(named(frame_of(index), f"clip_{index:06d}"), poses_of(people))
    first, second = (json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines())
    assert second == {
        "source": "clip.mp4",
        "image_name": "clip_000001",
        "frame": 1,
        "time_s": 0.1,
        "people": [],
    }
    person = first["people"][1]
    assert set(person) == {"id", "state", "score", "bbox", "keypoints"}
    assert person["bbox"] == [1, 2, 30, 40]
    assert person["keypoints"][:3] == pytest.approx((10, 100, 1 / 17), abs=1e-3)
    assert person["score"] == pytest.approx(float(poses_of(2).instance_scores()[1]), abs=1e-5)


def test_json_lines_can_be_read_while_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with JsonLinesSink(path) as sink:
        for index in range(3):
            sink.write(frame_of(index), poses_of(1))
            assert [json.loads(line)["frame"] for line in path.read_text().splitlines()] == [
                *range(index + 1)
            ]
        with (
            pytest.raises(InputError, match="another process writes"),
            JsonLinesSink(path, overwrite=True),
        ):
            pass
    with pytest.raises(TargetExistsError, match=r"a\.jsonl exists"):
        JsonLinesSink(path)


def test_a_part_becomes_the_file_when_all_is_written(tmp_path: Path) -> None:
    target, part = tmp_path / "a.jsonl", tmp_path / "a.jsonl.part"

    def fail() -> None:
        with JsonLinesSink(target, part=part) as sink:
            sink.write(frame_of(0), poses_of(1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (part.exists(), target.exists()) == (True, False)
    with JsonLinesSink(target, part=part) as sink:
        sink.write(frame_of(5), poses_of(1))
    assert (part.exists(), target.exists()) == (False, True)
    assert json.loads(target.read_text())["frame"] == 5


# What a process of its own needs to write frames of one person.
CHILD = """
import resource, signal, sys, time
sys.path.insert(0, {tests!r})
from test_sinks import *
"""


def child(code: str, *args: object) -> "subprocess.Popen[str]":
    text = CHILD.format(tests=str(Path(__file__).parent)) + code
    command = [sys.executable, "-c", text, *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_lines_before_a_kill_are_readable(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    code = """
with JsonLinesSink(sys.argv[1]) as sink:
    for index in range(40):
        sink.write(frame_of(index), poses_of(1))
    print("written", flush=True)
    time.sleep(60)
"""
    running = child(code, path)
    assert running.stdout is not None
    assert running.stdout.readline() == "written\n"
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert [json.loads(line)["frame"] for line in path.read_text().splitlines()] == [*range(40)]


FULL = """
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
sink = (MAKERS | {"a.jsonl": JsonLinesSink})[sys.argv[1]](Path(sys.argv[2])).__enter__()
noise = np.random.default_rng(0)
try:
    for index in range(100):
        image = noise.integers(0, 256, (240, 320, 3), np.uint8)
        sink.write(Frame(image, index, index / 10), poses_of(1))
except OutputError as error:
    print(index, error)
try:
    sink.__exit__(None)
except OutputError as error:
    print("lost", error)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "limit"),
    [
        *(("a.mp4", 200_000), ("a.avi", 200_000)),
        *(("a.json", 20_000), ("a.csv", 20_000), ("a.jsonl", 20_000)),
    ],
)
def test_a_full_disk_is_reported_and_what_fits_is_kept(
    tmp_path: Path, name: str, limit: int
) -> None:
    """A limit on file sizes stops a write in the same way, in the middle of a record."""
    path = tmp_path / name
    out, err = child(FULL, name, path, limit).communicate(timeout=120)
    said = out.splitlines()
    noticed, _, message = said[0].partition(" ")
    assert message.startswith(f"cannot write {path}"), err
    frames = {
        "a.avi": lambda: len(brightness(path)),
        "a.json": lambda: len(json.loads(path.read_bytes())),
        "a.csv": lambda: len(list(csv.DictReader(path.read_text().splitlines()))),
        "a.jsonl": lambda: len([json.loads(line) for line in path.read_text().splitlines()]),
    }
    if name == "a.mp4":  # its index is at its end
        assert said[-1].startswith(f"lost cannot write {path}")
        assert not path.exists()
    elif name == "a.avi":  # FFmpeg's buffer did not fit; OpenCV 4 notices at the end
        assert noticed in {"lost", *map(str, range(frames[name](), 100))}
        assert frames[name]() > 0
    else:
        assert said[1:] == []
        assert frames[name]() == int(noticed) > 0
    assert {each.name for each in tmp_path.iterdir()} <= {name}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.mp4", "a.avi"])
def test_a_video_that_fills_the_disk_when_it_is_closed_is_an_error(
    tmp_path: Path, name: str
) -> None:
    """FFmpeg holds back what it was given last."""
    path = tmp_path / name
    out, err = child(FULL, name, path, 20_000).communicate(timeout=120)
    assert f"cannot write {path}" in out, err
    assert path.exists() == (name == "a.avi")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_device_is_a_target_and_may_be_full() -> None:
    with JsonLinesSink("/dev/full") as sink, pytest.raises(OutputError, match="No space left"):
        sink.write(frame_of(0), poses_of(1))


def test_a_sink_that_fails_takes_no_other_with_it(tmp_path: Path) -> None:
    class Full(CsvSink):
        def _finish(self) -> None:
            super()._finish()
            message = "full"
            raise OutputError(message)

    sinks = SinkGroup([Full(tmp_path / "a.csv"), CocoSink(tmp_path / "a.json")])
    with pytest.raises(OutputError, match="full"), sinks:
        sinks.write(frame_of(0), poses_of(1))
    assert len(json.loads((tmp_path / "a.json").read_bytes())) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["a.json"]


def test_a_callback_gets_every_frame_and_its_error_surfaces() -> None:
    got = []

    def call(frame: Frame, poses: Poses, states: tuple[str, ...]) -> None:
        got.append((frame.index, len(poses), tuple(states), threading.current_thread()))
        if frame.index == 1:
            raise LookupError(frame.index)

    with CallbackSink(call) as sink:
        sink.write(frame_of(0), poses_of(2), STATES)
        with pytest.raises(LookupError):
            sink.write(frame_of(1), poses_of(0))
    here = threading.current_thread()
    assert got == [(0, 2, STATES, here), (1, 0, (), here)]


def test_long_names_of_frames_are_shortened_and_stay_their_own(tmp_path: Path) -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    names = ["日" * 83 + f"_{number:06d}" for number in range(3)]
    with ImageDirSink(tmp_path / "pictures") as pictures, OpenPoseSink(tmp_path / "op") as op:
        for number, name in enumerate(names):
            for sink in (pictures, op):
                sink.write(Frame(image, number, 0.0, name), poses_of(0))
    assert [len(list((tmp_path / each).iterdir())) for each in ("pictures", "op")] == [3, 3]


def test_json_lines_that_are_rotated_go_on_at_the_start(tmp_path: Path) -> None:
    """As by logrotate's copytruncate, in a run of weeks."""
    path, image = tmp_path / "lines.jsonl", np.zeros((8, 8, 3), np.uint8)
    with JsonLinesSink(path) as sink:
        for number in range(3):
            sink.write(Frame(image, number, 0.0), poses_of(1))
        os.truncate(path, 0)
        sink.write(Frame(image, 3, 0.0), poses_of(1))
    assert [json.loads(line)["frame"] for line in path.read_bytes().splitlines()] == [3]
