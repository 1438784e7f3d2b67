"""Associative embedding: planted people come back, as mmpose 1.3.2 decodes them, and at the least tag distance."""

import itertools
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.codecs import decode_poses
from edge.codecs.ae import decode_one
from edge.codecs.ae_group import Candidates, find_candidates, group_candidates
from edge.codecs.assignment import assign
from edge.model import Model
from edge.parity.compare import compare
from edge.parity.reference import make_reference
from edge.schema import numbered_schema
from edge.types import Keypoints, Poses
from export.import_spec import ImportSpec, check_spec
from runtimes.codec_spec import AssociativeEmbeddingCodec
from runtimes.errors import InputError
from runtimes.fake import FakeSession
from runtimes.spec import CropSpec, ImageSpec, ModelSpec, TensorSpec

# Written by mmpose 1.3.2's AssociativeEmbedding (candidates, grouping, filling, refinement) on drawn maps. Its
# `batch_decode` fills and refines on suppressed heatmaps; here, as HigherHRNet's authors do, both see the raw ones.
REFERENCE = Path(__file__).parents[3] / "data" / "associative_embedding.npz"
POINTS = 5
MAP_WH = (24, 20)
INPUT_WH = (96, 80)
CODEC = AssociativeEmbeddingCodec()
Array = NDArray[np.float32]


def spec(outputs: tuple[TensorSpec, ...], codec: AssociativeEmbeddingCodec = CODEC) -> ModelSpec:
    return ModelSpec(
        model="tagged",
        task="pose-bottomup",
        inputs=(TensorSpec(name="image", shape=(-1, 3, 80, 96), layout="NCHW"),),
        outputs=outputs,
        image=ImageSpec(wh=INPUT_WH, order="RGB"),
        crop=CropSpec(kind="letterbox-centre"),
        codec=codec,
        keypoints=numbered_schema(POINTS).to_spec(),
    )


APART = spec((TensorSpec(name="heatmap"), TensorSpec(name="tags")))
JOINED = spec((TensorSpec(name="maps"),))


def draw(bins: NDArray[np.intp], seen: NDArray[np.bool_], tags: Array) -> tuple[Array, Array]:
    """Heatmaps (K, h, w) and tags (K, L, h, w) of people at whole bins (N, K, 2), with tags (N, L); -5 elsewhere."""
    width, height = MAP_WH
    y, x = np.mgrid[:height, :width]
    heatmaps = np.zeros((POINTS, height, width), np.float32)
    maps = np.full((POINTS, tags.shape[1], height, width), -5, np.float32)
    for person, point in np.argwhere(seen):
        column, row = bins[person, point]
        bump = np.exp(-((x - column) ** 2 + (y - row) ** 2) / 2) * (0.9 - 0.05 * person)
        own = bump > heatmaps[point]
        heatmaps[point] = np.maximum(heatmaps[point], bump)
        maps[point][:, own & (bump > 0.1)] = tags[person][:, None]
    return heatmaps, maps


@st.composite
def scenes(draw_from: st.DrawFn) -> tuple[NDArray[np.intp], NDArray[np.bool_], Array]:
    """Up to four people with a keypoint each; peaks of a keypoint lie far apart, tags at least 2."""
    count = draw_from(st.integers(0, 4))
    cells = [(6 * x + 3, 5 * y + 2) for x in range(4) for y in range(4)]
    bins = [
        draw_from(st.lists(st.sampled_from(cells), min_size=count, max_size=count, unique=True))
        for _ in range(POINTS)
    ]
    seen = draw_from(
        st.lists(
            st.lists(st.booleans(), min_size=POINTS, max_size=POINTS).filter(any),
            min_size=count,
            max_size=count,
        )
    )
    order = draw_from(st.permutations(range(count)))
    tags = 2 * np.array(order, np.float32)[:, None] - 3
    places = np.array(bins, np.intp).reshape(POINTS, count, 2).swapaxes(0, 1)
    return places, np.array(seen, bool).reshape(count, POINTS), tags.reshape(count, 1)


def rows(found: Keypoints, scale: float = 4) -> list[list[tuple[float, ...]]]:
    """People as sorted lists of (keypoint, x, y) in bins."""
    return sorted(
        [(k, *(person[k] / scale)) for k in np.flatnonzero(seen)]
        for person, seen in zip(found.xy, found.scores > 0, strict=True)
    )


@given(scenes())
def test_planted_people_come_back(
    scene: tuple[NDArray[np.intp], NDArray[np.bool_], Array],
) -> None:
    bins, seen, tags = scene
    codec = msgspec.structs.replace(CODEC, missing="leave", refine="none")
    heatmaps, maps = draw(bins, seen, tags)
    found = decode_one(heatmaps, maps, codec, INPUT_WH)
    wanted = sorted(
        [(k, *map(float, person[k])) for k in np.flatnonzero(own)]
        for person, own in zip(bins, seen, strict=True)
    )
    assert rows(found) == wanted
    assert (found.xy[found.scores == 0] == 0).all()
    peaks = [0.9 - 0.05 * n for n in range(len(bins)) for _ in range(seen[n].sum())]
    np.testing.assert_allclose(np.sort(found.scores[found.scores > 0]), np.sort(peaks), rtol=1e-5)
    # the order in which keypoints join changes nothing here
    turned = msgspec.structs.replace(codec, keypoint_order=(4, 2, 0, 1, 3))
    assert rows(decode_one(heatmaps, maps, turned, INPUT_WH)) == wanted


