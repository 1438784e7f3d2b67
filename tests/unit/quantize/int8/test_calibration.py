"""Image sets: no image in two of them, the same for the same images, refused where there are too few."""

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
    CALIBRATION,
    DETECTOR_HELD_OUT,
    FEWEST,
    HELD_OUT,
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


@pytest.mark.parametrize("count", [FEWEST, 57, CALIBRATION + SEARCH + HELD_OUT + 30])
def test_the_sets_are_disjoint_and_not_too_large(tmp_path, count) -> None:
    write(tmp_path / "a", count)
    sets = gather_sets(SPEC, tmp_path / "a")
    parts = [rows(part) for part in (sets.calibration, sets.search, sets.held_out)]
    everything = [row for part in parts for row in part]
    used = min(count, CALIBRATION + SEARCH + HELD_OUT)
    assert len(everything) == len(set(everything)) == used
    assert all(parts)
    assert len(parts[0]) <= CALIBRATION
    assert len(parts[1]) <= SEARCH
    assert len(parts[2]) <= HELD_OUT + 2  # the remainder of the proportions
    assert sets.calibration.shape[1:] == (WH[1], WH[0], 3)


def test_detectors_are_judged_on_further_images(tmp_path) -> None:
    """The images that calibrate and search stay those of other models."""
    spec = msgspec.structs.replace(
        SPEC, task="detect", crop=CropSpec(kind="stretch"), codec=BoxesCodec(), keypoints=None
    )
    total = CALIBRATION + SEARCH + HELD_OUT
    write(tmp_path / "a", total + 60)
    for path in sorted((tmp_path / "a").iterdir())[total:]:
        path.rename(path.with_name(f"z{path.name}"))
    sets = gather_sets(spec, tmp_path / "a")
    assert [len(part) for part in (sets.calibration, sets.search)] == [CALIBRATION, SEARCH]
    assert len(sets.held_out) == HELD_OUT + 60 <= DETECTOR_HELD_OUT
    everything = rows(np.concatenate([sets.calibration, sets.search, sets.held_out]))
    assert len(set(everything)) == total + 60
    for path in (tmp_path / "a").glob("z*"):
        path.unlink()
    fewer = gather_sets(spec, tmp_path / "a")
    assert fewer.sha256 == sets.sha256
    np.testing.assert_array_equal(fewer.search, sets.search)
    np.testing.assert_array_equal(fewer.held_out, sets.held_out[:HELD_OUT])
    write(tmp_path / "a", total + DETECTOR_HELD_OUT)
    assert len(gather_sets(spec, tmp_path / "a").held_out) == DETECTOR_HELD_OUT


def test_names_and_copies_change_nothing(tmp_path) -> None:
    write(tmp_path / "a", 40)
    write(tmp_path / "b", 40, name="x-{}.png")
    write(tmp_path / "b", 40, name="copy-of-{}.png")
    one, other = gather_sets(SPEC, tmp_path / "a"), gather_sets(SPEC, tmp_path / "b")
    assert one.sha256 == other.sha256
    for name in ("calibration", "search", "held_out"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    write(tmp_path / "c", 40, seed=1)
    assert gather_sets(SPEC, tmp_path / "c").sha256 != one.sha256


def test_images_of_an_evaluation_are_left_out(tmp_path) -> None:
    write(tmp_path / "a", 60)
    exclude = [pixel_hash(read_image(tmp_path / "a" / f"p{i}.png")) for i in range(20)]
    sets = gather_sets(SPEC, tmp_path / "a", exclude=frozenset(exclude))
    left = sum(len(part) for part in (sets.calibration, sets.search, sets.held_out))
    assert left == 40


def test_people_are_cropped_as_when_deployed(tmp_path) -> None:
    """By the detector's first box in a directory, by the label in a COCO file, with the pipeline's own crop."""
    write(tmp_path / "a", FEWEST)
    box = np.array([4, 6, 20, 30], np.float32)
    sets = gather_sets(SPEC, tmp_path / "a", finder=lambda _: np.stack([box, box + 3]))
    wanted = set()
    for path in (tmp_path / "a").iterdir():
        frame = read_image(path)
        crop = make_crops(box[None], (30, 40), SPEC.crop, WH)[0]
        wanted.add(crop_image(frame, crop, SPEC.crop).tobytes())
    assert set(rows(np.concatenate([sets.calibration, sets.search, sets.held_out]))) == wanted
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
    np.testing.assert_array_equal(labelled.held_out, sets.held_out)


def test_too_few_images_are_refused_with_their_number(tmp_path) -> None:
    write(tmp_path / "a", 7)
    with pytest.raises(InputError, match=rf"7 usable images; int8 needs at least {FEWEST}"):
        gather_sets(SPEC, tmp_path / "a")


def test_images_without_a_person_are_counted(tmp_path) -> None:
    write(tmp_path / "a", 40)
    none = np.zeros((0, 4), np.float32)
    with pytest.raises(InputError, match="0 usable images and 40 more without a person"):
        gather_sets(SPEC, tmp_path / "a", finder=lambda _: none)


def test_a_missing_directory_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="no such directory"):
        gather_sets(SPEC, tmp_path / "nowhere")


@given(st.integers(0, 255), st.integers(0, 255))
def test_a_hash_is_of_pixels_and_shape(first, second) -> None:
    row = np.full((2, 6, 3), first, np.uint8)
    assert pixel_hash(row) != pixel_hash(row.reshape(4, 3, 3))
    assert (pixel_hash(row) == pixel_hash(np.full((2, 6, 3), second, np.uint8))) == (
        first == second
    )
