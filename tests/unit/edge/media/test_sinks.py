"""Sinks: what lands on disk, that other programs' formats are kept, and that nothing half-written ever appears."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.evaluation.coco import as_results
from edge.media.sinks import CocoSink, CsvSink, ImageDirSink, OpenPoseSink, PictureSink, Sink
from edge.media.video_sink import VideoSink
from edge.schema import load_schema
from edge.types import Frame, Poses
from runtimes.errors import InputError, TargetExistsError

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
    assert len(rows[0]) == 10 + 3 * 17


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
