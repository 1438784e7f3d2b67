"""Three sets of pictures: no picture in two of them, the same for the same pictures, refused where there are few."""

import json

import cv2
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.catalog.specs import image_input
from edge.geometry import make_crops
from edge.image import crop_image, read_image
from quantize.int8.calibration import (
    CALIBRATE,
    DETECTOR_REPORT,
    FEWEST,
    REPORT,
    SEARCH,
    gather_sets,
    pixel_hash,
)
from runtimes.codec_spec import BoxesCodec, HeatmapCodec
from runtimes.errors import InputError
from runtimes.spec import CropSpec, ImageSpec, KeypointsSpec, ModelSpec, TensorSpec

WH = (32, 48)
SPEC = ModelSpec(
    model="tiny",
    task="pose-topdown",
    inputs=(image_input(WH),),
    outputs=(TensorSpec(name="heatmap", shape=(-1, 1, 12, 8)),),
    image=ImageSpec(wh=WH),
    crop=CropSpec(kind="affine", padding=1.25),
    codec=HeatmapCodec(refine="none"),
    keypoints=KeypointsSpec(name="one", names=("nose",)),
)


def write(folder, count: int, seed: int = 0, name: str = "p{}.png") -> None:
    rng = np.random.default_rng(seed)
    folder.mkdir(exist_ok=True)
    for i in range(count):
        cv2.imwrite(str(folder / name.format(i)), rng.integers(0, 255, (40, 30, 3), np.uint8))


def rows(images: np.ndarray) -> list[bytes]:
    return [image.tobytes() for image in images]


@pytest.mark.parametrize("count", [FEWEST, 57, CALIBRATE + SEARCH + REPORT + 30])
def test_the_sets_are_disjoint_and_not_too_large(tmp_path, count) -> None:
    write(tmp_path / "a", count)
    sets = gather_sets(SPEC, tmp_path / "a")
    parts = [rows(part) for part in (sets.calibrate, sets.search, sets.report)]
    everything = [row for part in parts for row in part]
    used = min(count, CALIBRATE + SEARCH + REPORT)
    assert len(everything) == len(set(everything)) == used
    assert all(parts)
    assert len(parts[0]) <= CALIBRATE
    assert len(parts[1]) <= SEARCH
    assert len(parts[2]) <= REPORT + 2  # what the shares leave over judges
    assert sets.calibrate.shape[1:] == (WH[1], WH[0], 3)


def test_detectors_report_on_further_pictures(tmp_path) -> None:
    """The pictures that calibrate and search stay those of other models."""
    spec = msgspec.structs.replace(
        SPEC, task="detect", crop=CropSpec(kind="stretch"), codec=BoxesCodec(), keypoints=None
    )
    total = CALIBRATE + SEARCH + REPORT
    write(tmp_path / "a", total + 60)
    for path in sorted((tmp_path / "a").iterdir())[total:]:
        path.rename(path.with_name(f"z{path.name}"))
    sets = gather_sets(spec, tmp_path / "a")
    assert [len(part) for part in (sets.calibrate, sets.search)] == [CALIBRATE, SEARCH]
    assert len(sets.report) == REPORT + 60 <= DETECTOR_REPORT
    everything = rows(np.concatenate([sets.calibrate, sets.search, sets.report]))
    assert len(set(everything)) == total + 60
    for path in (tmp_path / "a").glob("z*"):
        path.unlink()
    fewer = gather_sets(spec, tmp_path / "a")
    assert fewer.sha256 == sets.sha256
    np.testing.assert_array_equal(fewer.search, sets.search)
    np.testing.assert_array_equal(fewer.report, sets.report[:REPORT])
    write(tmp_path / "a", total + DETECTOR_REPORT)
    assert len(gather_sets(spec, tmp_path / "a").report) == DETECTOR_REPORT


def test_names_and_copies_change_nothing(tmp_path) -> None:
    write(tmp_path / "a", 40)
    write(tmp_path / "b", 40, name="x-{}.png")
    write(tmp_path / "b", 40, name="copy-of-{}.png")
    one, other = gather_sets(SPEC, tmp_path / "a"), gather_sets(SPEC, tmp_path / "b")
    assert one.sha256 == other.sha256
    for name in ("calibrate", "search", "report"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    write(tmp_path / "c", 40, seed=1)
    assert gather_sets(SPEC, tmp_path / "c").sha256 != one.sha256


def test_an_evaluations_pictures_are_left_out(tmp_path) -> None:
    write(tmp_path / "a", 60)
    avoid = [pixel_hash(read_image(tmp_path / "a" / f"p{i}.png")) for i in range(20)]
    sets = gather_sets(SPEC, tmp_path / "a", avoid=frozenset(avoid))
    left = sum(len(part) for part in (sets.calibrate, sets.search, sets.report))
    assert left == 40


def test_people_are_cut_as_they_will_be_when_deployed(tmp_path) -> None:
    """By the finder's first box in a directory, by the label in a COCO file; through the pipeline's own crop."""
    write(tmp_path / "a", FEWEST)
    box = np.array([4, 6, 20, 30], np.float32)
    sets = gather_sets(SPEC, tmp_path / "a", finder=lambda _: np.stack([box, box + 3]))
    wanted = set()
    for path in (tmp_path / "a").iterdir():
        frame = read_image(path)
        crop = make_crops(box[None], (30, 40), SPEC.crop, WH)[0]
        wanted.add(crop_image(frame, crop, SPEC.crop).tobytes())
    assert set(rows(np.concatenate([sets.calibrate, sets.search, sets.report]))) == wanted
    ids = range(1, FEWEST + 1)
    coco = {
        "images": [{"id": i, "file_name": f"p{i - 1}.png", "width": 30, "height": 40} for i in ids],
        "annotations": [
            {
                "id": i,
                "image_id": i,
                "category_id": 1,
                "bbox": [4, 6, 16, 24],
                "keypoints": [5, 7, 2],
            }
            for i in ids
        ],
        "categories": [{"id": 1, "name": "person"}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    labelled = gather_sets(SPEC, tmp_path / "coco.json", tmp_path / "a")
    assert labelled.sha256 == sets.sha256
    np.testing.assert_array_equal(labelled.report, sets.report)


def test_too_few_is_said_with_the_number(tmp_path) -> None:
    write(tmp_path / "a", 7)
    with pytest.raises(InputError, match=rf"7 usable pictures; int8 needs at least {FEWEST}"):
        gather_sets(SPEC, tmp_path / "a")


def test_nobody_in_them_is_said(tmp_path) -> None:
    write(tmp_path / "a", 40)
    nobody = np.zeros((0, 4), np.float32)
    with pytest.raises(InputError, match="0 usable pictures and 40 more with nobody in them"):
        gather_sets(SPEC, tmp_path / "a", finder=lambda _: nobody)


def test_no_such_place_is_said(tmp_path) -> None:
    with pytest.raises(InputError, match="no such directory"):
        gather_sets(SPEC, tmp_path / "nowhere")


@given(st.integers(0, 255), st.integers(0, 255))
def test_a_hash_is_of_pixels_and_shape(first, second) -> None:
    row = np.full((2, 6, 3), first, np.uint8)
    assert pixel_hash(row) != pixel_hash(row.reshape(4, 3, 3))
    assert (pixel_hash(row) == pixel_hash(np.full((2, 6, 3), second, np.uint8))) == (
        first == second
    )
