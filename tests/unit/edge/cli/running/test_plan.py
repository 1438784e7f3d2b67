"""Sources of a run: folders and patterns of videos, mixes, and names that no two sources share."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cli.running.names import named_sources
from edge.cli.running.plan import plan_run
from edge.cli.running.setup import picture_suffix
from edge.cli.running.shard import Shard
from edge.media.paths import without_login
from edge.media.sources import open_source
from runtimes.errors import EdgeposeError, InputError, SourceError


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def draw(path: Path) -> None:
    cv2.imwrite(str(path), np.zeros((8, 8, 3), np.uint8))


def names_of(found: list[str]) -> list[str]:
    return [each.name for each in named_sources([(source, source) for source in found])]


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        (["a.mp4", "b.mkv"], ["a", "b"]),
        (["a.mp4", "a.mkv", "b.mp4"], ["a.mp4", "a.mkv", "b"]),
        (["cam1/0001.mp4", "cam2/0001.mp4"], ["cam1_0001", "cam2_0001"]),
        (["rtsp://me:secret@10.0.0.1:554/live/1", "0"], ["10.0.0.1_554_live_1", "camera0"]),
        (["rtsp://a:b@h/x", "rtsp://c:d@h/x"], ["h_x_1", "h_x_2"]),
        (["photos/*.jpg", ".hidden.mp4", "überblick.mp4"], ["photos_.jpg", "hidden", "überblick"]),
        (["a b/c.mp4", "a_b/c.mp4"], ["a_b_c.mp4_1", "a_b_c.mp4_2"]),
    ],
)
def test_every_source_has_a_name_of_its_own(sources: list[str], names: list[str]) -> None:
    assert names_of(sources) == names


def test_a_source_is_named_once() -> None:
    with pytest.raises(InputError, match=r"a\.mp4 is named twice"):
        names_of(["a.mp4", "b.mp4", "a.mp4"])


def test_logins_are_left_out() -> None:
    assert without_login("rtsp://me:se/cret@cam/live") == "rtsp://me:se/cret@cam/live"
    assert without_login("rtsp://me:secret@cam/live") == "rtsp://cam/live"
    assert without_login("mail@home.mp4") == "mail@home.mp4"


def test_a_folder_of_videos_is_each_of_them(tmp_path: Path) -> None:
    touch(tmp_path, "b.mp4", "a.MKV", "._b.mp4", "notes.txt", "sub/c.mp4")
    plan = plan_run([str(tmp_path)], None)
    assert plan.way == "batch"
    assert [(each.name, each.key) for each in plan.sources] == [("a", "a.MKV"), ("b", "b.mp4")]


def test_a_pattern_of_videos_reaches_into_folders(tmp_path: Path) -> None:
    touch(tmp_path, "x/b.mp4", "y/b.mp4", "y/c.mp4")
    plan = plan_run([f"{tmp_path}/**/*.mp4"], None)
    assert plan.way == "batch"
    assert [each.key for each in plan.sources] == ["x/b.mp4", "y/b.mp4", "y/c.mp4"]
    assert plan.sources[2].name == "c"
    assert len({each.name for each in plan.sources}) == 3


def test_where_a_folder_lies_does_not_change_its_shards(tmp_path: Path) -> None:
    names = [f"{number}.mp4" for number in range(30)]
    shares = []
    for place in ("here", "there/deeper"):
        folder = touch(tmp_path / place, *names)
        plan = plan_run([str(folder)], Shard(2, 3))
        shares.append([(each.name, each.key) for each in plan.sources])
    assert shares[0] == shares[1]
    assert 0 < len(shares[0]) < 30
    rest = [plan_run([str(folder)], Shard(index, 3)).sources for index in (1, 3)]
    assert len(shares[0]) + sum(map(len, rest)) == 30


def test_names_do_not_depend_on_the_shard(tmp_path: Path) -> None:
    """Two files of one stem may be in two shards; each still knows of the other."""
    touch(tmp_path, "a.mp4", "a.mkv", "a.avi")
    names = [
        each.name for index in (1, 2) for each in plan_run([str(tmp_path)], Shard(index, 2)).sources
    ]
    assert sorted(names) == ["a.avi", "a.mkv", "a.mp4"]


def test_files_named_one_by_one_are_shared_out_by_their_place_below_their_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "x/a.mp4", "y/a.mp4")
    monkeypatch.chdir(tmp_path / "x")
    plans = [
        plan_run([str(tmp_path / "x/a.mp4"), str(tmp_path / "y/a.mp4")], Shard(1, 1)),
        plan_run(["a.mp4", "../y/a.mp4"], Shard(1, 1)),
    ]
    for plan in plans:
        assert [(each.name, each.key) for each in plan.sources] == [
            ("x_a", "x/a.mp4"),
            ("y_a", "y/a.mp4"),
        ]


def test_images_beside_videos_are_run_unless_there_is_a_shard(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    draw(tmp_path / "still.jpg")
    plan = plan_run([str(tmp_path)], None)
    assert (plan.way, [each.source for each in plan.sources]) == ("one", [str(tmp_path)])
    assert "its images are run, and 2 videos beside them left out" in capsys.readouterr().err
    shared = plan_run([str(tmp_path)], Shard(1, 1))
    assert [each.key for each in shared.sources] == ["a.mp4", "b.mp4"]


def test_folders_of_images_stay_one_source(tmp_path: Path) -> None:
    draw(tmp_path / "1.jpg")
    assert plan_run([str(tmp_path)], None).way == "one"
    assert plan_run([f"{tmp_path}/*.jpg"], None).way == "one"
    assert plan_run([str(tmp_path), "synth"], None).way == "together"
    with pytest.raises(SourceError, match="no videos in"):
        plan_run([str(tmp_path)], Shard(1, 2))


@pytest.mark.parametrize("source", ["synth", "0", "rtsp://cam/live", "photo.jpg"])
def test_a_shard_is_of_video_files(source: str) -> None:
    with pytest.raises(InputError, match="is no video file; --shard"):
        plan_run(["a.mp4", source], Shard(1, 2))
    assert plan_run(["a.mp4", source], None).way == "together"


def test_annotated_frames_are_a_picture_a_video_or_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(tmp_path / "a.jpg")
    monkeypatch.chdir(tmp_path)
    sources = ("a.jpg", ".", "*.jpg", "a.mp4", "0", "synth", "http://cam/*.mjpg")
    suffixes = [picture_suffix(source) for source in sources]
    assert suffixes == [".jpg", "", "", ".mp4", ".mp4", ".mp4", ".mp4"]


@pytest.mark.parametrize("name", ["a" * 300, "videotestsrc ! " + "identity ! " * 40 + "identity"])
def test_names_longer_than_a_file_may_have_are_taken_as_they_are(name) -> None:
    assert [each.source for each in plan_run([name], None).sources] == [name]
    assert picture_suffix(name) == ".mp4"
    with pytest.raises(EdgeposeError, match=r"no such file|no element|is not installed"):
        open_source(name.replace("identity", "nosuchelement"))


def test_names_of_files_are_short_and_their_own() -> None:
    """A file's name has at most 255 bytes, and an ending."""
    names = names_of([f"{'videoscale ! ' * 30}{end}" for end in "abc"])
    assert len(set(names)) == 3
    assert max(map(len, names)) < 200


def test_a_shard_without_videos_says_so(tmp_path: Path, capsys) -> None:
    (tmp_path / "a.mp4").touch()
    plans = [plan_run([str(tmp_path)], Shard(index, 2)) for index in (1, 2)]
    assert sorted(len(plan.sources) for plan in plans) == [0, 1]
    assert capsys.readouterr().err.count("none of 1 video belongs to this shard") == 1


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        (["-", "raw:4x4:bgr24"], "two sources read from stdin"),
        (["raw:4x4:bgr24", "raw:4x4:rgb24"], "two sources read from stdin"),
        ([""], "name is empty"),
        (["a.mp4", ""], "name is empty"),
        (["\udcff.mp4"], "is no UTF-8; rename it"),
    ],
)
def test_sources_that_cannot_be_run_together_or_at_all(sources: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        plan_run(sources, None)


def test_names_of_files_leave_room_for_their_suffix(tmp_path: Path) -> None:
    (each,) = plan_run(["日" * 83 + ".mp4"], None).sources
    (tmp_path / f"{each.name}.jsonl.part").touch()
