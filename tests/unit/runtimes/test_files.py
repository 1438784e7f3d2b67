"""Files and artifact directories are written whole or not at all."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from runtimes.artifact import Artifact
from runtimes.errors import InputError, TargetExistsError
from runtimes.files import atomic_file, publish, refuse_existing, seal
from runtimes.spec import Manifest
from runtimes.staging import staging


def test_a_file_appears_when_the_block_ends(tmp_path) -> None:
    path = tmp_path / "a.bin"
    with atomic_file(path) as stream:
        stream.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("before", [None, b"old"])
def test_an_earlier_file_stays_when_writing_fails(tmp_path, before) -> None:
    path = tmp_path / "a.bin"
    if before is not None:
        path.write_bytes(before)

    def fail() -> None:
        with atomic_file(path) as stream:
            stream.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert (path.read_bytes() if path.exists() else None) == before
    assert [each.name for each in tmp_path.iterdir()] == ([] if before is None else ["a.bin"])


def test_a_folder_that_is_missing_is_an_oserror(tmp_path) -> None:
    with pytest.raises(OSError, match="No such file"), atomic_file(tmp_path / "no" / "a.bin"):
        pass


@pytest.fixture
def write(manifest: Manifest) -> Callable[..., Artifact]:
    """Write an artifact of one file through a staging directory in `parent`."""

    def write(parent: Path, target: Path, content: bytes, *, force: bool = False) -> Artifact:
        with staging(parent) as staged:
            (staged / "model.onnx").write_bytes(content)
            return publish(seal(staged, manifest), target, force=force)

    return write


def test_a_published_artifact_opens(write, tmp_path) -> None:
    target = tmp_path / "out" / "tiny"
    artifact = write(tmp_path / "out", target, b"one")
    assert artifact == Artifact.open(target)
    assert [(record.path, record.bytes) for record in artifact.manifest.files] == [
        ("model.onnx", 3)
    ]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["tiny"]


def test_an_interruption_leaves_nothing(manifest, tmp_path) -> None:
    def interrupted(step: int) -> None:
        with staging(tmp_path) as staged:
            (staged / "model.onnx").write_bytes(b"one")
            if step:
                seal(staged, manifest)
            raise KeyboardInterrupt

    for step in (0, 1):
        with pytest.raises(KeyboardInterrupt):
            interrupted(step)
        assert list(tmp_path.iterdir()) == []


def test_an_unsealed_directory_does_not_open(tmp_path) -> None:
    with staging(tmp_path) as staged:
        (staged / "model.onnx").write_bytes(b"one")
        with pytest.raises(InputError):
            Artifact.open(staged)


def test_a_target_is_replaced_only_by_force(write, tmp_path) -> None:
    target = tmp_path / "tiny"
    write(tmp_path, target, b"one")
    with pytest.raises(TargetExistsError, match="--force"):
        refuse_existing(target, force=False)
    with pytest.raises(TargetExistsError, match="--force"):
        write(tmp_path, target, b"two")
    assert Artifact.open(target).file(".onnx").read_bytes() == b"one"
    write(tmp_path, target, b"three", force=True)
    assert Artifact.open(target).file(".onnx").read_bytes() == b"three"
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_a_parent_that_cannot_be_made(tmp_path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="--out"), staging(tmp_path / "file" / "below"):
        pass


def test_sealing_again_keeps_no_stale_record(manifest, tmp_path) -> None:
    with staging(tmp_path) as staged:
        (staged / "model.onnx").write_bytes(b"one")
        first = seal(staged, manifest)
        (staged / "model.onnx").write_bytes(b"other")
        second = seal(staged, first.manifest)
        assert [record.bytes for record in second.manifest.files] == [5]
        assert Artifact.open(staged) == second
