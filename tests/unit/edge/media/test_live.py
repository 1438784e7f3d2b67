"""Live sources: reconnection, GStreamer, cameras; raw frames on a pipe; numbered images."""

import contextlib
import io
import itertools
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mjpeg import MjpegHandler, jpeg_of, mjpeg_camera

from edge.media.live.camera import Camera, parse_camera
from edge.media.live.gstreamer import is_gstreamer, open_gstreamer
from edge.media.live.limits import LiveLimits
from edge.media.live.messages import ChildMessages
from edge.media.live.piped import PipeReader, parse_raw, piped_source
from edge.media.live.pixels import PIXEL_FORMATS
from edge.media.live.y4m import parse_header
from edge.media.sources import open_source
from runtimes.errors import EdgeposeWarning, InputError, MissingDependencyError, SourceError

QUICK = LiveLimits(timeout_s=1, first_retry_s=0.05, most_retry_s=0.1)
PICTURES = 6
needs_gstreamer = pytest.mark.skipif(
    shutil.which("gst-launch-1.0") is None, reason="gst-launch-1.0 is not installed"
)


def pipe_of(data: bytes) -> PipeReader:
    return PipeReader(io.BytesIO(data))


class MjpegCamera:
    """An MJPEG server whose connections do, in turn, what `script` says."""

    def __init__(self, script: list[str]) -> None:
        self.connections = 0
        self.over = threading.Event()
        camera = self

        class Handler(MjpegHandler):
            def pictures(self) -> Iterator[bytes] | None:
                action = script[min(camera.connections, len(script) - 1)]
                camera.connections += 1
                return None if action == "refuse" else camera.sent(action)

        self._serving = mjpeg_camera(Handler)

    def sent(self, action: str) -> Iterator[bytes]:
        jpeg = jpeg_of(np.full((48, 64, 3), 90, np.uint8))
        for number in itertools.count() if action in {"endless", "damaged"} else range(PICTURES):
            damaged = (action, number) in {("garbage", 2), ("damaged", 0)}
            yield b"no picture" * 40 if damaged else jpeg
            time.sleep(0.02)
        if action == "stall":
            self.over.wait(20)

    def __enter__(self) -> "MjpegCamera":
        self.url = self._serving.__enter__()
        return self

    def __exit__(self, *_error: object) -> None:
        self.over.set()
        self._serving.__exit__(None, None, None)


def test_a_lost_stream_is_opened_again_and_its_time_goes_on() -> None:
    """Closed, refused, stalled and damaged: frames go on, and each loss is counted once."""
    with (
        MjpegCamera(["garbage", "refuse", "stall", "endless"]) as camera,
        open_source(camera.url, limits=QUICK) as source,
        warnings.catch_warnings(record=True) as said,
    ):
        warnings.simplefilter("always", EdgeposeWarning)
        frames = []
        for frame in source:
            frames.append(frame)
            if source.losses.reconnects == 2 and len(frames) > 3 * PICTURES:
                break
    assert sum("connecting again" in str(each.message) for each in said) == 2
    assert camera.connections == 4
    assert source.losses.reconnects == 2
    assert source.losses.unread >= 1  # the damaged one is no disconnection
    times = [frame.time_s for frame in frames]
    assert all(earlier < later for earlier, later in itertools.pairwise(times))
    numbers = [frame.index for frame in frames]
    assert numbers == sorted(set(numbers))
    assert any("opened again 2 times" in note for note in source.losses.notes())


@pytest.mark.filterwarnings("ignore::runtimes.errors.EdgeposeWarning")
@pytest.mark.parametrize(
    "limits",
    [
        LiveLimits(give_up_s=0),
        LiveLimits(1, 0.05, 0.1, 0.3),
        LiveLimits(1, 100, 100, 0.3),  # the back-off is longer than the patience
    ],
)
def test_a_stream_that_stays_away_is_given_up(limits) -> None:
    with (
        MjpegCamera(["well", "refuse"]) as camera,
        open_source(camera.url, limits=limits) as source,
        pytest.raises(SourceError, match="its connection broke off"),
    ):
        list(source)
    assert source.losses.reconnects == 0