@pytest.mark.parametrize("scene", range(6))
def test_people_are_mmposes(scene: int) -> None:
    with np.load(REFERENCE) as file:
        heatmaps, tags = (
            file[f"{scene}.{name}"].astype(np.float32) for name in ("heatmaps", "tags")
        )
        grouped, xy, scores = (file[f"{scene}.{name}"] for name in ("grouped", "xy", "scores"))
        order = tuple(file["order"].tolist())
    points, height, width = heatmaps.shape
    by_keypoint = tags.reshape(-1, points, height, width).swapaxes(0, 1)
    codec = AssociativeEmbeddingCodec(
        keypoint_order=order, refine="udp" if scene % 2 else "shift", missing="fill"
    )
    people = group_candidates(find_candidates(heatmaps, by_keypoint, codec), codec)
    np.testing.assert_array_equal(people.scores, grouped[..., 2])
    found = people.scores > 0
    np.testing.assert_array_equal(people.bins[found], grouped[..., :2][found])

    decoded = decode_one(heatmaps, by_keypoint, codec, (4 * width, 4 * height))
    np.testing.assert_array_equal(decoded.scores, scores)
    np.testing.assert_allclose(decoded.xy, xy, atol=1e-3)


def test_outputs_may_be_joined_and_tags_shared() -> None:
    bins = np.array([[(3, 4)] * POINTS, [(15, 12)] * POINTS])
    heatmaps, tags = draw(bins, np.ones((2, POINTS), bool), np.array([[1.0], [4.0]], np.float32))
    own = tags[:, 0]
    (apart,) = decode_poses({"heatmap": heatmaps[None], "tags": own[None]}, APART)
    (joined,) = decode_poses({"maps": np.concatenate([heatmaps, own])[None]}, JOINED)
    (shared,) = decode_poses({"heatmap": heatmaps[None], "tags": own[None, :1]}, APART)
    for each in (joined, shared):
        np.testing.assert_array_equal(each.xy, apart.xy)
    assert rows(apart) == [
        [(k, *map(float, (x, y))) for k in range(POINTS)] for x, y in ((3, 4), (15, 12))
    ]

    # two numbers a keypoint: channel l * K + k
    second = np.concatenate([own * 0, own])
    (longer,) = decode_poses({"heatmap": heatmaps[None], "tags": second[None]}, APART)
    np.testing.assert_array_equal(longer.xy, apart.xy)
    with pytest.raises(InputError, match="5 keypoints and their tags need more than 5 channels"):
        decode_poses({"maps": heatmaps[None]}, JOINED)


def test_a_frame_goes_through_the_model() -> None:
    """A frame of 192x120 lies in an input of 96x80 at half its size, in the middle: 10 rows above and below."""
    bins = np.array([[(3, 4)] * POINTS, [(15, 12)] * POINTS])
    heatmaps, tags = draw(bins, np.ones((2, POINTS), bool), np.array([[1.0], [4.0]], np.float32))
    outputs = {"heatmap": heatmaps[None], "tags": tags[None, :, 0]}
    model = Model(APART, FakeSession(lambda _feeds: outputs))
    poses = model(np.zeros((120, 192, 3), np.uint8))
    assert isinstance(poses, Poses)
    wanted = (np.array([(12, 16), (60, 48)]) - (0, 10)) / 0.5
    np.testing.assert_allclose(poses.xy, np.repeat(wanted[:, None], POINTS, axis=1), atol=0.6)


def test_the_gate_judges_people_in_pixels() -> None:
    """Twice the same maps pass; a keypoint whose tags say that it is the other person's does not."""
    bins = np.array([[(3, 4)] * POINTS, [(15, 12)] * POINTS])
    heatmaps, tags = draw(bins, np.ones((2, POINTS), bool), np.array([[1.0], [4.0]], np.float32))
    images = np.zeros((2, 80, 96, 3), np.uint8)
    outputs = {"heatmap": np.stack([heatmaps] * 2), "tags": np.stack([tags[:, 0]] * 2)}
    reference = make_reference(images, outputs, APART, "planted")
    assert reference.decidable is not None
    assert reference.decidable.all()
    same = compare(reference, outputs, APART, "fp32")
    assert (same.basis, same.passed, same.px_max) == ("px", True, 0)

    swapped = outputs["tags"].copy()
    swapped[:, 2] = np.where(swapped[:, 2] == 1, 4, np.where(swapped[:, 2] == 4, 1, -5))
    assert compare(reference, outputs | {"tags": swapped}, APART, "fp32").passed is False


