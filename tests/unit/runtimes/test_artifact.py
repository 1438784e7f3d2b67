"""Reading an artifact: nothing that was changed, truncated or forged reaches an engine."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from runtimes.artifact import Artifact, sha256_of
from runtimes.errors import ArtifactError
from runtimes.files import seal
from runtimes.spec import (
    Manifest,
)

WEIGHTS = b"weights, several bytes of them"


@pytest.fixture
def root(manifest: Manifest, tmp_path: Path) -> Path:
    folder = tmp_path / "tiny-6x8.onnxruntime-fp32"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(WEIGHTS)
    seal(folder, manifest)
    return folder


def rewrite(root: Path, change: Callable[[dict], object]) -> None:
    path = root / "artifact.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def refused(root: Path, words: str) -> None:
    with pytest.raises(ArtifactError, match=words) as caught:
        Artifact.open(root)
    assert root.name in str(caught.value)


def test_a_sealed_artifact_opens(root) -> None:
    artifact = Artifact.open(root)
    assert artifact.name == "tiny-6x8.onnxruntime-fp32"
    assert artifact.file(".onnx").read_bytes() == WEIGHTS
    assert artifact.manifest.image.wh == (6, 8)
    with pytest.raises(ArtifactError, match="tflite"):
        artifact.file(".tflite")


def test_sha256_is_the_published_one(tmp_path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    wanted = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of(tmp_path / "abc") == wanted


def test_nothing_there(tmp_path) -> None:
    refused(tmp_path / "absent", "no artifact there")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "not an artifact")


def test_a_truncated_file(root) -> None:
    (root / "model.onnx").write_bytes(WEIGHTS[:-1])
    refused(root, "truncated")


def test_a_changed_byte(root) -> None:
    (root / "model.onnx").write_bytes(WEIGHTS[:-1] + b"!")
    refused(root, "sha256")


def test_a_missing_file(root) -> None:
    (root / "model.onnx").unlink()
    refused(root, "missing")


def test_a_link_is_no_file(root, tmp_path) -> None:
    (tmp_path / "elsewhere").write_bytes(WEIGHTS)
    (root / "model.onnx").unlink()
    (root / "model.onnx").symlink_to(tmp_path / "elsewhere")
    refused(root, r"model\.onnx is a symbolic link, .* copy what it points to")
    (root / "model.onnx").unlink()
    (root / "model.onnx").mkdir()
    refused(root, "model.onnx is a directory")


@pytest.mark.parametrize(
    "name", ["../model.onnx", "/etc/hostname", "sub/model.onnx", "", ".", ".."]
)
def test_a_path_is_a_bare_name(root, name) -> None:
    (root.parent / "model.onnx").write_bytes(WEIGHTS)
    rewrite(root, lambda data: data["files"][0].update(path=name))
    refused(root, "bare file name")


def test_a_newer_format(root) -> None:
    rewrite(root, lambda data: data.update(format=2, novelty=True))
    refused(root, "pip install -U edgepose")


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.update(novelty=True),
        lambda data: data["image"].update(novelty=True),
        lambda data: data["files"][0].update(novelty=True),
        lambda data: data.pop("model"),
        lambda data: data.pop("format"),
        lambda data: data.update(runtime="abacus"),
        lambda data: data["codec"].update(kind="abacus"),
        lambda data: data["image"].update(wh=[6]),
    ],
)
def test_a_manifest_is_read_strictly(root, change) -> None:
    rewrite(root, change)
    refused(root, "not a valid manifest")


def test_a_cut_manifest(root) -> None:
    path = root / "artifact.json"
    path.write_bytes(path.read_bytes()[:-20])
    refused(root, "not a valid manifest")
