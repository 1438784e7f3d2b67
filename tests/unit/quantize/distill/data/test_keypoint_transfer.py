"""Keypoints and heatmaps of a teacher in the student's terms: by name, by geometry, masked where unknown."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edge.schema import load_schema  # noqa: E402
from quantize.distill.data.crop_view import CropView, crop_to_crop, to_bins, view_crop  # noqa: E402
from quantize.distill.data.keypoint_transfer import map_keypoints, select, warp_maps  # noqa: E402
from quantize.distill.data.targets import heatmaps, strides  # noqa: E402
from runtimes.codec_spec import HeatmapCodec  # noqa: E402
from runtimes.errors import InputError  # noqa: E402
from runtimes.spec import CropSpec  # noqa: E402

UDP = CropSpec(kind="affine", padding=1.25, udp=True)
CODEC = HeatmapCodec(refine="udp")


@pytest.mark.parametrize("teacher", ["coco133", "halpe136", "body26", "sapiens308", "coco17"])
def test_the_body_is_found_in_larger_sets(teacher) -> None:
    large, small = load_schema(teacher), load_schema("coco17")
    found = map_keypoints(large, small)
    assert found.known.all()
    assert [large.names[row] for row in found.indices] == list(small.names)
    assert len(set(found.indices)) == 17


def test_what_a_teacher_does_not_know_is_masked() -> None:
    """AIC's 14 points have no face; COCO's have no neck."""
    coco, aic = load_schema("coco17"), load_schema("aic14")
    found = map_keypoints(aic, coco)
    assert not found.known[:5].any()
    assert found.known[5:].all()
    values = torch.arange(2 * 14, dtype=torch.float32).reshape(2, 14) + 1
    taught = select(values, found)
    assert taught.shape == (2, 17)
    assert not taught[:, :5].any()
    assert taught[0, coco.names.index("left_wrist")] == 1 + aic.names.index("left_wrist")


def test_sets_without_a_common_point_are_refused() -> None:
    with pytest.raises(InputError, match="hand21 and the student's coco17 share no keypoint"):
        map_keypoints(load_schema("hand21"), load_schema("coco17"))


def test_the_same_crop_changes_nothing() -> None:
    maps = torch.rand(2, 3, 16, 12)
    same = np.tile(np.eye(2, 3), (2, 1, 1))
    warped, seen = warp_maps(maps, same, (12, 16))
    np.testing.assert_allclose(warped, maps, atol=1e-6)
    assert seen.min() == 1


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("turn", [0.0, 40.0])
def test_peaks_move_with_the_crop(turn, flipped) -> None:
    """A Gaussian on the teacher's map is found where the student's crop has that point of the frame."""
    teacher = view_crop(CropView((100.0, 80.0), (90.0, 120.0)), UDP, (192, 256))
    student = view_crop(CropView((106.0, 74.0), (80.0, 110.0), turn, flipped), UDP, (96, 128))
    there, here = strides((192, 256), (48, 64), CODEC), strides((96, 128), (24, 32), CODEC)
    points = np.array(((95.0, 70.0), (110.0, 90.0)))
    maps = heatmaps(teacher.to_input(points) / there, (48, 64), sigma=np.array((2.0, 2.0)))
    matrix = to_bins(crop_to_crop(teacher, student), there, here)
    warped, _ = warp_maps(torch.from_numpy(maps)[None], matrix[None], (24, 32))
    wanted = student.to_input(points) / here
    for heat, place in zip(warped[0].numpy(), wanted, strict=True):
        mass = np.where(heat > 0.3, heat, 0)
        rows, columns = np.indices(heat.shape)
        centre = np.array(((columns * mass).sum(), (rows * mass).sum())) / mass.sum()
        np.testing.assert_allclose(centre, place, atol=0.2)


def test_bins_outside_the_teachers_crop_are_masked() -> None:
    """A shift by three bins to the right leaves the three first columns unknown."""
    matrix = np.array([[[1, 0, 3.0], [0, 1, 0]]])
    maps = torch.ones(1, 2, 8, 6)
    warped, seen = warp_maps(maps, matrix, (6, 8))
    wanted = np.broadcast_to(np.arange(6) >= 3, (8, 6))
    np.testing.assert_array_equal(seen[0, 0], wanted)
    np.testing.assert_array_equal(warped[0, 1], wanted)


def test_a_face_and_hands_are_learned_from_sapiens() -> None:
    large, small = load_schema("sapiens308"), load_schema("coco133")
    found = map_keypoints(large, small)
    assert found.known.sum() == 114
    thumb = found.indices[small.names.index("left_thumb1")]
    assert large.names[thumb] == "left_thumb_third_joint"
    assert not found.known[small.names.index("left_hand_root")]


@pytest.mark.parametrize(("teacher", "student"), [("hand21", "coco133"), ("coco133", "hand21")])
def test_a_hand_of_an_unknown_side_is_refused(teacher, student) -> None:
    with pytest.raises(InputError, match="whether a hand is left or right"):
        map_keypoints(load_schema(teacher), load_schema(student))
