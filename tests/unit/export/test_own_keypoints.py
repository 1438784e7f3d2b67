"""Checkpoints of any number of keypoints: whose names they get, in every pose family."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from edge.schema import KeypointSchema, load_schema, numbered_schema
from export.checkpoint import load_checkpoint
from export.dataset_meta import DatasetMeta
from export.keypoints import keypoints_of_file
from export.random_weights import random_variant
from export.registry import Variant, load_family
from export.student_file import Card, write_student
from runtimes.errors import CheckpointError

GATE = KeypointSchema("gate", ("a", "left_b", "right_b"), ((0, 1),), ((1, 2),), (0.1, 0.2, 0.2))
PIG = tuple(f"pig_{index}" for index in range(17))
# Of every pose family with any number of keypoints, a network that is small or the smallest.
FAMILIES = {
    "rtmpose": ("160x1x1x1x1", (64, 64)),
    "cspnext": ("160x1x1x1x1-fpn", (192, 256)),
    "vitpose": ("48x1x3-simple", (96, 128)),
    "sapiens": ("192x1x3-head8", (96, 128)),
    "fastpose": ("res50", (192, 256)),
}


def network(family: str, schema: Any, wh: tuple[int, int] | None = None) -> torch.nn.Module:
    size, own_wh = FAMILIES[family]
    torch.manual_seed(0)
    module: torch.nn.Module = load_family(family).build(
        Variant(family, size, wh or own_wh, schema=schema)
    )
    return module


@pytest.fixture(scope="module")
def seventeen() -> dict[str, torch.Tensor]:
    return dict(network("rtmpose", "coco17").state_dict())


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    def save(state: Any, described: Any = None) -> Path:
        path = tmp_path / "model.pth"
        meta = {} if described is None else {"meta": {"dataset_meta": described}}
        torch.save(meta | {"state_dict": dict(state)}, path)
        return path

    return save


@pytest.mark.parametrize("family", FAMILIES)
def test_any_number_of_keypoints_in_every_family(family: str, saved: Callable[..., Path]) -> None:
    module = network(family, GATE).eval()
    path = saved(module.state_dict())
    heads = {"heads": 3} if family in {"vitpose", "sapiens"} else {}
    loaded = load_checkpoint(path, **heads)
    assert loaded.spec.keypoints == numbered_schema(3).to_spec()
    assert loaded.spec.keypoints.names == ("kp0", "kp1", "kp2")
    (note,) = loaded.notes
    assert "does not name its 3 keypoints; kp0 ... kp2 without flip pairs: give --keypoints" in note
    asked = load_checkpoint(path, keypoints=GATE, **heads)
    assert asked.spec.keypoints == GATE.to_spec()
    assert asked.notes == ()
    assert "gate" in asked.spec.model
    width, height = FAMILIES[family][1]
    image = torch.randn(1, 3, height, width)
    with torch.no_grad():
        for found, wanted in zip(asked.module(image), module(image), strict=True):
            torch.testing.assert_close(found, wanted)
    assert [output.shape[1] for output in asked.spec.outputs] == [3] * len(asked.spec.outputs)


def test_the_file_is_believed_before_a_count(
    seventeen: dict[str, torch.Tensor], saved: Callable[..., Path]
) -> None:
    loaded = load_checkpoint(saved(seventeen, {"dataset_name": "pig", "keypoint_id2name": PIG}))
    assert loaded.spec.keypoints is not None
    assert (loaded.spec.keypoints.name, loaded.spec.keypoints.names) == ("pig", PIG)
    assert loaded.notes == ()
    # a copied config often keeps `coco`: the names decide, and get no known set's name
    copied = load_checkpoint(saved(seventeen, {"dataset_name": "coco", "keypoint_id2name": PIG}))
    assert copied.spec.keypoints is not None
    assert copied.spec.keypoints.names == PIG
    coco17 = {"dataset_name": "coco17", "keypoint_id2name": PIG}
    assert load_checkpoint(saved(seventeen, coco17)).spec.keypoints.name == "own-coco17"
    own = load_schema("coco17").names
    known = load_checkpoint(saved(seventeen, {"dataset_name": "mine", "keypoint_id2name": own}))
    assert known.spec.keypoints == load_schema("coco17").to_spec()


@pytest.mark.parametrize(
    ("described", "name", "said"),
    [
        (None, "coco17", "assumed coco17: the file does not name its 17 keypoints"),
        ({"dataset_name": "coco"}, "coco17", ""),
        ({"dataset_name": "ap10k"}, "ap10k17", ""),
        ({"dataset_name": "pig"}, "17keypoints", "names data set pig but not its 17 keypoints"),
        ({"keypoint_id2name": ["a", "b"]}, "17keypoints", "but its dataset_meta names 2; kp0 ..."),
        ({"keypoint_id2name": ["a"] * 17}, "17keypoints", "names must be given and differ"),
    ],
)
def test_a_set_is_assumed_only_where_the_file_is_silent(
    seventeen: dict[str, torch.Tensor],
    saved: Callable[..., Path],
    described: Any,
    name: str,
    said: str,
) -> None:
    loaded = load_checkpoint(saved(seventeen, described))
    assert loaded.spec.keypoints is not None
    assert loaded.spec.keypoints.name == name
    assert len(loaded.notes) == bool(said)
    assert said in "".join(loaded.notes)


def test_one_keypoint_is_written_in_the_singular() -> None:
    note = keypoints_of_file(1, DatasetMeta()).note
    assert note.startswith("the file does not name its 1 keypoint; kp0 without flip pairs: give")


def test_keypoints_that_do_not_fit_are_one_line(
    seventeen: dict[str, torch.Tensor], saved: Callable[..., Path]
) -> None:
    path = saved(seventeen)
    with pytest.raises(CheckpointError, match=r"with 17 keypoints, but gate names 3; correct"):
        load_checkpoint(path, keypoints=GATE)
    with pytest.raises(CheckpointError, match="both say which keypoints; leave one out"):
        load_checkpoint(path, task="coco", keypoints=GATE)
    detector = random_variant(Variant("rtmdet", "nano", (64, 64), classes=("person",)))
    with pytest.raises(CheckpointError, match="gives no keypoints; leave --keypoints out"):
        load_checkpoint(saved(detector.module.state_dict()), keypoints=GATE)


def test_a_catalogue_name_does_not_rename_a_files_keypoints(tmp_path: Path) -> None:
    state = random_variant(Variant("rtmpose", "t", (192, 256), schema="coco17")).module.state_dict()
    path = tmp_path / "pig.pth"
    meta = {"dataset_meta": {"dataset_name": "pig", "keypoint_id2name": PIG}}
    torch.save({"meta": meta, "state_dict": state}, path)
    with pytest.raises(CheckpointError, match="holds rtmpose-t-pig-256x192, not rtmpose-t;"):
        load_checkpoint(path, name="rtmpose-t")
    torch.save({"state_dict": state}, path)
    named = load_checkpoint(path, name="rtmpose-t")
    assert named.spec.keypoints == load_schema("coco17").to_spec()
    assert named.notes == ()


def test_a_students_card_holds_its_own_keypoints(tmp_path: Path) -> None:
    size, wh = FAMILIES["vitpose"]
    card = Card(model="s", family="vitpose", size=size, input_wh=wh, schema=GATE.to_spec())
    path = tmp_path / "student.safetensors"
    write_student(path, network("vitpose", GATE), card)
    assert msgspec.json.decode(msgspec.json.encode(card), type=Card) == card
    assert load_checkpoint(path).spec.keypoints == GATE.to_spec()
