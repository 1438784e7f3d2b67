"""Damaged, truncated and undecodable videos: the rest is read, and what is lost is counted and named."""

import re
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.media.container import codec_in_file, codec_name
from edge.media.sources import open_source
from runtimes.errors import SourceError

COUNT = 20


def make_video(path: Path, codec: str) -> Path:
    """20 noisy frames, 10 a second, so that every frame takes some kilobytes."""
    rng = np.random.default_rng(5)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10, (64, 48))
    assert writer.isOpened()
    for index in range(COUNT):
        writer.write((rng.integers(0, 60, (48, 64, 3)) + 8 * index).astype(np.uint8))
    writer.release()
    return path


def jpegs_of(data: bytes) -> list[int]:
    """Offsets of the JPEG frames of a motion JPEG AVI."""
    found, at = [], data.find(b"\xff\xd8\xff")
    while at >= 0:
        found.append(at)
        at = data.find(b"\xff\xd8\xff", at + 3)
    return found


def without_frames(path: Path, numbers: list[int]) -> Path:
    """Zero these frames' data, and keep the file's structure."""
    data = bytearray(path.read_bytes())
    starts = jpegs_of(bytes(data))
    assert len(starts) == COUNT
    for number in numbers:
        size = struct.unpack("<I", data[starts[number] - 4 : starts[number]])[0]
        data[starts[number] : starts[number] + size] = bytes(size)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("bad", [[10], [0], [3, 4, 5], [2, 9, 17], list(range(1, 19))])
def test_damaged_frames_are_skipped_and_counted(tmp_path: Path, bad: list[int]) -> None:
    path = without_frames(make_video(tmp_path / "clip.avi", "MJPG"), bad)
    with open_source(path) as source:
        frames = list(source)
        assert source.frame_count == COUNT
    good = [index for index in range(COUNT) if index not in bad]
    assert [frame.index for frame in frames] == good
    assert [frame.name for frame in frames] == [f"clip_{index:06d}" for index in good]
    assert [frame.time_s for frame in frames] == pytest.approx([i / 10 for i in good], abs=1e-6)
    assert [round(float(frame.image.mean())) for frame in frames] == pytest.approx(
        [8 * index + 30 for index in good], abs=4
    )
    assert (source.losses.unread, source.losses.missing) == (len(bad), 0)
    plural = "s" * (len(bad) > 1)
    named = ", ".join(f"clip_{index:06d}" for index in bad[:5])
    more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
    assert source.losses.notes() == [f"{len(bad)} frame{plural} could not be read: {named}{more}"]


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".avi", "MJPG"), (".mkv", "MJPG"), (".mkv", "mp4v")]
)
@pytest.mark.parametrize("share", [0.4, 0.7])
def test_a_truncated_file_says_so(tmp_path: Path, suffix: str, codec: str, share: float) -> None:
    path = make_video(tmp_path / f"clip{suffix}", codec)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with open_source(path) as source:
        count = len(list(source))
        assert source.frame_count == COUNT
    assert 2 < count < COUNT
    assert count + source.losses.unread + source.losses.missing == COUNT
    assert source.losses.missing > 0
    assert "the container promises" in source.losses.notes()[-1]
    assert "truncated" in source.losses.notes()[-1]


def make_long_video(path: Path, codec: str) -> Path:
    """60 frames, 10 a second, whose brightness is four times their number."""
    rng = np.random.default_rng(5)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10, (64, 48))
    assert writer.isOpened()
    for index in range(60):
        writer.write((rng.integers(0, 8, (48, 64, 3)) + 4 * index).astype(np.uint8))
    writer.release()
    return path


def zeroed(data: bytes, start: int, end: int) -> bytes:
    return data[:start] + bytes(end - start) + data[end:]


def removed(data: bytes, start: int, end: int) -> bytes:
    return data[:start] + data[end:]