def test_a_spec_of_ones_own_is_read_and_checked() -> None:
    fields = {name: getattr(APART, name) for name in ModelSpec.__struct_fields__}
    fields["outputs"] = tuple(
        TensorSpec(name=name, shape=(-1, POINTS, 20, 24)) for name in ("heatmap", "tags")
    )
    check_spec(ImportSpec(**fields, runtime="onnxruntime"))
    wrong = {
        "codec.nms_kernel is 4, an odd number": {"nms_kernel": 4},
        r"codec.keypoint_order is \[0, 1\], each of 0 to 4": {"keypoint_order": (0, 1)},
        "codec.min_keypoints is 6, there are 5 keypoints": {"min_keypoints": 6},
    }
    for said, changes in wrong.items():
        codec = msgspec.structs.replace(CODEC, **changes)
        with pytest.raises(InputError, match=said):
            check_spec(ImportSpec(**(fields | {"codec": codec}), runtime="onnxruntime"))
    few = (TensorSpec(name="maps", shape=(-1, POINTS, 20, 24)),)
    with pytest.raises(InputError, match="outputs have 5 channels, 5 keypoints and their tags"):
        check_spec(ImportSpec(**(fields | {"outputs": few}), runtime="onnxruntime"))


def test_nothing_gives_nobody() -> None:
    for value in (0.0, 0.1):  # the threshold itself is no peak
        maps = np.full((2, 2 * POINTS, 20, 24), value, np.float32)
        for found in decode_poses({"maps": maps}, JOINED):
            assert found.xy.shape == (0, POINTS, 2)
            assert found.scores.shape == (0, POINTS)


def test_equal_bins_are_one_candidate() -> None:
    heatmaps = np.zeros((1, 9, 12), np.float32)
    heatmaps[0, 3:5, 4:6] = 0.5  # a plateau, as int8 gives
    heatmaps[0, 3, 10] = 0.5
    (found,) = find_candidates(heatmaps, np.zeros((1, 1, 9, 12), np.float32), CODEC)
    assert found.bins.tolist() == [[4, 3], [10, 3]]


def test_missing_keypoints_are_filled_from_below_the_threshold() -> None:
    bins = np.array([[(3, 4)] * POINTS, [(15, 12)] * POINTS])
    seen = np.ones((2, POINTS), bool)
    seen[1, 3] = False
    heatmaps, tags = draw(bins, seen, np.array([[1.0], [4.0]], np.float32))
    heatmaps[3, 12, 16], tags[3, 0, 12, 16] = 0.06, 4.2  # weak, but of that person
    heatmaps[3, 2, 20], tags[3, 0, 2, 20] = 0.08, 1.0
    filled, left = (
        decode_one(
            heatmaps, tags, msgspec.structs.replace(CODEC, missing=kind, refine="none"), INPUT_WH
        )
        for kind in ("fill", "leave")
    )
    assert (left.scores[:, 3] > 0).tolist() == [True, False]
    assert filled.xy[1, 3].tolist() == [64, 48]
    assert filled.scores[1, 3] == np.float32(0.06)


def test_half_a_bin_for_labels_rounded_down() -> None:
    bins = np.array([[(3, 4)] * POINTS])
    heatmaps, tags = draw(bins, np.ones((1, POINTS), bool), np.ones((1, 1), np.float32))
    heatmaps[:, 4, 4] += 0.05  # the right neighbour is higher, the lower one is not
    at = {
        kind: decode_one(heatmaps, tags, msgspec.structs.replace(CODEC, refine=kind), INPUT_WH).xy[
            0, 0
        ]
        for kind in ("none", "shift", "shift-centre")
    }
    assert at["none"].tolist() == [12, 16]
    assert at["shift"].tolist() == [13, 16]
    assert at["shift-centre"].tolist() == [15, 18]


def one(scores: list[float], tags: list[float]) -> Candidates:
    count = len(scores)
    bins = np.stack([np.arange(count), np.zeros(count, np.intp)], axis=1)
    return Candidates(bins, np.array(scores, np.float32), np.array(tags, np.float32)[:, None])


def test_people_and_keypoints_are_limited() -> None:
    everybody = [one([0.9, 0.8, 0.7], [0, 3, 6]), one([0.9, 0.8], [3, 9])]

    def count(**changes: int) -> int:
        return len(group_candidates(everybody, msgspec.structs.replace(CODEC, **changes)).scores)

    assert count() == 4
    assert count(max_people=2) == 2
    assert count(min_keypoints=2) == 1


def test_a_tag_too_far_starts_a_person() -> None:
    near, far = (
        group_candidates([one([0.9], [0]), one([0.9], [tag])], CODEC) for tag in (0.9, 1.1)
    )
    assert (len(near.scores), len(far.scores)) == (1, 2)


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**31))
def test_assignments_cost_the_least(count: int, columns: int, seed: int) -> None:
    costs = np.random.default_rng(seed).integers(0, 6, (count, columns)).astype(np.float64)
    found = assign(costs)
    pairs = [(row, column) for row, column in enumerate(found) if column >= 0]
    assert len(pairs) == len({column for _, column in pairs}) == min(count, columns)
    tall = costs if count <= columns else costs.T
    least = min(
        tall[np.arange(len(tall)), list(chosen)].sum()
        for chosen in itertools.permutations(range(tall.shape[1]), len(tall))
    )
    assert sum(costs[pair] for pair in pairs) == least
