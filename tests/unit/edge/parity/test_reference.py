"""reference.npz: round trips, the bounds on its size, and damaged files."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from edge.parity.compare import compare
from edge.parity.raw_error import raw_error
from edge.parity.reference import (
    MAX_OUTPUT_BYTES,
    Reference,
    load_reference,
    make_reference,
    save_reference,
)
from edge.schema import load_schema
from edge.types import Detections
from runtimes.codec_spec import BoxesCodec, DenseCodec, HeatmapCodec
from runtimes.errors import ArtifactError
from runtimes.spec import (
    CropSpec,
    ImageSpec,
    ModelSpec,
    TensorSpec,
)

WIDTH, HEIGHT = 24, 32


def spec(codec: HeatmapCodec | BoxesCodec | DenseCodec, *outputs: str) -> ModelSpec:
    task = {HeatmapCodec: "pose-topdown", BoxesCodec: "detect", DenseCodec: "depth"}[type(codec)]
    return ModelSpec(
        model="tiny",
        task=task,
        inputs=(),
        outputs=tuple(TensorSpec(name=name) for name in outputs),
        image=ImageSpec(wh=(WIDTH, HEIGHT)),
        crop=CropSpec(kind="affine"),
        codec=codec,
        keypoints=load_schema("coco17").to_spec(),
    )


POSE = spec(HeatmapCodec(), "heatmap")
BOXES = spec(BoxesCodec(), "dets", "labels")


def poses(count: int, side: int = 16) -> Reference:
    rng = np.random.default_rng(count)
    pictures = rng.integers(0, 256, (count, HEIGHT, WIDTH, 3), dtype=np.uint8)
    maps = rng.normal(0, 1, (count, 17, side, side)).astype(np.float32)
    maps[:, ::2, side // 2, side // 2] = 20
    return make_reference(pictures, {"heatmap": maps}, POSE, "PyTorch float32")


def boxes() -> Reference:
    rng = np.random.default_rng(0)
    dets = rng.uniform(0, 20, (3, 6, 5)).astype(np.float32)
    dets[..., 4] = [[0.9, 0.8, 0.7, 0.6, 0.5, 0.4], [0.0] * 6, [0.9, 0.8, *[0.1] * 4]]
    outputs = {"dets": dets, "labels": rng.integers(0, 3, (3, 6))}
    pictures = np.zeros((3, HEIGHT, WIDTH, 3), np.uint8)
    return make_reference(pictures, outputs, BOXES, "PyTorch float32")


def reread(reference: Reference, folder: Path) -> Reference:
    path = folder / "reference.npz"
    save_reference(path, reference)
    return load_reference(path)


def test_poses_round_trip(tmp_path) -> None:
    made = poses(3)
    back = reread(made, tmp_path)
    assert back.label == made.label
    np.testing.assert_array_equal(back.images, made.images)
    np.testing.assert_array_equal(back.outputs["heatmap"], made.outputs["heatmap"])
    assert back.outputs["heatmap"].dtype == np.float32
    np.testing.assert_array_equal(back.decidable, made.decidable)
    for got, wanted in zip(back.poses, made.poses, strict=True):
        np.testing.assert_array_equal(got.xy, wanted.xy)
        np.testing.assert_array_equal(got.scores, wanted.scores)


def test_boxes_round_trip_image_by_image(tmp_path) -> None:
    made = boxes()
    back = reread(made, tmp_path)
    assert [len(item) for item in back.boxes] == [6, 0, 2]
    for got, wanted in zip(back.boxes, made.boxes, strict=True):
        assert isinstance(got, Detections)
        np.testing.assert_array_equal(got.boxes, wanted.boxes)
        np.testing.assert_array_equal(got.scores, wanted.scores)
        np.testing.assert_array_equal(got.labels, wanted.labels)
    assert back.decidable is None


def test_a_detector_without_any_box_round_trips(tmp_path) -> None:
    made = boxes()
    silent = make_reference(
        made.images, {**made.outputs, "dets": made.outputs["dets"] * 0}, BOXES, "silence"
    )
    assert [len(item) for item in reread(silent, tmp_path).boxes] == [0, 0, 0]


def test_dense_maps_round_trip_as_outputs(tmp_path) -> None:
    dense = spec(DenseCodec(), "heatmap")
    made = make_reference(poses(2).images, poses(2).outputs, dense, "PyTorch float32")
    verdict = compare(reread(made, tmp_path), made.outputs, dense, "fp32")
    assert (verdict.basis, verdict.passed, verdict.raw_error) == ("raw", True, 0.0)


def test_at_most_eight_are_kept(tmp_path) -> None:
    back = reread(poses(11), tmp_path)
    made = poses(11)
    assert len(back.images) == len(back.poses) == len(back.outputs["heatmap"]) == 8
    assert back.decidable is not None
    assert len(back.decidable) == 8
    np.testing.assert_array_equal(back.images, made.images[:8])


def test_large_outputs_become_a_sample_of_the_same_values_every_time(tmp_path) -> None:
    made = poses(8, side=96)  # 5.0 MB
    assert made.outputs["heatmap"].nbytes > MAX_OUTPUT_BYTES
    back = reread(made, tmp_path)
    kept = back.sample["heatmap"]
    assert back.outputs["heatmap"].nbytes == pytest.approx(MAX_OUTPUT_BYTES, rel=1e-3)
    np.testing.assert_array_equal(
        back.outputs["heatmap"], made.outputs["heatmap"].reshape(-1)[kept]
    )
    assert len(np.unique(kept)) == len(kept)
    assert kept.max() > 0.99 * made.outputs["heatmap"].size
    np.testing.assert_array_equal(reread(made, tmp_path).sample["heatmap"], kept)

    assert compare(back, made.outputs, POSE, "fp32").raw_error == 0.0
    wrong = made.outputs["heatmap"].copy()
    wrong.reshape(-1)[kept[1000]] += 10
    assert raw_error(back, {"heatmap": wrong}) == pytest.approx(10 / 20)
    assert back.poses[0].xy.shape == (1, 17, 2)  # decoded results are kept whole


def test_a_sample_that_was_read_is_written_again_whole(tmp_path) -> None:
    """As int8 does with its parent's reference."""
    once = reread(poses(8, side=96), tmp_path)
    twice = reread(once, tmp_path)
    np.testing.assert_array_equal(twice.outputs["heatmap"], once.outputs["heatmap"])
    np.testing.assert_array_equal(twice.sample["heatmap"], once.sample["heatmap"])
    assert compare(twice, poses(8, side=96).outputs, POSE, "fp32").raw_error == 0.0


