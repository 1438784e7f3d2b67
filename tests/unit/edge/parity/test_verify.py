"""Replay of a reference, by an ONNX network small enough to be computed by hand; artifacts of an earlier commit."""

import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edge.model import load
from edge.parity.auto import chosen_options, holds_in_half
from edge.parity.reference import make_reference, save_reference
from edge.parity.verify import (
    measure_session,
    px_limit,
    run_batches,
    verify,
    verify_against,
)
from runtimes.artifact import REFERENCE, Artifact
from runtimes.base import Effective, RunOptions
from runtimes.codec_spec import HeatmapCodec
from runtimes.errors import ArtifactError, InputError
from runtimes.fake import FakeSession
from runtimes.files import seal
from runtimes.parity_spec import PxParity, RawParity
from runtimes.registry import installed_engine
from runtimes.spec import (
    CropSpec,
    ImageSpec,
    KeypointsSpec,
    Lineage,
    Manifest,
    TensorSpec,
)

SIDE, STRIDE = 64, 4
# keypoint 0 is where it is blue, keypoint 1 where it is red
WEIGHTS = np.array([[1, 0, 0], [0, 0, 1]], np.float32) / 255
BLUE = "model.onnx"
OLD = Path(__file__).parents[3] / "data" / "artifact_f373529"


