"""Writing an artifact: all of it, or nothing that opens."""

from pathlib import Path

import pytest

from runtimes.artifact import Artifact
from runtimes.codec_spec import HeatmapCodec
from runtimes.errors import InputError, TargetExistsError
from runtimes.files import publish, refuse_existing, seal, staging
from runtimes.spec import (
    CropSpec,
    ImageSpec,
    Lineage,
    Manifest,
    TensorSpec,
)

MANIFEST = Manifest(
    model="tiny",
    task="pose-topdown",
    runtime="tflite",
    precision="fp32",
    inputs=(TensorSpec(name="image"),),
    outputs=(TensorSpec(name="heatmap"),),
    image=ImageSpec(wh=(6, 8)),
    crop=CropSpec(kind="affine"),
    codec=HeatmapCodec(),
    lineage=Lineage(weights="random"),
)


def write(parent: Path, target: Path, content: bytes, *, force: bool = False) -> Artifact:
    with staging(parent) as staged:
        (staged / "model.tflite").write_bytes(content)
        return publish(seal(staged, MANIFEST), target, force=force)


def test_what_is_published_opens(tmp_path) -> None:
    target = tmp_path / "out" / "tiny"
    artifact = write(tmp_path / "out", target, b"one")
    assert artifact == Artifact.open(target)
    assert [(record.path, record.bytes) for record in artifact.manifest.files] == [
        ("model.tflite", 3)
    ]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["tiny"]


def test_an_interruption_leaves_nothing(tmp_path) -> None:
    def interrupted(step: int) -> None:
        with staging(tmp_path) as staged:
            (staged / "model.tflite").write_bytes(b"one")
            if step:
                seal(staged, MANIFEST)
            raise KeyboardInterrupt

    for step in (0, 1):
        with pytest.raises(KeyboardInterrupt):
            interrupted(step)
        assert list(tmp_path.iterdir()) == []


def test_an_unsealed_directory_does_not_open(tmp_path) -> None:
    with staging(tmp_path) as staged:
        (staged / "model.tflite").write_bytes(b"one")
        with pytest.raises(InputError):
            Artifact.open(staged)


def test_a_target_is_replaced_only_by_force(tmp_path) -> None:
    target = tmp_path / "tiny"
    write(tmp_path, target, b"one")
    with pytest.raises(TargetExistsError, match="--force"):
        refuse_existing(target, force=False)
    with pytest.raises(TargetExistsError, match="--force"):
        write(tmp_path, target, b"two")
    assert Artifact.open(target).file(".tflite").read_bytes() == b"one"
    write(tmp_path, target, b"three", force=True)
    assert Artifact.open(target).file(".tflite").read_bytes() == b"three"
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_a_parent_that_cannot_be_made(tmp_path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="--out"), staging(tmp_path / "file" / "below"):
        pass


def test_sealing_again_keeps_no_stale_record(tmp_path) -> None:
    with staging(tmp_path) as staged:
        (staged / "model.tflite").write_bytes(b"one")
        first = seal(staged, MANIFEST)
        (staged / "model.tflite").write_bytes(b"other")
        second = seal(staged, first.manifest)
        assert [record.bytes for record in second.manifest.files] == [5]
        assert Artifact.open(staged) == second
