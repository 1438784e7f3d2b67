"""Image files, and pixels cut out of frames."""

import struct
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.geometry import Crop, Size, make_crops
from edge.image import crop_batch, crop_image, read_image, write_image
from runtimes.base import Array
from runtimes.errors import InputError, SourceError
from runtimes.spec import CropSpec

KINDS = get_args(CropSpec.__annotations__["kind"])


@pytest.fixture
def frame() -> Array:
    return np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def shifted(right: float, down: float, wh: Size) -> Crop:
    return Crop(np.array([[1, 0, right], [0, 1, down]], np.float32), wh)


def test_png_is_read_as_it_was_written(tmp_path: Path, frame: Array) -> None:
    write_image(tmp_path / "frame.png", frame)
    np.testing.assert_array_equal(read_image(str(tmp_path / "frame.png")), frame)


def test_grey_is_read_as_three_channels(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((4, 6), 77, np.uint8))
    np.testing.assert_array_equal(
        read_image(tmp_path / "grey.png"), np.full((4, 6, 3), 77, np.uint8)
    )


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    picture = np.zeros((16, 32, 3), np.uint8)
    picture[:, :16] = 255  # white on the left
    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
    turn_right = 6  # "rotate a quarter to the right to view"
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, turn_right, 0)
    tiff = b"II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 0)
    segment = b"Exif\0\0" + tiff
    marked = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]
    (tmp_path / "turned.jpg").write_bytes(marked)
    image = read_image(tmp_path / "turned.jpg")
    assert image.shape == (32, 16, 3)
    assert image[:12].min() > 200  # the left became the top
    assert image[20:].max() < 55


@pytest.mark.parametrize("content", [b"", b"no image at all"])
def test_a_file_that_is_no_image_says_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "image.jpg").write_bytes(content)
    with pytest.raises(SourceError, match="no image that OpenCV can decode"):
        read_image(tmp_path / "image.jpg")


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"absent\.png: No such file"):
        read_image(tmp_path / "absent.png")
    with pytest.raises(SourceError, match="Is a directory"):
        read_image(tmp_path)


@pytest.mark.parametrize("name", ["frame", "frame.pose", "frame.txt"])
def test_writing_an_unknown_format_says_what_to_use(
    tmp_path: Path, frame: Array, name: str
) -> None:
    with pytest.raises(InputError, match=r"use \.jpg or \.png"):
        write_image(tmp_path / name, frame)
    assert not (tmp_path / name).exists()


def test_writing_into_a_missing_folder_says_so(tmp_path: Path, frame: Array) -> None:
    with pytest.raises(InputError, match="check the folder"):
        write_image(tmp_path / "absent" / "frame.png", frame)


@pytest.mark.parametrize("kind", ["affine", "square"])
def test_a_shifted_crop_is_the_frame_and_then_the_border(frame: Array, kind: str) -> None:
    spec = CropSpec(kind=kind, pad_value=114)
    cut = crop_image(frame, shifted(-40, 8, (32, 40)), spec)
    assert cut.shape == (40, 32, 3)
    np.testing.assert_array_equal(cut[8:, :24], frame[:32, 40:])
    assert (cut[:8] == 114).all()
    assert (cut[:, 24:] == 114).all()


def test_letterbox_resizes_and_pads(frame: Array) -> None:
    spec = CropSpec(kind="letterbox", pad_value=114)
    whole = np.array([[0, 0, 64, 48]], np.float32)
    (crop,) = make_crops(whole, (64, 48), spec, (32, 32))
    cut = crop_image(frame, crop, spec)
    np.testing.assert_array_equal(cut[:24], cv2.resize(frame, (32, 24)))
    assert (cut[24:] == 114).all()


def test_stretch_resizes_the_box(frame: Array) -> None:
    spec = CropSpec(kind="stretch")
    (crop,) = make_crops(np.array([[8.2, 4.0, 30.0, 99.0]], np.float32), (64, 48), spec, (20, 30))
    np.testing.assert_array_equal(
        crop_image(frame, crop, spec), cv2.resize(frame[4:48, 8:30], (20, 30))
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_each_crop_alone(frame: Array, kind: str) -> None:
    spec = CropSpec(kind=kind, padding=1.25, pad_value=7)
    rows = np.array([[0, 0, 20, 40], [30, 10, 70, 60], [5, 5, 6, 6]], np.float32)
    crops = make_crops(rows, (64, 48), spec, (24, 32))
    batch = crop_batch(frame, crops, spec)
    assert batch.shape == (3, 32, 24, 3)
    assert batch.dtype == np.uint8
    assert batch.flags.c_contiguous
    for image, crop in zip(batch, crops, strict=True):
        np.testing.assert_array_equal(image, crop_image(frame, crop, spec))


@given(
    kind=st.sampled_from(["affine", "square"]),
    udp=st.booleans(),
    point=st.tuples(st.floats(60, 140), st.floats(60, 140)),
    side=st.floats(60, 120),
)
@settings(deadline=None, max_examples=25)
def test_pixels_land_where_the_matrix_says(
    kind: str, *, udp: bool, point: tuple[float, float], side: float
) -> None:
    columns, rows = np.meshgrid(np.arange(200), np.arange(200))
    blob = np.exp(-((columns - point[0]) ** 2 + (rows - point[1]) ** 2) / (2 * 5**2))
    frame = np.repeat(np.rint(blob * 255).astype(np.uint8)[:, :, None], 3, axis=2)
    spec = CropSpec(kind=kind, padding=1.5, udp=udp)
    half = np.full(2, side / 2)
    box = np.concatenate([point - half, point + half])[None].astype(np.float32)
    box[0] += 3
    (crop,) = make_crops(box, (200, 200), spec, (96, 128))
    cut = crop_image(frame, crop, spec)[:, :, 0].astype(float)
    columns, rows = np.meshgrid(np.arange(96), np.arange(128))
    centroid = (np.array([(cut * columns).sum(), (cut * rows).sum()])) / cut.sum()
    np.testing.assert_allclose(centroid, crop.to_input(np.array(point)), atol=0.1)


def test_wrong_frames_and_no_crops_are_refused(frame: Array) -> None:
    spec = CropSpec(kind="affine")
    with pytest.raises(ValueError, match="frame must be uint8"):
        crop_image(frame[:, :, 0], shifted(0, 0, (8, 8)), spec)
    with pytest.raises(InputError, match="at least one crop"):
        crop_batch(frame, [], spec)
