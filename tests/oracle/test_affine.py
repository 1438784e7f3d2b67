"""Crops against mmpose 1.3.2 and mmdet 3.3.0.

Matrices agree to float32. Pixels agree to what OpenCV's warpAffine changed: 4.x interpolates at 1/32 of a pixel, 5.x
exactly, so some pixels differ by a few levels of 255; a crop a twentieth of a pixel off differs by far more.
"""

from pathlib import Path

import numpy as np
import pytest

from edge.geometry import Crop, Size, make_crops
from edge.image import crop_batch, read_image
from runtimes.base import Array
from runtimes.spec import CropSpec

PADDINGS = (1.25, 1.0)
PHOTO_WH = (640, 425)
INPUTS = ((192, 256), (288, 384), (256, 256))


@pytest.fixture(scope="session")
def photo(real: Path) -> Array:
    return read_image(real / "mmpose-coco" / "000000000785.jpg")


def assert_same_pixels(got: Array, want: Array) -> None:
    difference = np.abs(got.astype(int) - want)
    assert difference.mean() < 0.15
    assert difference.max() <= 8


def case_of(padding: float, index: int, *, udp: bool, wh: Size) -> str:
    return f"pad{padding}_udp{int(udp)}_{wh[0]}x{wh[1]}_{index}"


def crops_of(photo: Array, boxes: Array, spec: CropSpec, wh: Size) -> list[Crop]:
    height, width = photo.shape[:2]
    return make_crops(boxes, (width, height), spec, wh)


@pytest.mark.parametrize("wh", INPUTS)
@pytest.mark.parametrize("udp", [False, True])
@pytest.mark.parametrize("padding", PADDINGS)
def test_topdown_affine(oracles, padding: float, *, udp: bool, wh: Size) -> None:
    oracle = np.load(oracles("affine-matrices.npz"))
    spec = CropSpec(kind="affine", padding=padding, udp=udp)
    crops = make_crops(oracle["boxes"], PHOTO_WH, spec, wh)
    assert len(crops) == 5
    for i, crop in enumerate(crops):
        case = case_of(padding, i, udp=udp, wh=wh)
        matrix, points = oracle[f"{case}/mat"], oracle[f"{case}/kpts"]
        np.testing.assert_allclose(crop.matrix, matrix, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(
            crop.to_input(oracle["keypoints_in"]), points, rtol=1e-6, atol=1e-3
        )


@pytest.mark.parametrize("udp", [False, True])
def test_topdown_crops(oracles, photo: Array, *, udp: bool) -> None:
    """Three crops of one padding and size are stored."""
    oracle = np.load(oracles("affine.npz"))
    spec = CropSpec(kind="affine", padding=1.25, udp=udp)
    crops = crops_of(photo, oracle["boxes"], spec, (192, 256))[:3]
    for i, crop in enumerate(crops):
        want = oracle[f"{case_of(1.25, i, udp=udp, wh=(192, 256))}/crop_bgr"]
        assert_same_pixels(crop_batch(photo, [crop], spec)[0], want)


def test_a_crop_slightly_off_would_be_seen(oracles, photo: Array) -> None:
    oracle = np.load(oracles("affine.npz"))
    spec = CropSpec(kind="affine", padding=1.25)
    boxes = oracle["boxes"][:1] + np.float32(0.1)
    off = crop_batch(photo, crops_of(photo, boxes, spec, (192, 256)), spec)[0]
    want = oracle["pad1.25_udp0_192x256_0/crop_bgr"]
    assert np.abs(off.astype(int) - want).mean() > 0.3


@pytest.mark.parametrize(
    ("name", "udp"), [("rtmpose-t", False), ("rtmpose-s", False), ("vitpose-s", True)]
)
def test_whole_pipeline_crops(oracles, photo: Array, name: str, *, udp: bool) -> None:
    oracle = np.load(oracles(f"{name}.npz"))
    spec = CropSpec(kind="affine", padding=1.25, udp=udp)
    batch = crop_batch(photo, crops_of(photo, oracle["bbox_xyxy"], spec, (192, 256)), spec)
    assert_same_pixels(batch.transpose(0, 3, 1, 2), oracle["raw_crop_bgr_u8"])


def test_sapiens_crop(oracles, photo: Array) -> None:
    oracle = np.load(oracles("sapiens-mini-17.npz"))
    spec = CropSpec(kind="affine", padding=1.25, udp=True)
    boxes = oracle["bbox_xyxy"].astype(np.float32)
    batch = crop_batch(photo, crops_of(photo, boxes, spec, (768, 1024)), spec)
    assert_same_pixels(batch[0], oracle["crop_bgr_u8"])


def test_letterbox_is_mmdets_resize_and_pad(oracles, photo: Array) -> None:
    # Only the first stored input is a photograph; the second is noise.
    want = np.load(oracles("rtmdet-nano.npz"))["input"][0].transpose(1, 2, 0)
    mean, std = np.array([103.53, 116.28, 123.675]), np.array([57.375, 57.12, 58.395])
    spec = CropSpec(kind="letterbox", pad_value=114)
    whole = np.array([[0, 0, photo.shape[1], photo.shape[0]]], np.float32)
    got = crop_batch(photo, crops_of(photo, whole, spec, (320, 320)), spec)[0]
    np.testing.assert_array_equal(got, np.rint(want * std + mean))
