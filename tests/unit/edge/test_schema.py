"""Keypoint schemas: the data agrees with itself, and with the datasets' own files where those are at hand."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.schema import (
    SCHEMAS,
    KeypointSchema,
    common_names,
    known_schema,
    load_schema,
    shared_keypoints,
)
from runtimes.errors import InputError

COUNTS = {
    "coco17": 17,
    "body26": 26,
    "coco133": 133,
    "halpe136": 136,
    "sapiens308": 308,
    "openpose18": 18,
    "body25": 25,
    "aic14": 14,
    "mpii16": 16,
    "ap10k17": 17,
    "crowdpose14": 14,
    "posetrack18": 17,
    "hand21": 21,
    "face68": 68,
    "face98": 98,
    "face106": 106,
}
# No OKS benchmark published sigmas for these.
WITHOUT_SIGMAS = {"openpose18", "body25", "mpii16", "face98", "face106"}
FACES = {"face68", "face98", "face106"}  # points alone: their datasets draw no lines
SIDES = (("left_", "right_"), ("l_", "r_"), ("_l_", "_r_"))


def component(schema: KeypointSchema, start: str) -> set[str]:
    """The names that edges reach from one."""
    reached = {schema.names.index(start)}
    for _ in schema.names:
        for a, b in schema.edges:
            if a in reached or b in reached:
                reached |= {a, b}
    return {schema.names[index] for index in reached}


def test_every_schema_has_a_file_and_every_file_a_schema() -> None:
    folder = Path(__file__).parents[3] / "edge/assets/keypoints"
    assert sorted(path.stem for path in folder.glob("*.json")) == sorted(SCHEMAS) == sorted(COUNTS)


@pytest.mark.parametrize("name", SCHEMAS)
def test_counts(name: str) -> None:
    schema = load_schema(name)
    assert schema.name == name
    assert len(schema) == COUNTS[name]
    assert len(schema.sigmas) == (0 if name in WITHOUT_SIGMAS else COUNTS[name])
    assert all(0 < sigma < 0.2 for sigma in schema.sigmas)


@pytest.mark.parametrize("name", SCHEMAS)
def test_flipping_twice_changes_nothing(name: str) -> None:
    order = load_schema(name).flip_order
    assert np.array_equal(order[order], np.arange(COUNTS[name]))


@pytest.mark.parametrize("name", SCHEMAS)
def test_names_of_a_pair_are_mirror_images(name: str) -> None:
    schema = load_schema(name)
    for a, b in schema.left_right:
        left, right = schema.names[a], schema.names[b]
        if left.startswith("face-"):
            continue
        assert right in {left.replace(*side, 1) for side in SIDES} - {left}


@pytest.mark.parametrize("name", SCHEMAS)
def test_left_and_right_are_paired(name: str) -> None:
    schema = load_schema(name)
    paired = {schema.names[index] for pair in schema.left_right for index in pair}
    sided = {each for each in schema.names if each.startswith(("left_", "right_", "l_", "r_"))}
    assert sided <= paired


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_mirrored_skeleton_is_the_skeleton(name: str) -> None:
    schema = load_schema(name)
    edges = {frozenset(edge) for edge in schema.edges}
    mirrored = {frozenset(int(schema.flip_order[index]) for index in edge) for edge in edges}
    assert mirrored == edges


# AIC and COCO-WholeBody measured each side by itself, and published what they measured.
@pytest.mark.parametrize(
    "name", ["coco17", "body26", "halpe136", "ap10k17", "crowdpose14", "posetrack18"]
)
def test_both_sides_are_equally_hard(name: str) -> None:
    sigmas = np.array(load_schema(name).sigmas)
    assert np.array_equal(sigmas[load_schema(name).flip_order], sigmas)


@pytest.mark.parametrize("name", sorted({*SCHEMAS} - FACES - {"coco133", "halpe136", "sapiens308"}))
def test_the_body_hangs_together(name: str) -> None:
    schema = load_schema(name)
    assert component(schema, schema.names[0]) == set(schema.names)


@pytest.mark.parametrize("name", ["coco133", "halpe136"])
def test_hands_hang_together(name: str) -> None:
    schema = load_schema(name)
    assert len(component(schema, "left_hand_root")) == 21
    assert len(component(schema, "right_hand_root")) == 21
    assert component(schema, "nose") == {
        each
        for each in schema.names
        if "-" not in each and "hand_" not in each and each[-1] not in "1234"
    }


def test_coco17_is_cocos(real: Path) -> None:
    category = json.loads((real / "mmpose-coco/test_coco.json").read_bytes())["categories"][0]
    schema = load_schema("coco17")
    assert list(schema.names) == category["keypoints"]
    assert [[a + 1, b + 1] for a, b in schema.edges] == category["skeleton"]


def test_crowdpose14_is_crowdposes(real: Path, oracles) -> None:
    category = json.loads((real / "eval/test_crowdpose.json").read_bytes())["categories"][0]
    figures = json.loads(oracles("coco_eval.json").read_bytes())
    schema = load_schema("crowdpose14")
    assert list(schema.names) == category["keypoints"]
    assert schema.sigmas == pytest.approx(figures["crowdpose"]["sigmas"])


# The category of a PoseTrack18 file, as its annotators list it, and mmpose's configs/_base_/datasets/posetrack18.py.
POSETRACK = (
    *("nose", "head_bottom", "head_top", "left_ear", "right_ear", "left_shoulder"),
    *("right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip"),
    *("right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
)


def test_posetrack18_is_recognised_by_its_names_and_not_taken_for_coco() -> None:
    """Both have 17 keypoints: 15 are the same points at the same places, and COCO's eyes are where the head is."""
    schema, coco = load_schema("posetrack18"), load_schema("coco17")
    assert known_schema(POSETRACK) == "posetrack18"
    assert schema.names == POSETRACK
    shared = shared_keypoints(coco, schema)
    assert shared.tolist() == [0, -1, -1, *range(3, 17)]
    for place, own in enumerate(shared):
        if own >= 0:
            assert schema.sigmas[place] == coco.sigmas[own]
    assert (schema.sigmas[1], schema.sigmas[2]) == (0.025, 0.025)
    # as far as head and neck go, MPII and AIC share its top of the head
    assert shared_keypoints(load_schema("mpii16"), schema)[2] == 9
    assert shared_keypoints(load_schema("aic14"), schema)[2] == 12


