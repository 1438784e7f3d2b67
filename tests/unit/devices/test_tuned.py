"""tuned.json: kept beside the engine's files, found again on this device, ignored on another."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

import edge
from devices.detect import detect_machine
from devices.tuned import (
    TUNED,
    Tuned,
    TunedFile,
    TunedPeople,
    artifact_sha256,
    device_key,
    load_tuned,
    save_tuned,
)
from runtimes.artifact import Artifact
from runtimes.base import RunOptions
from runtimes.errors import ArtifactError, InputError

OLD = Path(__file__).parents[2] / "data" / "artifact_f373529" / "manifests" / "tuned.json"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of this test's own."""
    monkeypatch.setenv("EDGEPOSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def artifact(small_artifact, tmp_path) -> Artifact:
    return small_artifact(tmp_path / "a")


def tuned(artifact: Artifact, **fields: object) -> Tuned:
    plain: dict[str, object] = {
        "artifact_sha256": artifact_sha256(artifact),
        "device": device_key(artifact),
        "threads": 2,
        "precision": "bf16",
        "accelerator": "cpu",
        "p50_ms": 1.0,
        "plain_p50_ms": 2.0,
        "valid": True,
        "date": "2026-01-01T00:00:00+00:00",
    }
    return Tuned(**{**plain, **fields})


def test_what_is_kept_is_found_again(artifact) -> None:
    assert load_tuned(artifact) is None
    path = save_tuned(artifact, tuned(artifact))
    assert path == artifact.root / TUNED
    assert load_tuned(artifact.root) == RunOptions(threads=2, precision="bf16")
    assert edge.load_tuned(artifact) == load_tuned(artifact)


def test_a_file_of_f373529_is_read(artifact) -> None:
    """Its parity records hold the fields of all bases."""
    entry = json.loads(OLD.read_text())["entries"][0]
    assert {"px_p95", "ap"} <= set(entry["parity"])
    here = {
        "device": msgspec.to_builtins(device_key(artifact)),
        "artifact_sha256": artifact_sha256(artifact),
    }
    (artifact.root / TUNED).write_text(json.dumps({"entries": [entry | here], "format": 1}))
    assert load_tuned(artifact) == RunOptions(threads=entry["threads"], precision="f32")


def test_the_artifact_still_opens_and_its_hash_stays(artifact) -> None:
    before = artifact_sha256(artifact)
    save_tuned(artifact, tuned(artifact))
    assert artifact_sha256(Artifact.open(artifact.root)) == before


def test_loading_does_not_take_tuned_options_by_itself(artifact) -> None:
    save_tuned(artifact, tuned(artifact))
    with edge.load(artifact.root, threads=1) as model:
        assert model.session.effective.threads == 1


@pytest.mark.parametrize(
    "other", [{"cpu_model": "another"}, {"arch": "riscv64"}, {"cores": 99}, {"engine": "other 1"}]
)
def test_another_device_is_ignored_and_keeps_its_entry(artifact, other) -> None:
    foreign = tuned(artifact, device=msgspec.structs.replace(device_key(artifact), **other))
    save_tuned(artifact, foreign)
    assert load_tuned(artifact) is None
    save_tuned(artifact, tuned(artifact, threads=1))
    found = msgspec.json.decode((artifact.root / TUNED).read_bytes(), type=TunedFile)
    assert [entry.threads for entry in found.entries] == [2, 1]
    assert load_tuned(artifact) == RunOptions(threads=1, precision="bf16")


def test_the_device_is_this_machine_as_far_as_it_may_be_used(artifact) -> None:
    key = device_key(
        artifact, msgspec.structs.replace(detect_machine(), cpu_model="x", allowed_cores=3)
    )
    assert (key.cpu_model, key.cores) == ("x", 3)
    assert key.engine.startswith("onnxruntime ")


def test_tuning_again_replaces_this_devices_entry(artifact) -> None:
    save_tuned(artifact, tuned(artifact))
    save_tuned(artifact, tuned(artifact, threads=1, precision="f32"))
    assert load_tuned(artifact) == RunOptions(threads=1)


def test_another_artifact_of_the_same_name_has_nothing_tuned(
    small_artifact, artifact, tmp_path
) -> None:
    other = small_artifact(tmp_path / "b", model="other")
    path = save_tuned(artifact, tuned(artifact))
    (other.root / TUNED).write_bytes(path.read_bytes())
    assert load_tuned(other) is None


def test_where_the_folder_cannot_be_written_the_cache_is_used(artifact, cache) -> None:
    # a folder in the file's place: not writable, even for root
    (artifact.root / TUNED).mkdir()
    path = save_tuned(artifact, tuned(artifact))
    assert path.parent == cache / "tuned"
    assert load_tuned(artifact) == RunOptions(threads=2, precision="bf16")


@pytest.mark.parametrize("text", ["{", '{"entries": 3}', '{"entries": [], "format": 9}', "\xff"])
def test_a_file_that_is_none_is_named(artifact, text) -> None:
    (artifact.root / TUNED).write_text(text, "latin-1")
    with pytest.raises(InputError, match="delete it"):
        load_tuned(artifact)


def test_no_artifact_is_no_artifact(tmp_path) -> None:
    with pytest.raises(ArtifactError):
        load_tuned(tmp_path / "gone")


def test_the_choice_for_several_people_is_loaded(artifact) -> None:
    people = TunedPeople(
        requests=2, people=4, tried=2, batch_ms=9.0, requests_ms=6.0, ratio=6.0 / 9.0
    )
    save_tuned(artifact, tuned(artifact, people=people, precision="f32"))
    assert load_tuned(artifact) == RunOptions(threads=2, requests=2)
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    boxes = [[5, 5, 40, 50], [20, 10, 60, 55], [30, 0, 79, 59]]
    with edge.load(artifact.root, tuned=True) as fast, edge.load(artifact.root) as plain:
        np.testing.assert_allclose(
            fast.poses(image, boxes).xy, plain.poses(image, boxes).xy, rtol=0, atol=1e-3
        )
    with pytest.raises(InputError, match="leave those out"):
        edge.load(artifact.root, tuned=True, requests=1)
    with pytest.raises(InputError, match="leave those out"):
        edge.load(artifact.root, tuned=True, precision="auto")