def test_python_objects_are_not_read(tmp_path) -> None:
    path = tmp_path / "reference.npz"
    np.savez(path, images=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ArtifactError, match="allow_pickle"):
        load_reference(path)


def test_what_is_no_archive_is_an_artifact_error(tmp_path) -> None:
    path = tmp_path / "reference.npz"
    with pytest.raises(ArtifactError, match="export the artifact again"):
        load_reference(path)
    for content in (b"", b"PK", b"\x93NUMPY\x01\x00"):
        path.write_bytes(content)
        with pytest.raises(ArtifactError, match="export the artifact again"):
            load_reference(path)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ArtifactError):
        load_reference(path)


@pytest.mark.parametrize("missing", ["images", "count", "label", "scores"])
def test_a_missing_array_is_an_artifact_error(tmp_path, missing) -> None:
    path = tmp_path / "reference.npz"
    save_reference(path, poses(2))
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files if name != missing}
    np.savez(path, **arrays)
    with pytest.raises(ArtifactError, match=missing):
        load_reference(path)


def test_damage_anywhere_is_an_artifact_error_or_harmless(tmp_path) -> None:
    path = tmp_path / "reference.npz"
    save_reference(path, boxes())
    sound = path.read_bytes()
    rng = np.random.default_rng(1)
    refused = 0
    for place in rng.integers(0, len(sound), 200):
        damaged = bytearray(sound)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged if place % 3 else sound[:place])
        try:
            load_reference(path)
        except ArtifactError:
            refused += 1
    assert refused > 100  # bits of dates and attributes do no harm
    path.write_bytes(sound)
    with zipfile.ZipFile(path) as archive:
        assert "images.npy" in archive.namelist()


@pytest.mark.parametrize(
    "wrong",
    [
        {"count": np.array([b"a", b"b", b"c"])},
        {"count": np.array([1, 1, 1], "datetime64[s]")},
        {"count": np.array([1.0, 1.0, 1.0])},
        {"count": np.array([1, 1])},
        {"count": np.array([-1, 2, 2])},
        {"count": np.array([1, 1, 9])},
        {"count": np.array(3)},
        {"images": np.zeros((3, HEIGHT, WIDTH, 3), np.float32)},
        {"images": np.zeros((HEIGHT, WIDTH, 3), np.uint8)},
        {"output.heatmap": np.array(["a"])},
        {"sample.heatmap": np.array([0.5])},
        {"xy": np.zeros((3, 17), np.float32)},
        {"scores": np.zeros((2, 17), np.float32)},
        {"decidable": np.zeros((3, 17), np.float32)},
        {"label": np.array([1, 2])},
    ],
)
def test_an_array_of_another_kind_is_an_artifact_error(tmp_path, wrong) -> None:
    path = tmp_path / "reference.npz"
    save_reference(path, poses(3))
    with np.load(path) as archive:
        arrays = {**archive, **wrong}
    np.savez(path, **arrays)
    with pytest.raises(ArtifactError, match=r"reference\.npz: not a reference file"):
        load_reference(path)


def test_an_array_that_claims_terabytes(tmp_path) -> None:
    path = tmp_path / "reference.npz"
    save_reference(path, poses(1))
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }"
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("output.large.npy", data)
    with pytest.raises(ArtifactError, match="not a reference file"):
        load_reference(path)


def test_a_small_archive_that_holds_gigabytes(tmp_path) -> None:
    path = tmp_path / "reference.npz"
    save_reference(path, poses(1))
    data = bytearray(path.read_bytes())
    entry = data.index(
        b"PK\x01\x02"
    )  # the first record of the directory; its size in the archive, unpacked
    data[entry + 24 : entry + 28] = (3 << 30).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match="more than any reference"):
        load_reference(path)
