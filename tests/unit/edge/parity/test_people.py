"""Bottom-up parity: pairing of people, decidable keypoints, and infinite distances of people without a partner."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.catalog.specs_openpose import openpose_spec
from edge.parity.compare import compare
from edge.parity.decidable import decidable_in_people
from edge.parity.people import people_figures
from edge.parity.reference import Reference, load_reference, make_reference, save_reference
from edge.synth.part_maps import draw_part_maps
from edge.types import Keypoints
from runtimes.base import Array, Outputs
from runtimes.codec_spec import PafCodec
from runtimes.spec import Precision

STRIDE = 8
WH = (40, 24)  # of the maps
SPEC = openpose_spec("any", (WH[0] * STRIDE, WH[1] * STRIDE), "openpose18")
# head, shoulders, arms, hips, legs, face: an upright person 18 bins tall, by openpose18's order
FIGURE = np.array([
    (0, 1), (0, 4), (-3, 4), (-4, 7), (-4, 10), (3, 4), (4, 7), (4, 10), (-2, 10), (-2, 14), (-2, 18),
    (2, 10), (2, 14), (2, 18), (-1, 0), (1, 0), (-2.5, 1), (2.5, 1),
])  # fmt: skip
NECKS = np.array([(7.3, 3.2), (20.0, 3.0), (32.8, 2.7)])


def outputs(*images: Array) -> Outputs:
    """The maps of images, each of people (N, 18, 2) in bins."""
    assert isinstance(SPEC.codec, PafCodec)
    drawn = [
        draw_part_maps(people, np.ones(people.shape[:2], bool), SPEC.codec.limbs, WH)
        for people in images
    ]
    return {
        "heatmap": np.stack([maps for maps, _ in drawn]),
        "paf": np.stack([fields for _, fields in drawn]),
    }


def people(*necks: Array) -> Array:
    return np.array([neck + FIGURE for neck in necks]).reshape(-1, 18, 2)


def reference(*images: Array) -> Reference:
    given = outputs(*images)
    return make_reference(np.zeros((len(images), 1, 1, 3), np.uint8), given, SPEC, "truth")


BOTH = reference(people(*NECKS), people(NECKS[1]))


def test_drawn_people_are_decidable_and_equal_to_themselves() -> None:
    assert BOTH.decidable is not None
    assert BOTH.decidable.shape == (4, 18)
    assert BOTH.decidable.all()
    parity = compare(BOTH, outputs(people(*NECKS), people(NECKS[1])), SPEC, "fp32")
    assert (parity.basis, parity.passed, parity.limit) == ("px", True, 0.1)
    assert (parity.px_mean, parity.px_p95, parity.px_max) == (0, 0, 0)
    assert (parity.people, parity.matched, parity.keypoints, parity.decidable) == (4, 1, 72, 72)


@pytest.mark.parametrize(
    ("shift", "passes"),
    [(0.0, ("fp32", "fp16", "int8")), (0.03, ("fp16", "int8")), (0.2, ("int8",)), (0.5, ())],
)
def test_moved_people_are_as_far_as_they_were_moved(shift: float, passes: tuple[str, ...]) -> None:
    moved = outputs(people(*np.add(NECKS, (shift, 0))[::-1]), people(np.add(NECKS[1], (shift, 0))))
    precisions: tuple[Precision, ...] = ("fp32", "fp16", "int8")
    judged = {precision: compare(BOTH, moved, SPEC, precision) for precision in precisions}
    assert tuple(name for name, parity in judged.items() if parity.passed) == passes
    for parity in judged.values():
        assert parity.basis == "px"
        assert parity.px_mean == pytest.approx(shift * STRIDE, abs=0.05)


def test_a_lost_person_is_infinitely_far() -> None:
    parity = compare(BOTH, outputs(people(*NECKS[:2]), people(NECKS[1])), SPEC, "int8")
    assert parity.passed is False
    assert parity.px_p95 == np.inf
    assert parity.matched == 0.75


def test_an_extra_person_is_infinitely_far() -> None:
    parity = compare(BOTH, outputs(people(*NECKS), people(*NECKS[1:])), SPEC, "int8")
    assert parity.passed is False
    assert parity.px_p95 == np.inf
    assert parity.matched == 1.0


def test_an_empty_scene_and_noise_are_judged_by_raw_error() -> None:
    empty = reference(people(), people())
    assert empty.decidable is not None
    assert empty.decidable.shape == (0, 18)
    random = np.random.default_rng(0)
    noise = {
        name: random.uniform(-1, 1, values.shape).astype(np.float32)
        for name, values in empty.outputs.items()
    }
    loud = make_reference(empty.images, noise, SPEC, "noise")
    assert (
        sum(map(len, loud.poses)) > 0
    )  # people are put together from noise, but none can be decided
    for ours in (empty, loud):
        near = {name: values + np.float32(1e-5) for name, values in ours.outputs.items()}
        parity = compare(ours, near, SPEC, "fp32")
        assert (parity.basis, parity.passed) == ("raw", True)
        assert compare(ours, near, SPEC, "int8").passed is None  # nothing to judge by


def test_a_rival_elsewhere_makes_a_keypoint_undecidable() -> None:
    given = outputs(people(NECKS[1]))
    given["heatmap"][0, 4, 20, 2] = 0.95  # a second right wrist of no person
    rivalled = make_reference(np.zeros((1, 1, 1, 3), np.uint8), given, SPEC, "truth")
    assert rivalled.decidable is not None
    assert np.flatnonzero(~rivalled.decidable[0]).tolist() == [4]
    given["heatmap"][0, 4, 20, 2] = 0.85
    assert decidable_in_people(rivalled.poses, given["heatmap"], SPEC.image.wh).all()


def test_keypoints_that_the_reference_lacks_do_not_count() -> None:
    found = Keypoints(np.zeros((1, 3, 2), np.float32), np.array([[0.9, 0.0, 0.8]], np.float32))
    more = Keypoints(np.ones((1, 3, 2), np.float32), np.ones((1, 3), np.float32))
    figures = people_figures([found], [more], np.array([[True, False, True]]))
    assert figures.keypoints == figures.decidable == 2
    assert figures.max == pytest.approx(2**0.5)
    # the other way round the third is missed
    figures = people_figures([more], [found], np.ones((1, 3), bool))
    assert figures.max == np.inf
    assert figures.matched == 1.0


@given(order=st.permutations(range(6)), seed=st.integers(0, 2**32 - 1))
def test_pairing_does_not_depend_on_the_order(order: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    xy = random.uniform(0, 1000, (6, 17, 2)).astype(np.float32)
    moved = (xy + random.normal(0, 0.5, xy.shape)).astype(np.float32)
    ones = np.ones((6, 17), np.float32)
    everything = np.ones((6, 17), bool)
    figures = people_figures([Keypoints(xy, ones)], [Keypoints(moved[order], ones)], everything)
    far = np.linalg.norm(xy.astype(np.float64) - moved, axis=2)
    assert figures.max == pytest.approx(far.max())
    assert figures.mean == pytest.approx(far.mean())


def test_a_saved_reference_judges_the_same(tmp_path) -> None:
    save_reference(tmp_path / "reference.npz", BOTH)
    again = load_reference(tmp_path / "reference.npz")
    assert again.decidable is not None
    np.testing.assert_array_equal(again.decidable, BOTH.decidable)
    assert [len(item) for item in again.poses] == [3, 1]
    moved = outputs(people(*np.add(NECKS, (0.02, 0.01))), people(NECKS[1]))
    assert compare(again, moved, SPEC, "fp16") == compare(BOTH, moved, SPEC, "fp16")


def test_networks_with_one_joint_output_are_judged_too() -> None:
    given = outputs(people(*NECKS))
    joined = {"maps": np.concatenate([given["heatmap"], given["paf"]], axis=1)}
    spec = msgspec.structs.replace(
        SPEC, outputs=(msgspec.structs.replace(SPEC.outputs[0], name="maps"),)
    )
    ours = make_reference(np.zeros((1, 1, 1, 3), np.uint8), joined, spec, "truth")
    assert compare(ours, joined, spec, "fp32").basis == "px"