def spots(count: int) -> np.ndarray:
    """Black pictures with one blue and one red cell, uint8 BGR (count, 64, 64, 3)."""
    rng = np.random.default_rng(5)
    pictures = np.zeros((count, SIDE, SIDE, 3), np.uint8)
    for picture in pictures:
        for channel in (0, 2):
            x, y = rng.integers(0, SIDE // STRIDE, 2) * STRIDE
            picture[y : y + STRIDE, x : x + STRIDE, channel] = rng.integers(200, 256)
    return pictures


def heatmaps(pictures: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """What the network computes: the mean of each cell, weighted by channel."""
    cells = SIDE // STRIDE
    means = pictures.reshape(-1, cells, STRIDE, cells, STRIDE, 3).mean(axis=(2, 4))
    return np.einsum("byxc,kc->bkyx", means, weights).astype(np.float32)


def save_onnx(path: Path, weights: np.ndarray) -> None:
    onnx = pytest.importorskip("onnx")
    helper, kinds = onnx.helper, onnx.TensorProto
    kernel = np.repeat(weights.reshape(2, 3, 1), STRIDE**2, axis=2).reshape(2, 3, STRIDE, STRIDE)
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["real"], to=kinds.FLOAT),
            helper.make_node("Transpose", ["real"], ["x"], perm=[0, 3, 1, 2]),
            helper.make_node("Conv", ["x", "kernel"], ["heatmap"], strides=[STRIDE, STRIDE]),
        ],
        "spots",
        [helper.make_tensor_value_info("image", kinds.UINT8, ["N", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("heatmap", kinds.FLOAT, ["N", 2, 16, 16])],
        [onnx.numpy_helper.from_array((kernel / STRIDE**2).astype(np.float32), "kernel")],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)


def manifest(**changes: object) -> Manifest:
    shape = (-1, SIDE, SIDE, 3)
    plain = Manifest(
        model="spots",
        task="pose-topdown",
        runtime="onnxruntime",
        precision="fp32",
        inputs=(TensorSpec(name="image", dtype="uint8", shape=shape, layout="NHWC"),),
        outputs=(TensorSpec(name="heatmap", shape=(-1, 2, 16, 16)),),
        image=ImageSpec(wh=(SIDE, SIDE), order="BGR", embedded=True),
        crop=CropSpec(kind="stretch"),
        codec=HeatmapCodec(refine="none"),
        keypoints=KeypointsSpec(name="two", names=("blue", "red"), sigmas=(0.1, 0.1)),
        lineage=Lineage(weights="checkpoint"),
    )
    return msgspec.structs.replace(plain, **changes)


def build(root: Path, weights: np.ndarray = WEIGHTS, **changes: object) -> Artifact:
    """An artifact whose file has `weights` and whose reference is what WEIGHTS give."""
    pytest.importorskip("onnxruntime")
    root.mkdir()
    save_onnx(root / BLUE, weights)
    made = manifest(**changes)
    pictures = spots(12)
    outputs = {"heatmap": heatmaps(pictures, WEIGHTS)}
    save_reference(root / REFERENCE, make_reference(pictures, outputs, made, "by hand"))
    return seal(root, made)


def test_a_faithful_artifact_passes_in_pixels(tmp_path) -> None:
    verdict = verify(build(tmp_path / "art"), RunOptions())
    assert (verdict.basis, verdict.passed, verdict.limit) == ("px", True, 0.1)
    assert (verdict.px_max, verdict.oks_mean) == (0.0, 1.0)
    assert (verdict.decidable, verdict.samples) == (16, 8)
    assert verdict.raw_error is not None
    assert verdict.raw_error < 1e-6
    assert verdict.arithmetic == "f32"
    assert verdict.reference == "by hand"


@pytest.mark.parametrize(
    ("name", "basis"),
    [("spots-64x64.onnxruntime-fp32", "px"), ("vitpose-tiny-64x96.ncnn-fp32", "raw")],
)
def test_an_artifact_of_f373529_opens_and_verifies(name, basis) -> None:
    """Exported by that commit: its manifest holds the fields of all bases in each record."""
    artifact = Artifact.open(OLD / name)
    if installed_engine(artifact.manifest.runtime) is None:
        pytest.skip(f"{artifact.manifest.runtime} is not installed")
    (then,) = artifact.manifest.parity
    now = verify(artifact, RunOptions(threads=1))
    assert (now.basis, then.basis) == (basis, basis)
    assert (now.passed, now.limit, now.reference) == (True, then.limit, then.reference)
    assert (now.samples, now.decidable, now.keypoints) == (
        then.samples,
        then.decidable,
        then.keypoints,
    )
    assert now.raw_error is not None
    assert now.raw_error <= 1e-5


def test_it_still_passes_where_it_was_copied_to(tmp_path) -> None:
    build(tmp_path / "art")
    shutil.copytree(tmp_path / "art", tmp_path / "elsewhere" / "renamed")
    copied = Artifact.open(tmp_path / "elsewhere" / "renamed")
    assert verify(copied, RunOptions(threads=1)).passed is True


def test_swapped_channels_are_noticed(tmp_path) -> None:
    verdict = verify(build(tmp_path / "art", WEIGHTS[:, ::-1].copy()), RunOptions())
    assert verdict.passed is False
    assert verdict.px_p95 is not None
    assert verdict.px_p95 > STRIDE


def test_weights_changed_under_a_valid_seal_are_noticed(tmp_path) -> None:
    artifact = build(tmp_path / "art")
    path = artifact.root / BLUE
    data = path.read_bytes()
    blue = (WEIGHTS[0, 0] / STRIDE**2).astype("<f4").tobytes()
    assert data.count(blue) >= STRIDE**2
    path.write_bytes(data.replace(blue, np.float32(-1).tobytes()))
    with pytest.raises(ArtifactError, match="sha256"):
        Artifact.open(artifact.root)
    verdict = verify(seal(artifact.root, artifact.manifest), RunOptions())
    assert verdict.passed is False


def test_the_limit_it_was_exported_with_still_holds(tmp_path) -> None:
    lenient = PxParity(reference="by hand", passed=True, limit=float(2 * SIDE))
    art = build(tmp_path / "art", WEIGHTS[:, ::-1].copy(), parity=(lenient,))
    verdict = verify(art, RunOptions())
    assert (verdict.passed, verdict.limit) == (True, 2 * SIDE)


@pytest.mark.parametrize(
    ("file", "arithmetic", "error", "passed", "limit"),
    [
        ("fp32", "f32", 9e-4, True, 1e-3),
        ("fp32", "f32", 5e-3, False, 1e-3),
        ("fp32", "f16", 5e-3, True, 3e-2),
        ("fp32", "bf16", 5e-3, True, 3e-2),
        ("fp32", "f16", 4e-2, False, 3e-2),
        ("fp32", "f16", np.inf, False, 3e-2),
        ("fp16", "f32", 5e-3, True, 3e-2),
        ("int8", "f16", 4e-2, None, None),
    ],
)
def test_limits_follow_the_arithmetic_in_use_as_well_as_the_file(
    file, arithmetic, error, passed, limit
) -> None:
    """Maps of noise decide no keypoint, so that their values are compared: the largest is 1."""
    made = manifest(precision=file)
    maps = np.random.default_rng(1).uniform(0.95, 1, (3, 2, 16, 16)).astype(np.float32)
    maps[:, :, 0, 0] = 1
    reference = make_reference(spots(3), {"heatmap": maps}, made, "by hand")
    session = FakeSession([{"heatmap": maps + np.float32(error)}], Effective(1, arithmetic, "cpu"))
    verdict = measure_session(session, made, reference)
    assert isinstance(verdict, RawParity)
    assert (verdict.passed, verdict.limit, verdict.arithmetic) == (passed, limit, arithmetic)


@pytest.mark.parametrize(
    ("exported", "arithmetic", "limit"),
    [
        (0.1, "f32", 0.1),
        (0.1, "f16", 0.5),
        (0.1, "bf16", 0.5),
        (4.0, "f16", 4.0),
        (None, "f16", None),
    ],
)
def test_the_exports_pixel_limit_is_loosened_to_that_of_half(exported, arithmetic, limit) -> None:
    record = PxParity(reference="by hand", passed=True, limit=exported)
    assert px_limit(manifest(parity=(record,)), arithmetic) == limit


@pytest.mark.parametrize(
    ("arithmetic", "moved", "weights", "holds"),
    [
        ("f16", 0, "checkpoint", True),
        ("f16", 1, "checkpoint", False),
        ("f16", np.nan, "checkpoint", False),
        ("f32", 0, "checkpoint", False),
        ("bf16", 0, "checkpoint", False),
        ("f16", 0, "foreign", False),
    ],
)
def test_auto_takes_f16_where_it_is_computed_and_verifies(
    tmp_path, arithmetic, moved, weights, holds
) -> None:
    """Maps moved by a cell are 4 px off."""
    artifact = build(tmp_path / "art", lineage=Lineage(weights=weights))

    def answer(feeds):
        maps = heatmaps(feeds["image"], WEIGHTS)
        return {"heatmap": np.roll(maps, 1, axis=3) if moved == 1 else maps + np.float32(moved)}

    session = FakeSession(answer, Effective(1, arithmetic, "cpu"))
    assert holds_in_half(session, artifact) is holds


def test_auto_is_f32_on_an_engine_without_f16(tmp_path) -> None:
    """ONNX Runtime computes f32 on a CPU; the other options stay, and what is asked for by name is not tried."""
    artifact, asked = build(tmp_path / "art"), RunOptions(threads=2)
    assert chosen_options(artifact, asked, "auto") == asked
    assert chosen_options(artifact, asked, "bf16") == RunOptions(threads=2, precision="bf16")
    with load(artifact.root, threads=2, precision="auto") as model:
        assert model.session.effective.precision == "f32"


@pytest.mark.parametrize("weights", [WEIGHTS, WEIGHTS[:, ::-1].copy()])
def test_an_artifact_converted_by_others_is_measured_and_not_judged(tmp_path, weights) -> None:
    art = build(tmp_path / "art", weights, lineage=Lineage(weights="foreign"))
    verdict = verify(art, RunOptions())
    assert verdict.passed is None
    assert (verdict.px_max == 0) == (weights is WEIGHTS)


def test_without_its_reference_it_cannot_be_verified(tmp_path) -> None:
    artifact = build(tmp_path / "art")
    (artifact.root / REFERENCE).unlink()
    with pytest.raises(ArtifactError, match="export the artifact again"):
        verify(seal(artifact.root, artifact.manifest), RunOptions())


def test_two_artifacts_are_compared_on_the_images_of_the_second(tmp_path) -> None:
    one, same = build(tmp_path / "one"), build(tmp_path / "same")
    other = build(tmp_path / "other", WEIGHTS[:, ::-1].copy())
    agreed = verify_against(one, same, RunOptions())
    assert (agreed.passed, agreed.raw_error, agreed.reference) == (True, 0.0, "artifact same")
    assert verify_against(one, other, RunOptions()).passed is False


def test_outputs_are_paired_by_place_not_by_name(tmp_path) -> None:
    one = build(tmp_path / "one")
    renamed = TensorSpec(name="maps", engine_name="heatmap", shape=(-1, 2, 16, 16))
    other = build(tmp_path / "other")
    other = seal(other.root, msgspec.structs.replace(other.manifest, outputs=(renamed,)))
    assert verify_against(one, other, RunOptions()).passed is True


def test_artifacts_that_differ_in_meaning_are_not_compared(tmp_path) -> None:
    one = build(tmp_path / "one")
    names = KeypointsSpec(name="two", names=("red", "blue"))
    for index, change in enumerate(
        ({"codec": HeatmapCodec(refine="shift")}, {"keypoints": names}, {"classes": ("person",)})
    ):
        other = build(tmp_path / str(index), **change)
        with pytest.raises(InputError, match="like with like"):
            verify_against(one, other, RunOptions())


def test_batches_of_eight_are_joined_in_order() -> None:
    session = FakeSession(lambda feeds: {"sum": feeds["image"].sum(axis=(1, 2, 3))})
    pictures = spots(19)
    joined = run_batches(session, "image", pictures)["sum"]
    np.testing.assert_array_equal(joined, pictures.sum(axis=(1, 2, 3)))
    assert [len(feeds["image"]) for feeds in session.feeds] == [8, 8, 3]


def test_ragged_batches_are_padded_to_the_longest() -> None:
    def answer(rows: int, count: int) -> dict[str, np.ndarray]:
        dets = np.ones((rows, count, 5), np.float32)
        return {"dets": dets, "labels": np.full((rows, count), 3), "count": np.full(rows, count)}

    joined = run_batches(FakeSession([answer(8, 2), answer(4, 5)]), "image", spots(12))
    assert joined["dets"].shape == (12, 5, 5)
    assert joined["dets"][:8, 2:].max() == 0
    assert joined["dets"][8:].min() == 1
    assert set(joined["labels"][:8, 2:].ravel().tolist()) == {-1}
    assert joined["count"].tolist() == [2] * 8 + [5] * 4
