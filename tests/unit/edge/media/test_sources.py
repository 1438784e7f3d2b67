"""Sources: order, time, names, and what is said of each thing that gives no frame."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.image import read_image, write_image
from edge.media.sinks import VideoSink
from edge.media.sources import open_source
from edge.types import U8
from runtimes.errors import InputError, SourceError


def picture(value: int) -> np.ndarray:
    return np.full((48, 64, 3), value, np.uint8)


def make_video(path: Path, count: int, fps: float = 10.0) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (64, 48))
    for index in range(count):
        writer.write(picture(index * 20))
    writer.release()
    return path


def test_one_image(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", picture(7))
    with open_source(tmp_path / "a.png") as source:
        frames = list(source)
        assert (source.frame_count, source.live) == (1, False)
    assert [(frame.index, frame.time_s, frame.name) for frame in frames] == [(0, 0.0, "a.png")]
    assert (frames[0].image == 7).all()


@pytest.mark.parametrize("pattern", ["", "*.png", "**/*.png"])
def test_a_folder_or_glob_in_natural_order(tmp_path: Path, pattern: str) -> None:
    for number in (10, 2, 1):
        write_image(tmp_path / f"f{number}.png", picture(number))
    (tmp_path / "notes.txt").touch()
    with open_source(tmp_path / pattern if pattern else tmp_path, fps=20) as source:
        frames = list(source)
    assert [frame.name for frame in frames] == ["f1.png", "f2.png", "f10.png"]
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [1, 2, 10]
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.05, 0.1])


@pytest.mark.parametrize("relative", [False, True])
def test_files_of_several_folders_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, relative: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "x/a.png", "x/y/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_image(tmp_path / name, picture(1))
    base = "" if relative else f"{tmp_path}/"
    for pattern, names in (
        ("**/*.png", ["a.png", "x/a.png", "x/y/a.png"]),
        ("x/**/*.png", ["a.png", "y/a.png"]),
        ("x/*.png", ["a.png"]),
    ):
        with open_source(base + pattern) as source:
            assert sorted(frame.name for frame in source) == names


def test_a_video_has_the_containers_rate_and_time(tmp_path: Path) -> None:
    with open_source(make_video(tmp_path / "clip.avi", 5)) as source:
        assert (source.fps, source.frame_count, source.live) == (10, 5, False)
        frames = list(source)
    assert [frame.index for frame in frames] == list(range(5))
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4], abs=1e-6)
    for frame in frames:
        assert abs(float(frame.image.mean()) - 20 * frame.index) < 3


def test_unevenly_timed_video(real: Path) -> None:
    """Its header says 28.05 frames a second on average; the frames themselves are stamped 1/30 s apart at first."""
    with open_source(real / "videos/demo_skeleton.mp4") as source:
        assert source.frame_count == 72
        times = [frame.time_s for frame, _ in zip(source, range(4), strict=False)]
    assert times == pytest.approx([0, 1 / 30, 2 / 30, 0.1], abs=1e-4)


def test_a_video_of_another_container(real: Path) -> None:
    with open_source(str(real / "videos/asl_walk.mkv")) as source:
        frames = list(source)
    assert len(frames) == 89
    assert np.all(np.diff([frame.time_s for frame in frames]) > 0)


def test_drawn_people_are_the_same_every_time() -> None:
    firsts = []
    for _ in range(2):
        with open_source("synth", fps=10) as source:
            assert source.frame_count
            assert not source.live
            frames = [frame for frame, _ in zip(source, range(2), strict=False)]
        firsts.append(frames)
    assert [frame.time_s for frame in firsts[0]] == pytest.approx([0, 0.1])
    for one, other in zip(*firsts, strict=True):
        assert np.array_equal(one.image, other.image)


def test_a_closed_source_gives_nothing_more(tmp_path: Path) -> None:
    source = open_source(make_video(tmp_path / "clip.avi", 5))
    next(iter(source))
    source.close()
    assert list(source) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.mp4", r"no such file or directory: .*absent\.mp4; a source is"),
        ("*.jpg", r"no image matches .*\*\.jpg"),
        ("empty", r"no images in .*empty; looked for \.jpg"),
        ("text.mp4", r"text\.mp4 is no image or video .*ffmpeg"),
        ("hollow.avi", r"hollow\.avi is no image or video OpenCV can decode, or holds no frames"),
    ],
)
def test_what_gives_no_frame_says_so_at_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mp4").write_text("this is no film")
    make_video(tmp_path / "hollow.avi", 0)
    with pytest.raises(SourceError, match=message):
        open_source(tmp_path / name)
    assert capfd.readouterr() == ("", "")


def test_an_undecodable_image_is_named(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", picture(1))
    (tmp_path / "b.png").write_text("no picture")
    write_image(tmp_path / "c.png", picture(3))
    with open_source(tmp_path) as source:
        assert [(frame.index, frame.name) for frame in source] == [(0, "a.png"), (2, "c.png")]
        assert source.losses.notes() == ["1 frame could not be read: b.png"]
    with pytest.raises(SourceError, match=r"b\.png is no image that OpenCV can decode"):
        open_source(tmp_path / "b.png")


@pytest.mark.parametrize("camera", [987, "987"])
def test_a_camera_that_is_not_there(camera: int | str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceError, match="camera 987 gives no frames"):
        open_source(camera)
    assert capfd.readouterr() == ("", "")


def test_a_stream_that_is_not_there(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(
        SourceError, match=r"rtsp://127\.0\.0\.1:9/x gives no frames; check the address"
    ):
        open_source("rtsp://127.0.0.1:9/x")
    assert capfd.readouterr() == ("", "")


def test_opening_leaves_opencvs_log_level_alone(tmp_path: Path) -> None:
    logging = getattr(cv2.utils, "logging", cv2)  # OpenCV before 4.13 has them at its top level
    before = logging.getLogLevel()
    with open_source(make_video(tmp_path / "clip.avi", 1)) as source:
        list(source)
    assert logging.getLogLevel() == before


def pages_of(path: Path, *images: U8) -> Path:
    assert cv2.imwritemulti(str(path), list(images))
    return path


def flat(value: int, height: int = 24) -> U8:
    return np.full((height, 32, 3), value, np.uint8)


def test_the_pages_of_a_tiff_are_frames(tmp_path: Path) -> None:
    path = pages_of(tmp_path / "stack.tif", flat(10), flat(90), flat(200))
    with open_source(path, fps=10) as source:
        assert source.frame_count == 3
        frames = list(source)
    assert [round(float(frame.image.mean())) for frame in frames] == [10, 90, 200]
    assert [frame.name for frame in frames] == [f"stack_{index:06d}" for index in range(3)]
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.1, 0.2])
    assert source.losses.notes() == []


def test_thumbnails_among_the_pages_are_left_out_and_said(tmp_path: Path) -> None:
    path = pages_of(tmp_path / "photo.tif", flat(10), flat(10, height=12))
    with (
        pytest.warns(UserWarning, match="1 page of another size than the first left out"),
        open_source(path) as source,
    ):
        assert [frame.image.shape for frame in source] == [(24, 32, 3)]


def test_one_image_is_read_of_a_tiff_in_a_folder_and_said(tmp_path: Path) -> None:
    path = pages_of(tmp_path / "stack.tif", flat(10), flat(90))
    with pytest.warns(UserWarning, match=r"stack\.tif: the first of 2 pages is read"):
        frames = list(open_source(tmp_path))
    assert [round(float(frame.image.mean())) for frame in frames] == [10]
    with pytest.warns(UserWarning, match="the first of 2 pages is read"):
        read_image(path)


def test_a_tiff_of_one_page_is_an_image(tmp_path: Path, recwarn) -> None:
    cv2.imwrite(str(tmp_path / "photo.tif"), flat(10))
    with open_source(tmp_path / "photo.tif") as source:
        assert [frame.name for frame in source] == ["photo.tif"]
    assert not recwarn.list


def test_names_on_which_opencv_crashes_are_refused(tmp_path: Path) -> None:
    name = os.fsdecode(bytes(tmp_path) + b"/\xff.avi")
    Path(name).touch()
    for source in (name, tmp_path, str(tmp_path / "*")):
        with pytest.raises(InputError, match="no UTF-8; rename it"):
            open_source(source)
    with pytest.raises(InputError, match="no UTF-8; rename it"):
        VideoSink(name, 30, overwrite=True)


def test_what_is_no_file_is_not_said_to_be_missing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(SourceError, match="neither a file nor a directory"):
        open_source(tmp_path / "pipe.mp4")
    with pytest.raises(SourceError, match="empty"):
        open_source("")
