"""Artifacts in the cache, found by name: which of several is taken, and what is said where there is none."""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from runtimes.artifact import Artifact
from runtimes.cache import names
from runtimes.cache.names import artifacts_dir, find, latest, list_cache, locate
from runtimes.errors import ArtifactError, MissingDependencyError
from runtimes.files import seal
from runtimes.spec import Manifest

Put = Callable[..., Path]


@pytest.fixture
def put(manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Put:
    """Put an artifact into an empty cache on an x86 machine with all engines; `at_s`: when it came."""
    monkeypatch.setenv("EDGEPOSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(names, "installed_engine", lambda runtime: runtime)

    def make(model: str, runtime: str, precision: str = "fp32", *, at_s: int = 0) -> Path:
        root = artifacts_dir() / f"{model}-6x8.{runtime}-{precision}"
        root.mkdir(parents=True)
        made = msgspec.structs.replace(manifest, model=model, runtime=runtime, precision=precision)
        seal(root, made)
        os.utime(root / "artifact.json", (at_s, at_s))
        return root

    return make


def test_a_directory_that_exists_wins(put, tmp_path, monkeypatch) -> None:
    put("rtmpose-s", "ncnn")
    monkeypatch.chdir(tmp_path)
    Path("rtmpose-s").mkdir()
    assert locate("rtmpose-s") == Path("rtmpose-s")


def test_names_are_the_model_with_and_without_size_and_the_directory(put) -> None:
    root = put("rtmpose-s", "ncnn")
    put("rtmpose-s-wide", "ncnn")
    for name in ("rtmpose-s", "rtmpose-s-6x8", "rtmpose-s-6x8.ncnn-fp32", Path("rtmpose-s")):
        assert locate(name) == root
    assert find("rtmpose") is None


@pytest.mark.parametrize(
    ("machine", "runtime"), [("x86_64", "openvino"), ("aarch64", "ncnn"), ("armv7l", "ncnn")]
)
def test_of_several_runtimes_the_machine_decides(put, monkeypatch, machine, runtime) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    for each in ("tflite", "ncnn", "openvino", "onnxruntime"):
        put("rtmpose-s", each)
    assert locate("rtmpose-s").name == f"rtmpose-s-6x8.{runtime}-fp32"


def test_only_installed_engines_count_and_the_most_precise_file_is_taken(put, monkeypatch) -> None:
    put("rtmpose-s", "openvino")
    for precision in ("int8", "fp16", "fp32"):
        put("rtmpose-s", "tflite", precision)
    monkeypatch.setattr(
        names, "installed_engine", lambda runtime: runtime if runtime == "tflite" else None
    )
    assert locate("rtmpose-s").name == "rtmpose-s-6x8.tflite-fp32"
    # who names the directory gets it, and the engine's own message
    assert locate("rtmpose-s-6x8.openvino-fp32").name == "rtmpose-s-6x8.openvino-fp32"


def test_without_any_engine_the_message_has_the_install_command(put, monkeypatch) -> None:
    put("rtmpose-s", "ncnn")
    monkeypatch.setattr(names, "installed_engine", lambda _: None)
    for call in (lambda: locate("rtmpose-s"), lambda: latest(lambda _: True)):
        with pytest.raises(MissingDependencyError, match=r"edgepose\[ncnn\]"):
            call()


def test_what_is_nowhere_is_said_and_a_path_is_left_alone(put) -> None:
    put("rtmpose-s", "ncnn")
    with pytest.raises(ArtifactError, match=r"rtmpose-m: no artifact there.*edgepose get"):
        Artifact.open(locate("rtmpose-m"))
    with pytest.raises(ArtifactError, match="no artifact there"):
        find("a" * 300)
    assert locate("some/where") == Path("some/where")


def test_the_last_that_came_is_the_latest_and_its_best_artifact_is_taken(put) -> None:
    put("old", "openvino", at_s=1)
    put("new", "openvino", at_s=2)
    put("new", "tflite", at_s=3)
    put("other", "openvino", at_s=4)
    found = latest(lambda manifest: manifest.model != "other")
    assert found is not None
    assert found.path.name == "new-6x8.openvino-fp32"
    assert latest(lambda _: False) is None


def test_listing_is_newest_first_and_damage_is_an_error_of_its_own(put) -> None:
    first, second = put("a", "ncnn", at_s=1), put("b", "ncnn", at_s=2)
    (artifacts_dir() / "broken").mkdir()
    (artifacts_dir() / ".edgepose-staging").mkdir()
    (artifacts_dir() / "file").write_text("")
    cached, errors = list_cache()
    assert [each.path for each in cached] == [second, first]
    assert len(errors) == 1
    assert "broken" in str(errors[0])


def test_an_absent_cache_is_empty(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("EDGEPOSE_CACHE", str(tmp_path / "none"))
    assert list_cache() == ([], [])
    assert not (tmp_path / "none").exists()
