"""Bundled weights: every file is listed, complete and described by its card, and works on drawn people."""

import msgspec
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors import safe_open  # noqa: E402

from edge.model import Model  # noqa: E402
from edge.nms.overlap import pairwise_iou  # noqa: E402
from edge.synth import draw_scene  # noqa: E402
from export.bundled import BUNDLED, WEIGHTS, bundled_for, require_bundled  # noqa: E402
from export.checkpoint import load_checkpoint  # noqa: E402
from export.student_file import CARD  # noqa: E402
from export.torch_session import TorchSession  # noqa: E402
from runtimes.errors import InputError, MissingFilesError  # noqa: E402

MOST_BYTES = 8_000_000
# Scenes that no training drew: `benchmarks/train_detector.py` draws its seeds below 2^31.
FIRST_SEED, SCENES = 2**31, 12


def test_files_and_entries_are_the_same() -> None:
    assert {each.file for each in BUNDLED.values()} == {path.name for path in WEIGHTS.iterdir()}


@pytest.mark.parametrize("name", BUNDLED)
def test_a_file_is_small_in_halves_and_says_what_it_is(name) -> None:
    entry = BUNDLED[name]
    assert entry.path.stat().st_size <= MOST_BYTES
    with safe_open(entry.path, "pt") as opened:
        kinds = {opened.get_tensor(key).dtype for key in opened.keys()}  # noqa: SIM118 no mapping
        card = msgspec.json.decode(opened.metadata()[CARD])
    assert kinds <= {torch.float16, torch.int64}
    assert card["model"] == name
    assert card["licences"] == [entry.licence] == ["Apache-2.0"]
    assert "drawn" in card["method"]
    assert card.get("teacher", "") == ""  # no terms but ours bind it


@pytest.mark.parametrize("name", BUNDLED)
def test_it_loads_like_any_checkpoint_in_float32(name) -> None:
    entry = BUNDLED[name]
    loaded = load_checkpoint(entry.path)
    floats = [value for value in loaded.module.state_dict().values() if value.is_floating_point()]
    assert {value.dtype for value in floats} == {torch.float32}
    assert (loaded.spec.model, loaded.spec.task) == (name, entry.task)
    assert (loaded.lineage.weights, loaded.lineage.commercial_use) == ("checkpoint", True)
    assert loaded.lineage.trained_on == "drawn"


def test_the_detector_finds_drawn_people() -> None:
    """Nine of ten of those who show 1000 pixels or more, in scenes that it never saw."""
    loaded = load_checkpoint(BUNDLED["rtmdet-nano-drawn"].path)
    model = Model(loaded.spec, TorchSession(loaded.module, loaded.spec)).with_threshold(0.3)
    people = found = 0
    for seed in range(FIRST_SEED, FIRST_SEED + SCENES):
        scene = draw_scene(seed)
        truth = np.stack([person.box for person in scene.people])
        overlap = pairwise_iou(truth, model.detect(scene.image).boxes)
        large = np.array([person.area >= 1000 for person in scene.people])
        people += int(large.sum())
        found += int((overlap.max(axis=1, initial=0)[large] >= 0.5).sum())
    assert found >= 0.9 * people


def test_the_pose_student_places_drawn_keypoints() -> None:
    """Nine of ten visible ones within a fifth of the box's longer side, in scenes that it never saw."""
    loaded = load_checkpoint(BUNDLED["rtmpose-t-drawn"].path)
    model = Model(loaded.spec, TorchSession(loaded.module, loaded.spec))
    near = []
    for seed in range(FIRST_SEED, FIRST_SEED + SCENES):
        scene = draw_scene(seed)
        people = [person for person in scene.people if person.area >= 1000]
        truth = np.stack([person.keypoints for person in people])
        boxes = np.stack([person.box for person in people])
        sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True)
        away = np.linalg.norm(model.poses(scene.image, boxes).xy - truth[..., :2], axis=-1) / sides
        near += (away <= 0.2)[truth[..., 2] == 2].tolist()
    assert np.mean(near) >= 0.9


def test_a_task_without_weights_has_none() -> None:
    first = bundled_for("detect")
    assert first is not None
    assert first.task == "detect"
    assert bundled_for("depth") is None


def test_a_folder_without_the_files_is_refused_by_name(tmp_path) -> None:
    assert require_bundled(None) == WEIGHTS
    with pytest.raises(InputError, match=r"rtmdet-nano-drawn\.safetensors"):
        require_bundled(tmp_path)


def test_an_installed_wheel_says_what_to_add(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("export.bundled.WEIGHTS", tmp_path / "absent")
    with pytest.raises(MissingFilesError, match="--weights DIR") as caught:
        require_bundled(None)
    assert caught.value.exit_code == 4