def test_large_sets_begin_with_coco() -> None:
    coco = load_schema("coco17")
    for name in ("body26", "coco133", "halpe136"):
        schema = load_schema(name)
        assert schema.names[:17] == coco.names
        assert schema.sigmas[:17] == coco.sigmas
    assert load_schema("halpe136").names[:26] == load_schema("body26").names
    assert load_schema("halpe136").names[26:] == load_schema("coco133").names[23:]


def test_a_photographed_face_mirrors_as_the_pairs_say(real: Path) -> None:
    """A pair of a face seen from the front spans it sideways: all 29 of them run parallel."""
    people = json.loads((real / "mmpose-coco/test_coco_wholebody.json").read_bytes())["annotations"]
    pairs = [(a - 23, b - 23) for a, b in load_schema("coco133").left_right if 23 <= a < 91]
    assert len(pairs) == 29
    face = np.array(people[0]["face_kpts"]).reshape(68, 3)[:, :2]
    across = np.array([face[b] - face[a] for a, b in pairs])
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    assert (np.abs(across @ across[0]) > 0.98).all()


def test_unknown_schema_names_the_known() -> None:
    with pytest.raises(InputError, match="coco17, body26"):
        load_schema("coco18")


@given(st.permutations(range(6)), st.integers(0, 3))
def test_any_disjoint_pairs_give_an_involution(order: list[int], count: int) -> None:
    pairs = tuple((order[2 * i], order[2 * i + 1]) for i in range(count))
    flip = KeypointSchema("x", tuple("abcdef"), left_right=pairs).flip_order
    assert np.array_equal(flip[flip], np.arange(6))
    assert all(flip[a] == b for a, b in pairs)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"names": ()}, "must be given"),
        ({"names": ("a", "a")}, "differ"),
        ({"names": ("a", "b"), "edges": ((0, 2),)}, "outside 0..1"),
        ({"names": ("a", "b", "c"), "left_right": ((0, 1), (1, 2))}, "two left/right pairs"),
        ({"names": ("a", "b"), "sigmas": (0.1,)}, "1 sigmas for 2"),
    ],
)
def test_a_schema_that_contradicts_itself_is_refused(
    fields: dict[str, tuple[str, ...]], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        KeypointSchema("x", **fields)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_survives_the_manifest(name: str) -> None:
    schema = load_schema(name)
    assert KeypointSchema.from_spec(schema.to_spec()) == schema


@pytest.mark.parametrize("whole", ["coco133", "halpe136"])
def test_sapiens_shares_114_keypoints_with_whole_bodies(whole) -> None:
    """Sapiens 4.2: body, feet, four points a finger, and the face inside its contour; no point twice."""
    sapiens, target = load_schema("sapiens308"), load_schema(whole)
    rows = shared_keypoints(sapiens, target)
    found = {
        name: sapiens.names[row] for name, row in zip(target.names, rows, strict=True) if row >= 0
    }
    neck = {"neck"} & set(target.names)
    assert len(found) == 114 + len(neck)
    assert len(set(found.values())) == len(found)
    face = sorted(int(name[5:]) for name in found if name.startswith("face-"))
    assert face == list(range(17, 68))
    hands = [name for name in found if name[-1].isdigit() and not name.startswith("face-")]
    assert len(hands) == 40
    back = shared_keypoints(target, sapiens)
    assert all(back[row] == place for place, row in enumerate(rows) if row >= 0)


def test_the_shared_face_is_symmetric() -> None:
    """A point of iBUG's right half is the mirror image of the left half's; midpoints number from the picture's left."""
    sapiens, target = load_schema("sapiens308"), load_schema("coco133")
    rows = shared_keypoints(sapiens, target)
    mirrored = {"1": "2", "2": "1", "4": "5", "5": "4"}
    for place, other in target.left_right:
        if rows[place] < 0 or not target.names[place].startswith("face-"):
            continue
        ours, theirs = sapiens.names[rows[place]], sapiens.names[rows[other]]
        swapped = re.sub(r"(?<![a-z])[lr](?=_)", lambda m: {"l": "r", "r": "l"}[m[0]], ours)
        if "lip" in ours or "lash" in ours:
            swapped = re.sub(r"(?<=midpoint_)\d", lambda m: mirrored[m[0]], swapped)
        assert swapped == theirs
    eye = [sapiens.names[rows[target.names.index(f"face-{n}")]] for n in (36, 39, 42, 45)]
    assert [name[:7] for name in eye] == ["r_outer", "r_inner", "l_inner", "l_outer"]


def test_names_of_the_users_own_set_are_its_own() -> None:
    own = KeypointSchema("sapiens308", ("nose", "tip_of_nose"))
    assert common_names(own) == own.names
    assert shared_keypoints(own, load_schema("face68")).max() == -1


def test_halpe_has_the_constants_of_its_evaluator() -> None:
    """Halpecocotools' cocoeval.py: 17 of COCO, head, neck and hip, feet, 68 + 42 of face and hands."""
    halpe = load_schema("halpe136").sigmas
    assert halpe[:17] == load_schema("coco17").sigmas
    assert halpe[17:20] == (0.08,) * 3
    assert halpe[20:26] == (0.089,) * 6
    assert halpe[26:] == (0.015,) * 110
