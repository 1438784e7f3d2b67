"""Grouping against lightweight OpenPose and pytorch-openpose: candidates, whose they are, and every score.

The first enlarges maps by 4, gives limbs to whoever owns their first end, and asks 3 keypoints; the second enlarges to
the photograph, blurs, joins halves, and asks 4. Both are settings of the one codec.
"""

from collections.abc import Mapping
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from edge.catalog.specs_openpose import LIMBS
from edge.codecs.paf import decode_one, enlarge
from edge.codecs.paf_group import Person, group_peaks
from edge.codecs.paf_peaks import Peaks, find_peaks
from edge.image import read_image
from edge.model import Model, load
from edge.types import Keypoints
from export.import_model import import_model
from export.import_spec import like_spec
from runtimes.base import Array
from runtimes.codec_spec import PafCodec

PARTS = 18
LIGHT = PafCodec(limbs=LIMBS["openpose18"], upsample=4, refine="none")
# the same on the network's own maps, candidates still 6 bins apart
LIGHT_RAW = msgspec.structs.replace(LIGHT, upsample=1, separation=6.0)
PORT = PafCodec(
    limbs=LIMBS["openpose18"],
    refine="none",
    blur=3.0,
    separation=0.0,
    limb_score="all",
    assembly="merge",
    min_keypoints=4,
    min_score=0.4,
)
PORT_WH = (496, 368)  # of the photograph that its maps are enlarged to
SCENES = range(5)
PHOTOGRAPHS = {"000000197388": 6, "000000000785": 1, "000000196141": 5, "000000040083": 2}
Npz = Mapping[str, Array]


@pytest.fixture(scope="module")
def drawn(oracles) -> Npz:
    return dict(np.load(oracles("openpose-grouping.npz")))


@pytest.fixture(scope="module")
def real_maps(oracles) -> Npz:
    return dict(np.load(oracles("openpose-real-maps.npz")))


def grouped(heatmaps: Array, fields: Array, codec: PafCodec) -> tuple[Peaks, list[Person]]:
    if codec.upsample > 1:
        heatmaps, fields = enlarge(heatmaps, codec.upsample), enlarge(fields, codec.upsample)
    peaks = find_peaks(heatmaps[:PARTS], codec)
    return peaks, group_peaks(peaks, fields, codec, PARTS)


def check_people(people: list[Person], rows: Array, numbers: Array | None = None) -> None:
    """rows: a reference's people, 18 candidates, score, count; numbers: what each of our candidates is called there."""
    members = np.array([person.members for person in people]).reshape(-1, PARTS)
    if numbers is not None:
        members = np.where(members >= 0, numbers[members], -1)
    np.testing.assert_array_equal(members, rows[:, :PARTS])
    np.testing.assert_allclose([person.total for person in people], rows[:, -2], atol=1e-5)
    assert [person.count for person in people] == rows[:, -1].tolist()


def check_light(maps: Npz, scene: str, name: str, codec: PafCodec) -> None:
    peaks, people = grouped(maps[f"{scene}/heatmap"], maps[f"{scene}/paf"], codec)
    wanted = maps[f"{scene}/{name}_keypoints"]
    np.testing.assert_array_equal(peaks.xy, wanted[:, :2])
    np.testing.assert_allclose(peaks.scores, wanted[:, 2], atol=1e-6)
    check_people(people, maps[f"{scene}/{name}_entries"])


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize(("name", "codec"), [("light_up4", LIGHT), ("light_raw", LIGHT_RAW)])
def test_drawn_scenes_are_grouped_as_by_lightweight_openpose(
    drawn: Npz, scene: int, name: str, codec: PafCodec
) -> None:
    check_light(drawn, str(scene), name, codec)


@pytest.mark.parametrize(("scene", "count"), PHOTOGRAPHS.items())
def test_photographs_are_grouped_as_by_lightweight_openpose(
    real_maps: Npz, scene: str, count: int
) -> None:
    check_light(real_maps, scene, "light_up4", LIGHT)
    assert len(real_maps[f"{scene}/light_up4_entries"]) == count


