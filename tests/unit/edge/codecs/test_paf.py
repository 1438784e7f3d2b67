"""Part heatmaps and affinity fields: people drawn into the maps come out again, however the maps are read."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.catalog.specs_openpose import LIMBS, openpose_spec, openpose_tf_spec
from edge.codecs import decode
from edge.codecs.paf import decode_one
from edge.codecs.paf_peaks import MAX_PEAKS, Peaks, find_peaks
from edge.schema import load_schema
from edge.synth.part_maps import draw_part_maps
from edge.types import Keypoints
from runtimes.base import Array
from runtimes.codec_spec import PafCodec, PafLimb
from runtimes.errors import InputError
from runtimes.spec import ModelSpec

STRIDE = 8
WH = (54, 46)  # of the maps
INPUT_WH = (WH[0] * STRIDE, WH[1] * STRIDE)
SPEC = openpose_spec("any", INPUT_WH, "openpose18")
BODY25 = openpose_spec("any", INPUT_WH, "body25")
CODEC = PafCodec(limbs=LIMBS["openpose18"])
# An upright person, 1 tall: by name, so that one figure serves both keypoint sets. Left of the person is right of us.
FIGURE = {
    "nose": (0.0, 0.05), "neck": (0.0, 0.2), "mid_hip": (0.0, 0.55),
    "right_shoulder": (-0.14, 0.2), "right_elbow": (-0.2, 0.36), "right_wrist": (-0.22, 0.52),
    "left_shoulder": (0.14, 0.2), "left_elbow": (0.2, 0.36), "left_wrist": (0.22, 0.52),
    "right_hip": (-0.09, 0.55), "right_knee": (-0.1, 0.76), "right_ankle": (-0.1, 0.95),
    "left_hip": (0.09, 0.55), "left_knee": (0.1, 0.76), "left_ankle": (0.1, 0.95),
    "right_eye": (-0.045, 0.0), "left_eye": (0.045, 0.0), "right_ear": (-0.12, 0.04), "left_ear": (0.12, 0.04),
    "left_big_toe": (0.17, 1.02), "left_small_toe": (0.22, 0.98), "left_heel": (0.05, 1.03),
    "right_big_toe": (-0.17, 1.02), "right_small_toe": (-0.22, 0.98), "right_heel": (-0.05, 1.03),
}  # fmt: skip
LEAVES = ("right_wrist", "left_wrist", "right_ankle", "left_ankle")


def crowd(seed: int, count: int, names: tuple[str, ...], tall: float = 17.0) -> Array:
    """Keypoints (N, K, 2) in bins of up to ten people, two rows of five, each leaning and as tall as chance has it."""
    random = np.random.default_rng(seed)
    figure = np.array([FIGURE[name] for name in names])
    places = random.permutation(
        [(x, y) for y in (2.5, 24.0) for x in (6.5, 16.7, 26.9, 37.1, 47.3)]
    )
    people = []
    for place in places[:count]:
        lean = random.uniform(-0.04, 0.04)
        turn = np.array(((np.cos(lean), -np.sin(lean)), (np.sin(lean), np.cos(lean))))
        people.append(place + random.uniform(0.9, 1.05) * tall * figure @ turn.T)
    return np.array(people).reshape(-1, len(names), 2)


def pixels(bins: Array) -> Array:
    """The input pixel at the middle of what a bin sees."""
    return (np.asarray(bins) + 0.5) * STRIDE - 0.5


def read(spec: ModelSpec, xy: Array, seen: Array | None = None, **codec: object) -> Keypoints:
    """Draw people and decode the maps."""
    assert isinstance(spec.codec, PafCodec)
    visible = np.ones(xy.shape[:2], bool) if seen is None else seen
    maps = draw_part_maps(xy, visible, spec.codec.limbs, WH)
    changed = msgspec.structs.replace(spec, codec=msgspec.structs.replace(spec.codec, **codec))
    (found,) = decode({"heatmap": maps[0][None], "paf": maps[1][None]}, changed)
    assert isinstance(found, Keypoints)
    return found


def paired(found: Keypoints, xy: Array) -> Array:
    """The row of `found` that is each true person: the one whose neck lies on theirs."""
    necks = found.xy[:, 1]
    apart = np.linalg.norm(necks[None] - pixels(xy[:, 1])[:, None], axis=2)
    return apart.argmin(axis=1)


@pytest.mark.parametrize("spec", [SPEC, BODY25], ids=["openpose18", "body25"])
@pytest.mark.parametrize("upsample", [1, 2, 4])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 10))
def test_drawn_people_are_found_where_they_are(
    spec: ModelSpec, upsample: int, seed: int, count: int
) -> None:
    assert spec.keypoints is not None
    xy = crowd(seed, count, spec.keypoints.names)
    found = read(spec, xy, upsample=upsample)

    assert len(found) == count
    rows = paired(found, xy)
    assert sorted(rows) == list(range(count))
    assert (found.scores > 0).all()
    far = np.linalg.norm(found.xy[rows] - pixels(xy), axis=2)
    assert np.percentile(far, 95) < 1.0  # pixels; neighbours' tails pull a little
    assert far.max() < 3.0


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 10), data=st.data())
def test_the_same_people_at_every_scale_whatever_is_hidden(
    seed: int, count: int, data: st.DataObject
) -> None:
    names = load_schema("openpose18").names
    xy = crowd(seed, count, names)
    seen = np.ones(xy.shape[:2], bool)
    for person in range(count):
        for leaf in data.draw(st.sets(st.sampled_from(LEAVES))):
            seen[person, names.index(leaf)] = False
    plain, enlarged = read(SPEC, xy, seen), read(SPEC, xy, seen, upsample=4, refine="none")

    for found in (plain, enlarged):
        rows = paired(found, xy)
        assert len(found) == count
        np.testing.assert_array_equal(found.scores[rows] > 0, seen)
        assert (found.xy[found.scores == 0] == 0).all()
    near = plain.scores[paired(plain, xy)] > 0
    apart = plain.xy[paired(plain, xy)] - enlarged.xy[paired(enlarged, xy)]
    assert np.percentile(np.linalg.norm(apart, axis=2)[near], 95) < 2.5


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 6))
def test_order_and_packing_of_the_maps_do_not_matter(seed: int, count: int) -> None:
    xy = crowd(seed, count, load_schema("openpose18").names)
    heatmaps, fields = draw_part_maps(xy, np.ones(xy.shape[:2], bool), CODEC.limbs, WH)
    turned = draw_part_maps(xy[::-1], np.ones(xy.shape[:2], bool), CODEC.limbs, WH)
    two = {"heatmap": np.stack([heatmaps, turned[0]]), "paf": np.stack([fields, turned[1]])}
    one = {"maps": np.concatenate([heatmaps, fields])[None]}
    joined = msgspec.structs.replace(openpose_tf_spec(), codec=CODEC)

    apart, reversed_ = decode(two, SPEC)
    (together,) = decode(one, joined)
    for other in (reversed_, together):
        np.testing.assert_array_equal(apart.xy, other.xy)
        np.testing.assert_array_equal(apart.scores, other.scores)
    assert apart.xy.shape == (count, 18, 2)


def test_a_bin_lies_half_a_bin_behind_its_first_pixel() -> None:
    xy = crowd(3, 1, load_schema("openpose18").names).round()
    found = read(SPEC, xy)
    np.testing.assert_allclose(found.xy, pixels(xy), atol=1e-3)


def test_noise_under_the_threshold_gives_no_people() -> None:
    random = np.random.default_rng(0)
    heatmaps = random.uniform(0, CODEC.peak_score - 1e-4, (18, 46, 54)).astype(np.float32)
    fields = random.uniform(-1, 1, (38, 46, 54)).astype(np.float32)
    found = decode_one(heatmaps, fields, CODEC, INPUT_WH)
    assert (found.xy.shape, found.scores.shape) == ((0, 18, 2), (0, 18))


def test_noise_over_it_is_bounded_work() -> None:
    random = np.random.default_rng(0)
    heatmaps = random.uniform(0, 1, (18, 92, 108)).astype(np.float32)
    codec = msgspec.structs.replace(CODEC, separation=0.0)
    peaks = find_peaks(heatmaps, codec)
    counts = np.bincount(peaks.parts, minlength=18)
    assert (counts == MAX_PEAKS).all()
    for part in (0, 17):  # the highest are kept
        local = find_peaks(heatmaps[part : part + 1, :9], codec)
        weak = set(np.round(local.scores, 6)) - set(np.round(peaks.scores[peaks.parts == part], 6))
        assert not weak or max(weak) <= peaks.scores[peaks.parts == part].min() + 1e-6


def bumps(*places: tuple[float, float, float], wh: tuple[int, int] = (30, 20)) -> Array:
    """One map with Gaussians of (x, y, height)."""
    x, y = np.meshgrid(np.arange(wh[0]), np.arange(wh[1]))
    maps = [h * np.exp(-((x - px) ** 2 + (y - py) ** 2) / 1.5) for px, py, h in places]
    return np.max(maps, axis=0).astype(np.float32)


def test_at_the_edge_a_peak_stays_on_its_bin() -> None:
    peaks = find_peaks(bumps((0.2, 11.2, 1.0))[None], CODEC)
    np.testing.assert_allclose(peaks.xy, [(0, 11.2)], atol=1e-4)


@pytest.mark.parametrize("half", [(0.5, 0.0), (0.0, 0.5), (0.5, 0.5)])
def test_of_equal_bins_one_is_the_peak_and_it_lies_between_them(half: tuple[float, float]) -> None:
    peaks = find_peaks(bumps((9 + half[0], 11 + half[1], 1.0))[None], CODEC)
    np.testing.assert_allclose(peaks.xy, [(9 + half[0], 11 + half[1])], atol=1e-6)


def test_of_two_peaks_too_near_the_left_one_stays() -> None:
    maps = np.stack([bumps((10, 8, 0.5), (14, 8, 0.9)), bumps((14, 8, 0.9))])
    both, one = (
        find_peaks(maps, msgspec.structs.replace(CODEC, refine="none", separation=distance))
        for distance in (4.0, 4.1)
    )
    assert both.xy.tolist() == [[10, 8], [14, 8], [14, 8]]
    assert one.xy.tolist() == [[10, 8], [14, 8]]
    assert one.parts.tolist() == [0, 1]


@given(
    right=st.floats(-0.49, 0.49),
    down=st.floats(-0.49, 0.49),
    height=st.floats(0.2, 1.0),
)
def test_a_gaussian_is_placed_between_bins_exactly(
    right: float, down: float, height: float
) -> None:
    peaks = find_peaks(bumps((9 + right, 11 + down, height))[None], CODEC)
    assert len(peaks) == 1
    np.testing.assert_allclose(peaks.xy[0], (9 + right, 11 + down), atol=1e-4)


# Four keypoints in a row, whose middle limb comes last: two halves are there before anything joins them.
HALVES = tuple(
    PafLimb(ends=ends, channels=(2 * row, 2 * row + 1))
    for row, ends in enumerate(((0, 1), (2, 3), (1, 2)))
)
ROW = np.array([[(4.0, 10.0), (10.0, 10.0), (16.0, 10.0), (22.0, 10.0)]])


def rows_of(limbs: tuple[PafLimb, ...], xy: Array = ROW, **codec: object) -> list[list[bool]]:
    """Which of four keypoints each person has."""
    heatmaps, fields = draw_part_maps(xy, np.ones(xy.shape[:2], bool), limbs, (30, 20))
    options = {"limbs": limbs, "min_keypoints": 2, **codec}
    found = decode_one(heatmaps[:4], fields, PafCodec(**options), (240, 160))
    return (found.scores > 0).tolist()


def test_halves_are_joined_by_merging_only() -> None:
    assert rows_of(HALVES, assembly="merge") == [[True] * 4]
    # the first half takes the joint, the second keeps it: as OpenPose does
    assert rows_of(HALVES) == [[True, True, True, False], [False, False, True, True]]
    assert rows_of(HALVES, min_keypoints=3) == [[True, True, True, False]]


@pytest.mark.parametrize("assembly", ["attach", "merge"])
def test_a_limb_that_does_not_start_people_completes_them(assembly: str) -> None:
    chain = (HALVES[0], msgspec.structs.replace(HALVES[2], starts=False))
    renumbered = tuple(
        msgspec.structs.replace(limb, channels=(2 * row, 2 * row + 1))
        for row, limb in enumerate(chain)
    )
    assert rows_of(renumbered, assembly=assembly) == [[True, True, True, False]]
    alone = (msgspec.structs.replace(renumbered[1], channels=(0, 1)),)
    assert rows_of(alone, assembly=assembly) == []


def test_limbs_over_half_a_map_long_lose_score_where_all_points_count() -> None:
    long = np.array([[(2.0, 10.0), (27.0, 10.0), (27.0, 12.0), (27.0, 14.0)]])
    # 25 bins on a map 20 high: 10 / 25 - 1 = -.6 off a field of 1, so .4 and two peaks of 1, over two keypoints
    kept = {
        limit: rows_of(HALVES[:1], long, limb_score="all", min_score=limit)
        for limit in (1.19, 1.21)
    }
    assert kept == {1.19: [[True, True, False, False]], 1.21: []}
    assert rows_of(HALVES[:1], long, min_score=1.49) == [[True, True, False, False]]


def test_a_field_the_other_way_joins_nothing() -> None:
    heatmaps, fields = draw_part_maps(ROW, np.ones((1, 4), bool), HALVES, (30, 20))
    codec = PafCodec(limbs=HALVES, min_keypoints=2)
    assert len(decode_one(heatmaps[:4], fields, codec, (240, 160))) == 2
    assert len(decode_one(heatmaps[:4], -fields, codec, (240, 160))) == 0


@pytest.mark.parametrize(
    ("limbs", "channels", "message"),
    [
        (CODEC.limbs, 56, "need 57 channels, got 56"),
        (CODEC.limbs[:1], 21, "channel outside 0..1"),
        ((PafLimb(ends=(1, 18), channels=(0, 1)),), 21, "keypoint outside 0..17"),
        ((PafLimb(ends=(1, -1), channels=(0, 1)),), 21, "keypoint outside 0..17"),
        ((), 19, "0 limbs"),
    ],
)
def test_limbs_that_do_not_fit_are_refused(
    limbs: tuple[PafLimb, ...], channels: int, message: str
) -> None:
    spec = msgspec.structs.replace(openpose_tf_spec(), codec=PafCodec(limbs=limbs))
    with pytest.raises(InputError, match=message):
        decode({"maps": np.zeros((1, channels, 46, 54), np.float32)}, spec)


@pytest.mark.parametrize("wrong", [{"upsample": 0}, {"peak_score": 0.0}])
def test_settings_that_mean_nothing_are_refused(wrong: dict[str, float]) -> None:
    spec = msgspec.structs.replace(SPEC, codec=msgspec.structs.replace(CODEC, **wrong))
    maps = {tensor.name: np.zeros((1, *tensor.shape[1:]), np.float32) for tensor in spec.outputs}
    with pytest.raises(InputError, match="upsample must be at least 1"):
        decode(maps, spec)


def test_peaks_are_chosen_like_rows() -> None:
    peaks = Peaks(np.array([0, 1]), np.zeros((2, 2)), np.ones(2, np.float32))
    assert len(peaks[np.array([False, True])]) == 1


@pytest.mark.parametrize(("schema", "fields"), [("openpose18", 38), ("body25", 52)])
def test_limb_tables_use_each_channel_once_and_reach_each_keypoint(
    schema: str, fields: int
) -> None:
    limbs = LIMBS[schema]
    assert sorted(channel for limb in limbs for channel in limb.channels) == list(range(fields))
    assert {end for limb in limbs for end in limb.ends} == set(range(len(load_schema(schema))))
    names = load_schema(schema).names
    ears = {tuple(names[end] for end in limb.ends) for limb in limbs if not limb.starts}
    assert ears == {("right_shoulder", "right_ear"), ("left_shoulder", "left_ear")}