@pytest.mark.parametrize("damage", [zeroed, removed])
@pytest.mark.parametrize("holes", [[(0.45, 0.6)], [(0.45, 0.5), (0.7, 0.76)]])
@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        (".avi", "MJPG"),
        (".avi", "I420"),
        (".mkv", "MJPG"),
        (".mkv", "mp4v"),
        (".webm", "VP80"),
        (".ts", "mp4v"),
        (".flv", "FLV1"),
    ],
)
def test_frames_behind_a_hole_keep_their_numbers_and_times(
    tmp_path: Path,
    suffix: str,
    codec: str,
    holes: list[tuple[float, float]],
    damage: Callable[[bytes, int, int], bytes],
) -> None:
    if codec == "I420":
        holes = holes[:1]  # frames of one size do not tell how many lie between two cuts
    path = make_long_video(tmp_path / f"clip{suffix}", codec)
    data = path.read_bytes()
    size = len(data)
    for start, end in reversed(holes):
        data = damage(data, int(start * size), int(end * size))
    path.write_bytes(data)
    with open_source(path) as source:
        frames = list(source)
    losses = source.losses
    assert 20 < len(frames) < 60
    assert len(frames) + losses.unread + losses.missing == 60
    shown = np.array([(frame.image.mean() - 3.5) / 4 for frame in frames])
    # a frame whose data a hole cuts in two may be decoded from what is left of it
    apart = np.abs(shown - [frame.index for frame in frames]) > 2
    assert apart.sum() <= 2 * len(holes)
    assert not apart[-3:].any()
    assert [frame.time_s for frame in frames] == pytest.approx(
        [frame.index / 10 for frame in frames], abs=0.002
    )
    lost = sum(last - first + 1 for first, last in losses.holes)
    assert lost == losses.missing
    first, last = losses.holes[0]
    assert f"({first} to {last}" in losses.notes()[-1]


def test_uneven_times_of_a_sound_file_are_no_loss(tmp_path: Path) -> None:
    path = make_long_video(tmp_path / "clip.mkv", "MJPG")
    data = bytearray(path.read_bytes())
    blocks = [match.start() for match in re.finditer(rb"\x81(..)[\x00\x80]\xff\xd8\xff", data)]
    assert len(blocks) == 60
    for at in blocks[-5:]:  # the last five half a second later
        late = int.from_bytes(data[at + 1 : at + 3], "big") + 500
        data[at + 1 : at + 3] = late.to_bytes(2, "big")
    path.write_bytes(data)
    with open_source(path) as source:
        times = [frame.time_s for frame in source]
    assert len(times) == 60
    assert times[55] - times[54] == pytest.approx(0.6, abs=0.002)
    assert source.losses.notes() == []


def test_an_mp4_file_that_lacks_bytes_says_so(tmp_path: Path) -> None:
    path = make_long_video(tmp_path / "clip.mp4", "mp4v")
    path.write_bytes(removed(path.read_bytes(), 1000, 1500))
    with pytest.raises(SourceError, match=r"clip\.mp4 has no index .*bytes are missing before it"):
        open_source(path)


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".avi", "MJPG"), (".mkv", "mp4v"), (".mp4", "mp4v")]
)
def test_a_whole_file_loses_nothing(tmp_path: Path, suffix: str, codec: str) -> None:
    with open_source(make_video(tmp_path / f"clip{suffix}", codec)) as source:
        assert [frame.index for frame in source] == list(range(COUNT))
    assert source.losses.notes() == []


def test_a_recording_without_its_index_is_named(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", "mp4v")
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"moov") - 4])
    with pytest.raises(SourceError, match=r"clip\.mp4 has no index \(moov\).*cut off"):
        open_source(path)


@pytest.mark.parametrize(
    ("suffix", "old", "new", "named"),
    [
        (".mp4", b"mp4v", b"av01", r"AV1 \(av01\)"),
        (".mp4", b"mp4v", b"vvc1", r"H\.266 \(VVC\) \(vvc1\)"),
        (".mp4", b"mp4v", b"evc1", r"EVC \(evc1\)"),
        (".mkv", b"V_MJPEG", b"V_AV1\0\0", r"AV1 \("),
        (".avi", b"MJPG", b"cfhd", r"CineForm \(cfhd\)|CFHD"),
    ],
)
def test_a_codec_that_is_not_decoded_is_named(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    suffix: str,
    old: bytes,
    new: bytes,
    named: str,
) -> None:
    path = make_video(tmp_path / f"clip{suffix}", "mp4v" if suffix == ".mp4" else "MJPG")
    # MP4 names the codec a second time, in esds
    path.write_bytes(path.read_bytes().replace(old, new).replace(b"esds", b"free"))
    with pytest.raises(
        SourceError, match=rf"clip\{suffix}: OpenCV decodes no frame .*{named}"
    ) as told:
        open_source(path)
    assert f"ffmpeg -i {path} -c:v libx264" in str(told.value)
    assert "\n" not in str(told.value)
    assert capfd.readouterr() == ("", "")


def test_codecs_have_the_names_people_search_for(tmp_path: Path) -> None:
    assert codec_name(int.from_bytes(b"AV01", "little")) == "AV1 (av01)"
    assert codec_name(int.from_bytes(b"hev1", "little")) == "H.265 (HEVC) (hev1)"
    assert codec_name(0) is None
    (tmp_path / "a.txt").write_text("no container")
    assert codec_in_file(tmp_path / "a.txt") is None
