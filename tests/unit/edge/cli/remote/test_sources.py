"""Which files a run on a board reads here, and how what the board reads is spelled."""

import cv2
import numpy as np
import pytest

from edge.cli.remote.sources import files_of, neighbours_of, on_board
from runtimes.errors import InputError, SourceError


@pytest.mark.parametrize(
    ("asked", "there"),
    [
        ("board:0", "0"),
        ("board:camera:0?fps=30", "camera:0?fps=30"),
        ("board:/dev/video2", "/dev/video2"),
        ("board:rtsp://cam/1", "rtsp://cam/1"),
        ("board:v4l2src ! videoconvert", "v4l2src ! videoconvert"),
        ("board:/data/*.jpg", "/data/*.jpg"),
        ("board:synth", "synth"),
        ("synth", "synth"),
        ("videos/a.mp4", "videos/a.mp4"),
    ],
)
def test_what_the_board_opens(asked, there) -> None:
    assert on_board(asked) == there


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("0", "write board:0 "),
        ("rtsp://user:secret@cam/1", "write board:rtsp://cam/1 "),
        ("-", "stdin is not sent"),
        ("raw:64x48:bgr24@10", "stdin is not sent"),
        ("board:clip.mp4", "from / on"),
        ("board:", "from / on"),
    ],
)
def test_what_only_this_machine_could_open_is_refused(asked, said) -> None:
    with pytest.raises(InputError, match=said):
        on_board(asked)


@pytest.fixture
def folder(tmp_path):
    for name in ("b1.png", "b2.png", "b10.png", "text.txt", "clip.mp4", ".hidden.png"):
        (tmp_path / name).write_bytes(b"x")
    for name in ("b1.png", "b2.png", "b10.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((4, 4, 3), np.uint8))
    return tmp_path


def test_files_of_a_folder_a_pattern_and_numbered_images(folder) -> None:
    def sent(*sources: object) -> list[str]:
        return sorted(each.name for each in files_of([str(each) for each in sources]))

    images = ["b1.png", "b10.png", "b2.png"]
    assert sent(folder) == images
    assert sent(folder / "b%d.png") == images
    assert sent(folder / "b?.png") == ["b1.png", "b2.png"]
    assert sent(folder / "text.txt", "synth", "board:0") == ["text.txt"]
    beside = sorted(each.name for each in neighbours_of([str(folder)]))
    assert set(beside) >= {"clip.mp4", "text.txt"}
    assert neighbours_of([str(folder / "clip.mp4"), "board:0"]) == []


def test_a_source_that_is_not_here_is_named(folder) -> None:
    with pytest.raises(SourceError, match=r"no such file or directory: .*board:none\.mp4"):
        files_of(["none.mp4"])
    with pytest.raises(SourceError, match="no image matches"):
        files_of([str(folder / "*.webp")])