def test_what_gives_no_frame_at_first_is_not_tried_again() -> None:
    with MjpegCamera(["refuse"]) as camera:
        with pytest.raises(SourceError, match="gives no frames"):
            open_source(camera.url, limits=QUICK)
        assert camera.connections == 1


def test_a_connection_that_begins_with_a_damaged_frame_is_one() -> None:
    with (
        MjpegCamera(["well", "damaged", "endless"]) as camera,
        open_source(camera.url, limits=QUICK) as source,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", EdgeposeWarning)
        for frame in source:
            if frame.index >= PICTURES + 3:
                break
    assert (camera.connections, source.losses.reconnects) == (2, 1)


@needs_gstreamer
def test_a_pipeline_that_changes_its_size_never_gives_a_mixed_picture(tmp_path: Path) -> None:
    """Pictures of one grey level each, of two sizes: each frame is of one level and one size."""
    for number in range(12):
        height, width = ((48, 64), (80, 96))[number // 3 % 2]
        grey = np.full((height, width, 3), 20 * number, np.uint8)
        cv2.imwrite(str(tmp_path / f"f{number:02d}.png"), grey)
    pipeline = (
        f"multifilesrc location={tmp_path}/f%02d.png caps=image/png,framerate=10/1 "
        "! pngdec ! identity sync=true"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EdgeposeWarning)
        with (
            contextlib.suppress(SourceError),
            open_source(pipeline, limits=LiveLimits(2, 0.05, 0.1, 0)) as source,
        ):
            for frame in source:
                assert frame.image.shape in {(48, 64, 3), (80, 96, 3)}
                assert np.ptp(frame.image) <= 1


def test_the_wait_for_a_stalled_source_can_be_interrupted() -> None:
    with (
        MjpegCamera(["stall"]) as camera,
        open_source(camera.url, limits=LiveLimits(timeout_s=1.5)) as source,
    ):
        next(iter(source))
        threading.Timer(0.3, source.interrupt).start()
        assert all(frame.index < PICTURES for frame in source)


@given(st.floats(0.01, 10), st.floats(1, 100))
def test_waits_double_up_to_the_longest(first_s, most_s) -> None:
    limits = LiveLimits(first_retry_s=first_s, most_retry_s=most_s)
    waits = list(itertools.islice(limits.retries_s(lambda: 1e9), 40))
    assert waits == [min(first_s * 2**attempt, most_s) for attempt in range(40)]


@given(st.floats(0.01, 10), st.floats(1, 100), st.floats(0, 60))
def test_waits_end_where_the_source_is_given_up(first_s, most_s, give_up_s) -> None:
    """Attempts that take no time: the last wait is cut short, none follows, and none is missing before."""
    limits = LiveLimits(first_retry_s=first_s, most_retry_s=most_s, give_up_s=give_up_s)
    waits: list[float] = []
    waits.extend(limits.retries_s(lambda: sum(waits)))
    assert sum(waits) == pytest.approx(give_up_s, abs=1e-8)
    assert waits[:-1] == [min(first_s * 2**attempt, most_s) for attempt in range(len(waits) - 1)]


@pytest.mark.parametrize(
    "wrong", [{"timeout_s": 0}, {"first_retry_s": -1}, {"give_up_s": float("nan")}]
)
def test_limits_that_make_no_sense_are_refused(wrong) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        LiveLimits(**wrong)


@needs_gstreamer
def test_frames_of_a_gstreamer_pipeline_have_their_size_and_colours() -> None:
    """An odd size, whose rows GStreamer pads; red is (0, 0, 255) in BGR."""
    pipeline = (
        "videotestsrc is-live=true num-buffers=4 pattern=red"
        " ! video/x-raw,width=65,height=49,framerate=20/1"
    )
    with open_source(pipeline) as source:
        frames = list(source)
    assert source.live
    assert len(frames) + source.losses.dropped == 4
    assert {frame.image.shape for frame in frames} == {(49, 65, 3)}
    assert np.abs(frames[0].image.astype(int) - [0, 0, 255]).max() <= 3


def test_of_what_a_child_prints_the_last_lines_are_kept() -> None:
    """More than a pipe holds, in parts that end within lines: the child is never held up, and each line is heard."""
    heard: list[bytes] = []
    messages = ChildMessages(heard.append)
    reading, writing = os.pipe()
    script = (
        "for number in range(30000): print('line', number)\n"
        f"import os; print(end='end', flush=True); os.write({writing}, b'.')"
    )
    child = subprocess.Popen(
        [sys.executable, "-S", "-c", script], stdout=messages.writing, pass_fds=(writing,)
    )
    os.close(writing)
    messages.close_writing()
    assert messages.wait_for(reading, 60)
    messages.hear()
    assert child.wait(60) == 0
    assert heard == [b"line %d" % number for number in range(30000)]
    assert messages.text.splitlines()[-2:] == ["line 29999", "end"]
    assert len(messages.text) < 100_000
    messages.close()
    os.close(reading)


OPENS_FOR_MINUTES = """
from edge.cli.signals import sigterm_exits
from edge.media.sources import open_source
with sigterm_exits():
    open_source("videotestsrc ! identity sleep-time=300000000")
"""


def children_of(process: int) -> list[str]:
    """Return the names of the programs that a process has started and that still run."""
    listed = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [Path(f"/proc/{child}/comm").read_text() for child in listed]


@needs_gstreamer
def test_a_signal_while_a_pipeline_is_opened_ends_its_process() -> None:
    """The pipeline gives its first frame after minutes."""
    opening = subprocess.Popen([sys.executable, "-c", OPENS_FOR_MINUTES], start_new_session=True)
    try:
        end = time.monotonic() + 60
        while not any("gst-launch" in name for name in children_of(opening.pid)):
            assert opening.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
        time.sleep(0.5)  # it has its process by now
        opening.send_signal(signal.SIGTERM)
        assert opening.wait(60) == 143
        with pytest.raises(ProcessLookupError):
            os.killpg(opening.pid, 0)  # no one is left in its session
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(opening.pid, signal.SIGKILL)
        opening.wait()


@needs_gstreamer
@pytest.mark.parametrize(
    ("pipeline", "said"),
    [
        ("gst:nosuchelement", "no element"),
        ("gst:audiotestsrc num-buffers=1", "could not link"),
        ("gst:filesrc location=/nowhere ! decodebin", "ERROR"),
    ],
)
def test_what_gstreamer_says_is_passed_on(pipeline, said) -> None:
    with pytest.raises(SourceError, match=said):
        open_source(pipeline)


def test_without_gstreamer_the_error_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingDependencyError, match="apt install gstreamer1") as raised:
        open_gstreamer("videotestsrc ! videoscale", 1)
    assert raised.value.exit_code == 4


@needs_gstreamer
def test_a_pipeline_with_an_open_quotation_is_refused() -> None:
    with pytest.raises(InputError, match="quotation"):
        open_gstreamer("videotestsrc 'open", 1)


def test_pipelines_are_told_from_paths() -> None:
    assert is_gstreamer("a ! b")
    assert is_gstreamer("gst:videotestsrc")
    assert not is_gstreamer("wow!.mp4")
    assert is_gstreamer("a ! b" * 999)  # longer than a file's name may be


def test_a_file_whose_name_looks_like_a_pipeline_is_a_file(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("go ! now.png", np.full((8, 8, 3), 7, np.uint8))
    Path("a ! b").mkdir()
    cv2.imwrite("a ! b/one.png", np.full((8, 8, 3), 9, np.uint8))
    for name, value in (("go ! now.png", 7), (tmp_path / "go ! now.png", 7), ("a ! b", 9)):
        with open_source(name) as source:
            assert not source.live
            assert [frame.image.max() for frame in source] == [value]


@pytest.mark.parametrize(
    ("text", "camera"),
    [
        ("0", Camera(0)),
        ("/dev/video3", Camera(3)),
        ("camera:1", Camera(1)),
        (
            "camera:2?size=1280x720&fps=29.97&fourcc=MJPG",
            Camera(2, (1280, 720), 29.97, "MJPG"),
        ),
        ("clip.mp4", None),
        ("1.5", None),
    ],
)
def test_cameras_by_name(text, camera) -> None:
    assert parse_camera(text) == camera


@pytest.mark.parametrize(
    "text", ["camera:x", "camera:0?size=12", "camera:0?fps=0", "camera:0?zoom=2", "camera:"]
)
def test_unknown_camera_options_are_refused(text) -> None:
    with pytest.raises(InputError, match=r"camera:N\?size="):
        parse_camera(text)


@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_raw_frames_come_back_as_they_were(width, height, data) -> None:
    """bgr24 and rgb24 lose nothing; in 4:2:0 black, white and grey of BT.601 come back at any size."""
    pixels = data.draw(st.binary(min_size=3 * width * height, max_size=3 * width * height))
    array = np.frombuffer(pixels, np.uint8)
    bgr = PIXEL_FORMATS["bgr24"].to_bgr(array, width, height)
    rgb = PIXEL_FORMATS["rgb24"].to_bgr(array, width, height)
    assert bgr.tobytes() == pixels
    assert (rgb[..., ::-1] == bgr).all()
    for name in ("yuv420p", "nv12"):
        kind = PIXEL_FORMATS[name]
        for luma, grey in ((16, 0), (235, 255), (126, 128)):
            planes = np.full(kind.count(width, height), 128, np.uint8)
            planes[: width * height] = luma
            image = kind.to_bgr(planes, width, height)
            assert image.shape == (height, width, 3)
            assert np.abs(image.astype(int) - grey).max() <= 1


def test_a_frame_that_is_cut_off_is_counted() -> None:
    layout = parse_raw("raw:4x2:gray@10")
    source = piped_source(pipe_of(bytes(range(8)) * 3 + b"cut"), layout, marked=False)
    frames = list(source)
    assert [frame.time_s for frame in frames] == [0.0, 0.1, 0.2]
    assert (source.losses.unread, source.losses.broken) == (1, ["stdin_000003"])
    assert not source.live


def test_a_stalled_pipe_can_be_interrupted() -> None:
    """One frame of two comes through a real pipe that stays open."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream, os.fdopen(writing, "wb") as writer:
        writer.write(bytes(8) + b"cut")
        writer.flush()
        pipe = PipeReader(stream)
        source = piped_source(pipe, parse_raw("raw:4x2:gray"), marked=False)
        threading.Timer(0.3, source.interrupt).start()
        assert len(list(source)) == 1


@given(st.lists(st.binary(max_size=9)), st.lists(st.integers(0, 12), min_size=1))
def test_a_pipe_gives_bytes_and_lines_as_a_file_does(parts, counts) -> None:
    """Against io.BytesIO, whatever is asked for in turn."""
    data = b"\n".join(parts)
    pipe, file = pipe_of(data), io.BytesIO(data)
    for count in counts:
        wanted = file.read(count) if count else file.readline()
        assert (pipe.read(count) if count else pipe.line()) == wanted


def test_y4m_frames_follow_their_header() -> None:
    layout = parse_header(b"YUV4MPEG2 W4 H2 F30000:1001 Ip A1:1 C420jpeg\n")
    assert (layout.wh, round(layout.fps, 3), layout.bytes_a_frame) == ((4, 2), 29.97, 12)
    white = bytes([235] * 8 + [128] * 4)
    source = piped_source(pipe_of((b"FRAME\n" + white) * 2), layout, marked=True)
    assert [int(frame.image.min()) for frame in source] == [255, 255]
    with pytest.raises(SourceError, match="does not begin with FRAME"):
        piped_source(pipe_of(b"FLAME\n" + white), layout, marked=True)
    with pytest.raises(SourceError, match="no whole frame"):
        piped_source(pipe_of(b""), layout, marked=True)


def bgr_of(luma: float, blue: float, red: float, *, full: bool) -> list[float]:
    """BT.601 (Kr 0.299, Kb 0.114), by its own equations: R - Y = 2 (1 - Kr) Cr, B - Y = 2 (1 - Kb) Cb."""
    kr, kb = 0.299, 0.114
    y = luma / 255 if full else (luma - 16) / 219
    cb, cr = ((each - 128) / (255 if full else 224) for each in (blue, red))
    r, b = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
    g = (y - kr * r - kb * b) / (1 - kr - kb)
    return [min(max(255 * each, 0), 255) for each in (b, g, r)]


@given(
    st.tuples(*[st.integers(0, 255)] * 3),
    st.sampled_from(["", "420", "420jpeg", "420mpeg2", "420paldv"]),
    st.sampled_from(["", "FULL", "LIMITED"]),
    st.sampled_from([(4, 2), (5, 3), (1, 1)]),
)
def test_colours_of_y4m_follow_its_range(yuv, chroma, range_, wh) -> None:
    """Without a range it is limited, whatever the place of chroma: FFmpeg writes C420jpeg for both."""
    if range_ != "FULL":  # what limited range holds
        yuv = (min(max(yuv[0], 16), 235), *(min(max(each, 16), 240) for each in yuv[1:]))
    header = f"YUV4MPEG2 W{wh[0]} H{wh[1]} F30:1 Ip A1:1"
    header += f" C{chroma}" * bool(chroma) + f" XYSCSS=420JPEG XCOLORRANGE={range_}" * bool(range_)
    layout = parse_header(f"{header}\n".encode())
    luma = wh[0] * wh[1]
    planes = bytes([yuv[0]] * luma)
    planes += b"".join(bytes([each] * ((layout.bytes_a_frame - luma) // 2)) for each in yuv[1:])
    (frame,) = piped_source(pipe_of(b"FRAME\n" + planes), layout, marked=True)
    assert frame.image.shape == (wh[1], wh[0], 3)
    difference = np.abs(frame.image - np.array(bgr_of(*yuv, full=range_ == "FULL")))
    assert difference.max() <= 2


def test_chroma_of_full_range_keeps_its_place() -> None:
    """Red in the left half alone, at an odd width: the third column shares the second pair's chroma."""
    planes = np.array([76] * 5 + [85, 128, 128] + [255, 128, 128], np.uint8)
    image = PIXEL_FORMATS["yuvj420p"].to_bgr(planes, 5, 1)
    assert np.abs(image[0, :2].astype(int) - [0, 0, 254]).max() <= 2
    assert np.abs(image[0, 2:].astype(int) - 76).max() <= 1


def test_grey_y4m_follows_its_range() -> None:
    """Full range without a word, as FFmpeg writes it."""
    for range_, expected in (("", [16, 126, 235]), (" XCOLORRANGE=LIMITED", [0, 128, 255])):
        layout = parse_header(b"YUV4MPEG2 W3 H1 F30:1 Cmono" + range_.encode())
        (frame,) = piped_source(pipe_of(b"FRAME\n" + bytes([16, 126, 235])), layout, marked=True)
        assert np.abs(frame.image[0, :, 1].astype(int) - expected).max() <= 1


def test_y4m_of_an_unknown_rate_counts_as_30() -> None:
    """0:0 is its way to say so."""
    assert parse_header(b"YUV4MPEG2 W4 H2 F0:0").fps == 30


def test_y4m_of_an_unknown_range_is_refused() -> None:
    with pytest.raises(SourceError, match="FULL or LIMITED"):
        parse_header(b"YUV4MPEG2 W4 H2 F30:1 XCOLORRANGE=HALF")


@pytest.mark.parametrize(
    "header", [b"RIFF", b"YUV4MPEG2 W0 H2 F30:1", b"YUV4MPEG2 W4 F30:1", b"YUV4MPEG2 W4 H2 F30:0"]
)
def test_what_is_no_y4m_is_refused(header) -> None:
    with pytest.raises(SourceError, match="no y4m"):
        parse_header(header)


def test_y4m_of_other_pixels_says_how_to_convert() -> None:
    with pytest.raises(SourceError, match="ffmpeg"):
        parse_header(b"YUV4MPEG2 W4 H2 F30:1 C444")


@pytest.mark.parametrize(
    "name", ["raw:4x2", "raw:0x2:gray", "raw:4x2:xyz@10", "raw:4x2:gray@0", "raw:4x2:gray@2000"]
)
def test_raw_frames_of_an_unknown_kind_are_refused(name) -> None:
    with pytest.raises(SourceError, match="raw"):
        parse_raw(name)


def test_numbered_images_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (2, 10, 9, 100):
        cv2.imwrite(str(tmp_path / f"f_{number}.png"), np.full((8, 8, 3), number, np.uint8))
    cv2.imwrite(str(tmp_path / "f_x.png"), np.zeros((8, 8, 3), np.uint8))
    with open_source(tmp_path / "f_%d.png") as source:
        assert [int(frame.image[0, 0, 0]) for frame in source] == [2, 9, 10, 100]
    with open_source(tmp_path / "f_%03d.png") as source:
        assert [frame.name for frame in source] == ["f_100.png"]
    with pytest.raises(SourceError, match="no image matches"):
        open_source(tmp_path / "g_%d.png")


@pytest.mark.parametrize(
    ("numbers", "places", "missing"),
    [
        ((3, 4, 5, 8, 9), (0, 1, 2, 5, 6), 2),
        ((0, 5, 10, 15, 30), (0, 1, 2, 3, 6), 2),  # every fifth frame of a film
        ((7, 8, 9), (0, 1, 2), 0),
        ((3, 17, 98, 99), (0, 1, 2, 3), 0),  # numbers that count nothing
        ((1, 1001), (0, 1), 0),
        ((4,), (0,), 0),
    ],
)
def test_numbered_images_that_are_not_there_are_missing_frames(
    tmp_path: Path, numbers, places, missing
) -> None:
    for number in numbers:
        cv2.imwrite(str(tmp_path / f"f_{number}.png"), np.zeros((8, 8, 3), np.uint8))
    with open_source(tmp_path / "f_%d.png", fps=10) as source:
        frames = list(source)
    assert tuple(frame.index for frame in frames) == places
    assert [frame.time_s for frame in frames] == [place / 10 for place in places]
    assert source.losses.missing == missing
    assert len(source.losses.notes()) == (missing > 0)


def test_a_frame_larger_than_memory_is_refused() -> None:
    for read in (
        lambda: parse_raw("raw:99999x99999:bgr24"),
        lambda: parse_header(b"YUV4MPEG2 W99999 H99999 F30:1\n"),
    ):
        with pytest.raises(SourceError, match="too large"):
            read()


@pytest.mark.parametrize("url", ["http://me:secret@127.0.0.1:9/x", "ftp://me:secret@cam/x"])
def test_messages_leave_out_the_login_of_a_url(url) -> None:
    with pytest.raises(SourceError, match=r"127\.0\.0\.1:9/x|cam/x") as raised:
        open_source(url)
    assert "secret" not in str(raised.value)
