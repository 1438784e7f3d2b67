"""Image files: whatever cv2.imread reads, recognised by content; hidden files skipped, broken ones counted."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.image import read_image
from edge.media.image_files import image_files, read_images
from edge.media.sources import open_source
from runtimes.errors import EdgeposeWarning, SourceError

RNG = np.random.default_rng(0)
COLOUR = cv2.GaussianBlur(RNG.integers(0, 255, (48, 64, 3), dtype=np.uint8), (9, 9), 3)
GREY = np.ascontiguousarray(COLOUR[..., 1])
# Name -> pixels; which of them can be written depends on the build of OpenCV.
WRITTEN = {
    "a.jpg": COLOUR,
    "a.jpe": COLOUR,
    "a.png": COLOUR,
    "a.bmp": COLOUR,
    "a.dib": COLOUR,
    "a.webp": COLOUR,
    "a.tif": COLOUR,
    "a.tiff": COLOUR,
    "a.jp2": COLOUR,
    "a.avif": COLOUR,
    "a.gif": COLOUR,
    "a.ppm": COLOUR,
    "a.pnm": COLOUR,
    "a.ras": COLOUR,
    "a.hdr": COLOUR.astype(np.float32) / 255,
    "grey.jpg": GREY,
    "grey.png": GREY,
    "grey.pgm": GREY,
    "deep.png": COLOUR.astype(np.uint16) * 257,
    "deep.tif": COLOUR.astype(np.uint16) * 257,
    "alpha.png": np.dstack([COLOUR, GREY]),
    "alpha.webp": np.dstack([COLOUR, GREY]),
}


def write(path: Path, pixels: np.ndarray) -> bool:
    """Write pixels with OpenCV; False where its build cannot."""
    try:
        return cv2.imwrite(str(path), pixels)
    except cv2.error:
        return False


@pytest.mark.parametrize("name", WRITTEN)
def test_what_cv2_reads_is_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if not write(path, WRITTEN[name]):
        pytest.skip("this build of OpenCV does not write the format")
    wanted = cv2.imread(str(path))
    assert wanted is not None
    np.testing.assert_array_equal(read_image(path), wanted)
    without_suffix = path.rename(tmp_path / "photo")
    misnamed = tmp_path / "photo.heic"
    misnamed.write_bytes(without_suffix.read_bytes())
    for source in (without_suffix, misnamed, tmp_path):
        with open_source(source) as frames:
            for frame in frames:
                np.testing.assert_array_equal(frame.image, wanted)
    assert image_files(tmp_path) == [without_suffix, misnamed]


def test_the_same_file_is_the_same_by_content_and_with_a_size(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), COLOUR)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", (64, 48)), COLOUR)
    with pytest.raises(SourceError, match=r"the file is 64x48, the annotation says 48x64"):
        read_image(tmp_path / "a.png", (48, 64))


@pytest.mark.parametrize("name", ["._a.png", ".DS_Store", ".hidden.png"])
def test_hidden_files_are_skipped(tmp_path: Path, name: str) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), COLOUR)
    (tmp_path / name).write_bytes((tmp_path / "a.png").read_bytes())
    (tmp_path / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0 thumbnails")
    (tmp_path / "notes.txt").write_text("P is for people")
    (tmp_path / "folder.png").mkdir()
    assert image_files(tmp_path) == [tmp_path / "a.png"]
    for pattern in ("*", "**/*", ".*"):
        if pattern == ".*":
            with pytest.raises(SourceError, match="no image matches"):
                open_source(tmp_path / pattern)
        else:
            with open_source(tmp_path / pattern) as source:
                assert [frame.name for frame in source] == ["a.png"]


def test_broken_images_are_named_and_counted(tmp_path: Path) -> None:
    for number in range(9):
        cv2.imwrite(str(tmp_path / f"{number}.png"), COLOUR)
        if number % 4:
            (tmp_path / f"{number}.png").write_bytes(b"" if number == 1 else b"no image")
    paths = image_files(tmp_path)
    with pytest.warns(
        EdgeposeWarning, match=r"6 of 9 images cannot be read: 1.png, 2.png, .* \.\.\.$"
    ):
        assert [path.name for path, _ in read_images(paths)] == ["0.png", "4.png", "8.png"]
    with pytest.raises(SourceError, match=r"1\.png is no image .*\(and none of the 2 others"):
        list(read_images(paths[1:4]))


@pytest.mark.parametrize("name", ["IMG_1.HEIC", "a.jxl", "b.JPG"])
def test_images_that_opencv_lacks_a_decoder_for_are_not_passed_over(
    tmp_path: Path, name: str
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), COLOUR)
    (tmp_path / name).write_bytes(b"\0\0\0\x24ftypheic\0\0\0\0mif1heic and what follows")
    with open_source(tmp_path) as source:
        assert len(list(source)) == 1
        assert source.losses.notes() == [f"1 frame could not be read: {name}"]
    with pytest.raises(SourceError, match="convert it to JPEG or PNG"):
        open_source(tmp_path / name)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".avif", ""])
def test_an_animation_is_played_at_its_own_pace(tmp_path: Path, suffix: str) -> None:
    if not hasattr(cv2, "imwriteanimation"):
        pytest.skip("this OpenCV writes no animation")
    animation = cv2.Animation()
    animation.frames = [np.full((48, 64, 4), (60 * n,) * 3 + (255,), np.uint8) for n in (1, 2, 3)]
    animation.durations = [200, 200, 200]
    path = tmp_path / f"a{suffix or '.webp'}"
    assert cv2.imwriteanimation(str(path), animation)
    if not suffix:
        path = path.rename(tmp_path / "a")
    with open_source(path) as source:
        assert source.fps == pytest.approx(5)
        frames = list(source)
    assert [round(float(frame.image.mean()) / 60) for frame in frames] == [1, 2, 3]
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.2, 0.4], abs=0.01)
    # among the images of a folder it is its first frame
    with open_source(tmp_path) as source:
        assert [round(float(frame.image.mean()) / 60) for frame in source] == [1]


def test_reading_is_quiet_and_leaves_opencvs_log_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    logging = getattr(cv2.utils, "logging", cv2)
    before = logging.getLogLevel()
    write(tmp_path / "a.bmp", COLOUR)
    (tmp_path / "a.bmp").write_bytes((tmp_path / "a.bmp").read_bytes()[:500])
    with pytest.raises(SourceError, match="convert it"):
        read_image(tmp_path / "a.bmp")
    assert capfd.readouterr() == ("", "")
    assert logging.getLogLevel() == before