def port_maps(maps: Array) -> Array:
    """Enlarge by the stride, then to the photograph, as pytorch-openpose does: both bicubic."""
    by_stride = enlarge(maps, 8)
    return np.stack(
        [cv2.resize(each, PORT_WH, interpolation=cv2.INTER_CUBIC) for each in by_stride]
    )


@pytest.mark.parametrize("scene", SCENES)
def test_drawn_scenes_are_grouped_as_by_pytorch_openpose(drawn: Npz, scene: int) -> None:
    heatmaps, fields = (port_maps(drawn[f"{scene}/hz_{name}_in"][0]) for name in ("heatmap", "paf"))
    peaks, people = grouped(heatmaps, fields, PORT)
    wanted = drawn[f"{scene}/hz_candidate"]  # numbered along lines, ours along columns
    ours = np.lexsort((peaks.xy[:, 0], peaks.xy[:, 1], peaks.parts))
    np.testing.assert_array_equal(peaks.xy[ours], wanted[:, :2])
    np.testing.assert_allclose(peaks.scores[ours], wanted[:, 2], atol=1e-6)
    check_people(people, drawn[f"{scene}/hz_subset"], numbers=np.argsort(ours))


@pytest.mark.parametrize("scene", SCENES)
def test_without_enlarging_the_same_people_lie_nearer_to_the_truth(drawn: Npz, scene: int) -> None:
    heatmaps, fields = drawn[f"{scene}/heatmap"], drawn[f"{scene}/paf"]
    wh = (heatmaps.shape[2] * 8, heatmaps.shape[1] * 8)
    fine = decode_one(heatmaps[:PARTS], fields, PafCodec(limbs=LIGHT.limbs), wh)
    reference = decode_one(heatmaps[:PARTS], fields, LIGHT, wh)
    np.testing.assert_array_equal(parts_seen(fine), parts_seen(reference))
    truth = drawn[f"{scene}/people_truth"]
    assert off(fine, truth) < 0.35  # pixels, median
    assert off(reference, truth) > 0.5


def parts_seen(found: Keypoints) -> Array:
    """Which parts each person has, people from left to right: their order hangs on scores that differ a little."""
    seen = found.scores > 0
    middle = (found.xy[..., 0] * seen).sum(axis=1) / seen.sum(axis=1)
    return seen[np.argsort(middle)]


def off(found: Keypoints, truth: Array) -> float:
    """Median pixels from each keypoint to the nearest true one of its part."""
    pixels = (truth[:, None, :, :2] + 0.5) * 8 - 0.5
    apart = np.linalg.norm(pixels - found.xy, axis=3)  # (people, found, K)
    nearest = np.where(truth[:, None, :, 2] > 0, apart, np.inf).min(axis=0)
    chosen = nearest[(found.scores > 0) & np.isfinite(nearest)]
    return float(np.median(chosen))


@pytest.fixture(scope="module")
def imported(real: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    pytest.importorskip("onnxruntime")
    path = real / "models" / "tfpose-mobilenet" / "tfpose_mobilenet_v2_small_368x432.onnx"
    spec = like_spec("openpose-mobilenet-tf", "onnxruntime")
    return load(import_model([path], spec, tmp_path_factory.mktemp("tf")).artifact.root)


@pytest.mark.parametrize(("name", "count"), PHOTOGRAPHS.items())
def test_the_imported_net_finds_the_people_of_the_photographs(
    imported: Model, real: Path, name: str, count: int
) -> None:
    image = read_image(real / "mmpose-coco" / f"{name}.jpg")
    poses = imported.poses(image)
    assert len(poses) == count
    seen = poses.scores > 0
    height, width = image.shape[:2]
    inside = (poses.xy >= 0).all(axis=2) & (poses.xy <= (width, height)).all(axis=2)
    assert (inside | ~seen).all()
    low, high = poses.boxes[:, None, :2], poses.boxes[:, None, 2:]
    assert (((poses.xy >= low) & (poses.xy <= high)).all(axis=2) | ~seen).all()
    np.testing.assert_allclose(poses.box_scores, seen.mean(axis=1), rtol=1e-6)
