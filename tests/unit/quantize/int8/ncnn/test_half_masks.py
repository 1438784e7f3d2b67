"""Masks against overflow in half: nets whose values follow from their weights, and what must hold of any net."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtimes.artifact import Artifact
from runtimes.codec_spec import HeatmapCodec
from runtimes.files import seal
from runtimes.spec import CropSpec, ImageSpec, KeptLayer, Lineage, Manifest, TensorSpec

pytest.importorskip("ncnn")

import ncnn

from export.ncnn.blobs import FloatNet
from export.ncnn.half_masks import (
    LIMIT,
    FeatureMask,
    Ranges,
    fp16_masks,
    measure_ranges,
    with_masks,
)
from quantize.int8.base import Quantized, Recipe
from quantize.int8.ncnn.model_file import Node, read_nodes
from quantize.int8.ncnn.quantizer import quantize

WIDTH, HEIGHT = 6, 5
WHITE = np.full((2, HEIGHT, WIDTH, 3), 255, np.uint8)
STRIPES = np.where(np.arange(WIDTH) % 2, WHITE.swapaxes(2, 3), 0).swapaxes(2, 3).astype(np.uint8)
FULL, ARITHMETIC = 3, 1


def write_artifact(folder: Path, rows: list[str], weights: list[np.ndarray]) -> Artifact:
    """An fp32 artifact of layers written by hand; each of `weights` stands behind a tag, none has a bias."""
    folder.mkdir()
    text = ["7767517", f"{len(rows) + 1} 99", "Input in0 0 1 in0", *rows]
    (folder / "model.ncnn.param").write_text("\n".join(text) + "\n")
    data = b"".join(bytes(4) + array.astype("<f4").tobytes() for array in weights)
    (folder / "model.ncnn.bin").write_bytes(data)
    manifest = Manifest(
        model="tiny",
        task="pose-topdown",
        inputs=(TensorSpec(name="image", engine_name="in0", shape=(-1, 3, HEIGHT, WIDTH)),),
        outputs=(TensorSpec(name="heatmap", engine_name="out0", shape=(-1, 1, HEIGHT, WIDTH)),),
        image=ImageSpec(wh=(WIDTH, HEIGHT)),
        crop=CropSpec(kind="affine"),
        codec=HeatmapCodec(refine="shift"),
        runtime="ncnn",
        precision="fp32",
        lineage=Lineage(weights="random"),
    )
    return seal(folder, manifest)


def conv(name: str, source: str, target: str, weights: np.ndarray) -> str:
    return f"Convolution {name} 1 1 {source} {target} 0={len(weights)} 1=1 5=0 6={weights.size}"


def sums_of(node: str, folder: Path, rows: list[str], images: np.ndarray, weights=()) -> float:
    artifact = write_artifact(folder, rows, list(weights))
    param, bin_file = artifact.file(".param"), artifact.file(".bin")
    net = FloatNet(param, bin_file, "in0", artifact.manifest.image)
    return measure_ranges(net, read_nodes(param, bin_file), images).sums[node]


def make(folder: Path, rows: list[str], weights: list[np.ndarray], images: np.ndarray) -> Quantized:
    """Make int8 of a net into `folder`."""
    folder.mkdir()
    return quantize(
        write_artifact(folder / "float", rows, weights), images, Recipe("static"), folder
    )


def written_masks(folder: Path) -> dict[str, int]:
    lines = (folder / "model.ncnn.param").read_text().splitlines()[2:]
    found = {line.split()[1]: line.partition(" 31=")[2] for line in lines}
    return {name: int(value) for name, value in found.items() if value}


def run_file(param: Path, weights: Path, image: np.ndarray) -> np.ndarray:
    """What ncnn computes from the files; every return code is 0."""
    net = ncnn.Net()
    net.opt.num_threads = 1
    assert net.load_param(str(param)) == 0
    assert net.load_model(str(weights)) == 0
    extractor = net.create_extractor()
    mat = ncnn.Mat.from_pixels(image, ncnn.Mat.PixelType.PIXEL_BGR2RGB, WIDTH, HEIGHT)
    assert extractor.input("in0", mat) == 0
    code, out = extractor.extract("out0")
    assert code == 0
    values = np.array(out)
    del extractor, out
    net.clear()
    return values


def run_with_and_without_masks(folder: Path, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    param, weights = folder / "model.ncnn.param", folder / "model.ncnn.bin"
    bare = folder / "bare.param"
    lines = [line.partition(" 31=")[0] for line in param.read_text().splitlines()]
    bare.write_text("\n".join(lines) + "\n")
    return run_file(param, weights, image), run_file(bare, weights, image)


ONES = np.ones((1, 3))


def chain(gain: float) -> tuple[list[str], list[np.ndarray]]:
    """White becomes 765, then `gain` times as much, then a 1024th of that, then the same again."""
    weights = [ONES, np.full((1, 1), gain), np.full((1, 1), 2.0**-10), np.ones((1, 1))]
    names = [("sum", "in0", "a"), ("gain", "a", "b"), ("back", "b", "c"), ("last", "c", "out0")]
    return [conv(*name, each) for name, each in zip(names, weights, strict=True)], weights


def test_a_layer_beyond_the_limit_is_masked_with_what_reads_it_and_all_before(tmp_path) -> None:
    rows, weights = chain(100)
    made = make(tmp_path / "m", rows, weights, WHITE)
    assert written_masks(tmp_path / "m") == {"sum": FULL, "gain": FULL, "back": FULL}
    masked, bare = run_with_and_without_masks(tmp_path / "m", WHITE[0])
    np.testing.assert_array_equal(masked, bare)
    np.testing.assert_array_equal(masked, np.full((1, HEIGHT, WIDTH), 765 * 100 / 1024))
    reasons = {layer.layer: layer.reason for layer in made.kept}
    assert "basis: range; |x| up to 7.65e+04" in reasons["gain"]
    assert "31" not in reasons["last"]
    assert "range" not in reasons["last"]


def test_a_layer_below_the_limit_is_not(tmp_path) -> None:
    """765 * 42 = 32130."""
    rows, weights = chain(42)
    made = make(tmp_path / "m", rows, weights, WHITE)
    assert written_masks(tmp_path / "m") == {}
    assert not [layer for layer in made.kept if "range" in layer.reason]


def test_a_layer_in_int8_may_be_masked_as_well(tmp_path) -> None:
    """20 channels of 765, 20 times each: 306000."""
    wide, large = np.ones((20, 3)), np.full((8, 20), 20.0)
    rows = [conv("widen", "in0", "a", wide), conv("large", "a", "out0", large)]
    made = make(tmp_path / "m", rows, [wide, large], WHITE)
    lines = (tmp_path / "m" / "model.ncnn.param").read_text().splitlines()
    assert lines[-1].endswith(" 8=2 31=3")
    masked, bare = run_with_and_without_masks(tmp_path / "m", WHITE[0])
    np.testing.assert_array_equal(masked, bare)
    np.testing.assert_allclose(masked, 306000, rtol=1e-5)
    assert [(layer.layer, layer.precision) for layer in made.kept] == [
        ("widen", "fp16, f32 arithmetic, storage"),
        ("large", "f32 arithmetic, storage"),
    ]


@pytest.mark.parametrize(
    ("layer", "count"),
    [
        ("LayerNorm norm 1 1 in0 out0 0=6 1=1e-5 2=0", 6),
        ("InstanceNorm norm 1 1 in0 out0 0=3 1=1e-5 2=0", 30),
        ("GroupNorm norm 1 1 in0 out0 0=1 1=3 2=1e-5 3=0", 90),
    ],
    ids=["layer", "instance", "group"],
)
def test_a_normalisation_is_masked_for_its_sum_of_squares(tmp_path, layer, count) -> None:
    """Stripes of 0 and 255: every value lies 127.5 from the mean."""
    found = sums_of("norm", tmp_path / "n", [layer], STRIPES)
    assert found == pytest.approx(count * 127.5**2)
    make(tmp_path / "m", [layer], [], STRIPES)
    assert written_masks(tmp_path / "m") == {"norm": ARITHMETIC}
    masked, bare = run_with_and_without_masks(tmp_path / "m", STRIPES[0])
    np.testing.assert_array_equal(masked, bare)
    make(tmp_path / "even", [layer], [], WHITE)  # 90 times 255 is 22950, and no deviation
    assert written_masks(tmp_path / "even") == {}


def test_a_root_mean_square_has_no_mean_to_take_off(tmp_path) -> None:
    row = "RMSNorm norm 1 1 in0 out0 0=6 1=1e-5 2=0"
    assert sums_of("norm", tmp_path / "n", [row], WHITE) == 6 * 255**2


def test_attention_is_masked_for_queries_times_keys(tmp_path) -> None:
    """Six times 102 * 102 before the scale, 25485 after it; what comes out is 102 again."""
    weights = 0.4 * np.eye(3)
    rows = [conv("part", "in0", "x", weights), "Split s 1 3 x a b c", "SDPA att 3 1 a b c out0 5=0"]
    found = sums_of("att", tmp_path / "n", rows, WHITE, [weights])
    assert found == pytest.approx(6 * 102**2)
    make(tmp_path / "m", rows, [weights], WHITE)
    assert written_masks(tmp_path / "m") == {"att": ARITHMETIC}
    masked, bare = run_with_and_without_masks(tmp_path / "m", WHITE[0])
    np.testing.assert_array_equal(masked, bare)
    np.testing.assert_allclose(masked, 102, rtol=1e-3)


def test_attention_whose_scaled_scores_do_not_fit_is_masked_as_a_blob_is(tmp_path) -> None:
    """1530 * 1530 * 6 over the root of 6 is 5.7e6: it would be stored in float16."""
    weights = 6 * np.eye(3)
    rows = [conv("six", "in0", "x", weights), "Split s 1 3 x a b c", "SDPA att 3 1 a b c out0 5=0"]
    made = make(tmp_path / "m", rows, [weights], WHITE)
    assert written_masks(tmp_path / "m") == {"six": FULL, "s": FULL, "att": FULL}
    reasons = {layer.layer: layer.reason for layer in made.kept}
    assert reasons["att"] == "basis: range; |x| up to 5.734e+06"
    assert reasons["s"] == "basis: range; |x| up to 5.734e+06 after it"
    masked, bare = run_with_and_without_masks(tmp_path / "m", WHITE[0])
    np.testing.assert_array_equal(masked, bare)


@pytest.mark.parametrize(
    ("params", "masks"),
    [("0=1 1=5 5=1", {"pool": ARITHMETIC}), ("0=0 1=5 5=1", {}), ("0=1 4=1", {})],
    ids=["average", "largest", "global"],
)
def test_an_average_is_masked_for_its_windows_sum(tmp_path, params, masks) -> None:
    """25 values of 4590 are 114750."""
    weights = 6 * ONES
    rows = [conv("six", "in0", "a", weights), f"Pooling pool 1 1 a out0 {params}"]
    make(tmp_path / "m", rows, [weights], WHITE)
    assert written_masks(tmp_path / "m") == masks


def test_a_layer_has_one_entry() -> None:
    kept = [KeptLayer(layer="a", precision="fp16", reason="asked for")]
    found = with_masks(kept, {"a": FeatureMask(ARITHMETIC, "a sum"), "b": FeatureMask(FULL, "|x|")})
    assert [(entry.layer, entry.precision) for entry in found] == [
        ("a", "fp16, f32 arithmetic"),
        ("b", "f32 arithmetic, storage"),
    ]
    assert found[0].reason.startswith("asked for; basis: range; a sum")


FIGURES = st.sampled_from([0.0, 1.0, LIMIT, LIMIT + 1, 1e6])


@st.composite
def nets(draw) -> tuple[list[Node], Ranges]:
    """Layers of one or two inputs each, all from before."""
    nodes = [Node("in0", "Input", (), ("in0",), {}, ())]
    for index in range(draw(st.integers(1, 12))):
        known = st.sampled_from([node.outputs[0] for node in nodes])
        inputs = tuple(draw(st.lists(known, min_size=1, max_size=2)))
        nodes.append(Node(f"n{index}", "Any", inputs, (f"b{index}",), {}, ()))
    peaks = {node.outputs[0]: draw(FIGURES) for node in nodes}
    return nodes, Ranges(peaks, {node.name: draw(FIGURES) for node in nodes[1:]})


@given(nets())
@settings(deadline=None)
def test_masks_are_needed_and_enough(net) -> None:
    nodes, ranges = net
    found = {name: mask.bits for name, mask in fp16_masks(nodes, ranges).items()}
    writer = {node.outputs[0]: node.name for node in nodes}
    needed: dict[str, bool] = {}
    for node in reversed(nodes[1:]):
        touches = any(ranges.peaks[blob] > LIMIT for blob in (*node.inputs, *node.outputs))
        readers = [other for other in nodes if node.outputs[0] in other.inputs]
        needed[node.name] = touches or any(needed[other.name] for other in readers)
        # storage is masked where a large blob is written or read, and before it, and nowhere else
        assert (found.get(node.name) == FULL) == needed[node.name]
        assert (found.get(node.name) == ARITHMETIC) == (
            not needed[node.name] and ranges.sums[node.name] > LIMIT
        )
        # what a layer without float16 storage reads comes in float32
        if found.get(node.name) == FULL:
            assert {found.get(writer[blob], FULL) for blob in node.inputs} == {FULL}
    assert "in0" not in found
