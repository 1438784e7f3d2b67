"""Git LFS pointers given as checkpoints and converted models."""

from pathlib import Path

import pytest

from export.engine_files import engine_files
from export.weights import read_weights
from runtimes.errors import CheckpointError, InputError

# https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'4d' * 32}\nsize 12345\n"
SAID = "a Git LFS pointer, not the file; run: git lfs pull"


@pytest.mark.parametrize("name", ["model.pth", "model.pt", "model.safetensors"])
def test_a_checkpoint(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(POINTER)
    with pytest.raises(CheckpointError, match=f"{name}: {SAID}"):
        read_weights(path)


@pytest.mark.parametrize("name", ["model.onnx", "model.tflite", "model.xml", "model.param"])
def test_a_converted_model(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(POINTER)
    with pytest.raises(InputError, match=f"{name}: {SAID}"):
        engine_files([path])


def test_the_weights_beside_a_graph(tmp_path: Path) -> None:
    (tmp_path / "model.param").write_text("7767517\n")
    (tmp_path / "model.bin").write_text(POINTER)
    with pytest.raises(InputError, match=f"model.bin: {SAID}"):
        engine_files([tmp_path / "model.param"])
