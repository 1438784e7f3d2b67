"""The dataset_meta of a checkpoint: every way that frameworks write it, through a real file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edge.schema import known_schema, load_schema
from export.dataset_meta import DatasetMeta, dataset_meta
from export.unpickle import read_torch_file

NAMES = ("tail", "left_ear", "right_ear", "snout")
SIGMAS = (0.05, 0.025, 0.025, 0.1)


def read(described: Any, folder: Path, **meta: Any) -> DatasetMeta:
    """Save as a checkpoint, and read what it says of its data."""
    path = folder / "model.pth"
    torch.save({"meta": {"dataset_meta": described, **meta}, "state_dict": {}}, path)
    return dataset_meta(read_torch_file(path))


def mmpose_meta(**changes: Any) -> dict[str, Any]:
    """Return the parsed description that mmpose 1.x stores."""
    return {
        "dataset_name": "pig",
        "num_keypoints": 4,
        "keypoint_id2name": dict(enumerate(NAMES)),
        "keypoint_name2id": {name: place for place, name in enumerate(NAMES)},
        "flip_indices": [0, 2, 1, 3],
        "flip_pairs": [(1, 2)],
        "keypoint_colors": np.zeros((4, 3), np.uint8),
        "skeleton_links": [(0, 1), (3, 2)],
        "dataset_keypoint_weights": np.ones(4, np.float32),
        "sigmas": np.array(SIGMAS, np.float32),
        **changes,
    }


@pytest.mark.parametrize(
    "sigmas",
    [
        list(SIGMAS),
        SIGMAS,
        np.array(SIGMAS, np.float32),
        np.array(SIGMAS),
        torch.tensor(SIGMAS),
        [np.float32(each) for each in SIGMAS],
    ],
    ids=["list", "tuple", "float32", "float64", "torch", "scalars"],
)
def test_mmposes_description_is_read_whole(sigmas: Any, tmp_path: Path) -> None:
    found = read(mmpose_meta(sigmas=sigmas), tmp_path)
    assert found.name == "pig"
    own = found.keypoints
    assert own is not None
    assert (own.name, own.names) == ("pig", NAMES)
    assert own.left_right == ((1, 2),)
    assert own.edges == ((0, 1), (3, 2))
    assert own.sigmas == pytest.approx(SIGMAS, abs=1e-7)
    assert own.flip_order.tolist() == [0, 2, 1, 3]


@pytest.mark.parametrize(
    "described",
    [
        {"keypoint_id2name": {i: NAMES[i] for i in (3, 0, 2, 1)}, "flip_indices": [0, 2, 1, 3]},
        {"keypoint_id2name": list(NAMES), "flip_pairs": [["left_ear", "right_ear"]]},
        {"keypoint_id2name": NAMES, "flip_pairs": [(1, 2), (2, 1)]},
        {
            "keypoint_name2id": {NAMES[i]: i for i in (2, 3, 1, 0)},
            "flip_indices": np.array([0, 2, 1, 3]),
        },
        {
            "keypoint_info": {
                i: {"name": name, "id": i, "swap": {1: NAMES[2], 2: NAMES[1]}.get(i, "")}
                for i, name in enumerate(NAMES)
            }
        },
        {"keypoint_id2name": NAMES},  # left and right in the names
    ],
    ids=["dict out of order", "pairs by name", "pairs twice", "name2id", "config", "names alone"],
)
def test_parts_that_are_missing_are_done_without(described: Any, tmp_path: Path) -> None:
    own = read(described, tmp_path).keypoints
    assert own is not None
    assert (own.names, own.left_right, own.sigmas) == (NAMES, ((1, 2),), ())


@pytest.mark.parametrize(
    "changes",
    [
        {"sigmas": [0.1, 0.1]},
        {"sigmas": [0.1, -1, 0.1, 0.1]},
        {"sigmas": "many"},
        {"sigmas": [0.1, float("nan"), 0.1, 0.1]},
        {"sigmas": {"a": 1}},
    ],
)
def test_sigmas_that_do_not_fit_count_as_absent(changes: Any, tmp_path: Path) -> None:
    own = read(mmpose_meta(**changes), tmp_path).keypoints
    assert own is not None
    assert (own.names, own.sigmas) == (NAMES, ())


def test_indices_may_be_text_as_in_json(tmp_path: Path) -> None:
    names = {str(place): f"p{place}" for place in range(12)}  # "10" comes before "2" as text
    own = read({"keypoint_id2name": names}, tmp_path).keypoints
    assert own is not None
    assert own.names == tuple(f"p{place}" for place in range(12))
    assert read({"keypoint_id2name": {"0": "a", "x": "b"}}, tmp_path).keypoints is None


@pytest.mark.parametrize("kind", ["indices", "texts", "list", "shuffled"])
def test_dataset_info_of_mmpose_0_is_read(kind: str, tmp_path: Path) -> None:
    swaps = {"left_ear": "right_ear", "right_ear": "left_ear"}
    infos = [
        {
            "name": name,
            "id": place,
            "color": [0, 0, 0],
            "type": "upper",
            "swap": swaps.get(name, ""),
        }
        for place, name in enumerate(NAMES)
    ]
    written: dict[str, Any] = {
        "indices": dict(enumerate(infos)),
        "texts": {str(place): info for place, info in enumerate(infos)},
        "list": infos,
        "shuffled": infos[::-1],
    }
    info = {
        "dataset_name": "pig",
        "keypoint_info": written[kind],
        "skeleton_info": {0: {"link": ("tail", "left_ear"), "id": 0}},
        "sigmas": list(SIGMAS),
    }
    found = read(None, tmp_path, CLASSES=None, dataset_info=info)
    own = found.keypoints
    assert own is not None
    assert (found.name, own.names, own.left_right, own.edges) == (
        "pig",
        NAMES,
        ((1, 2),),
        ((0, 1),),
    )
    assert own.sigmas == pytest.approx(SIGMAS)


def test_links_outside_the_set_are_left_out(tmp_path: Path) -> None:
    own = read(mmpose_meta(skeleton_links=[(0, 9), (1, 2), "ab", (1,), 7]), tmp_path).keypoints
    assert own is not None
    assert own.edges == ((1, 2),)


def test_names_that_repeat_are_a_problem(tmp_path: Path) -> None:
    found = read(mmpose_meta(keypoint_id2name=["a", "a"]), tmp_path)
    assert found.keypoints is None
    assert "must be given and differ" in found.problem


@pytest.mark.parametrize(
    "described", [None, [], "text", {}, {"keypoint_id2name": {0: 3}}, {"keypoint_id2name": []}]
)
def test_a_description_without_keypoints_is_silent(described: Any, tmp_path: Path) -> None:
    assert read(described, tmp_path) == DatasetMeta()


@pytest.mark.parametrize("key", ["classes", "CLASSES"])
def test_classes_are_read_as_text_list_or_tuple(key: str, tmp_path: Path) -> None:
    for classes in (("player", "ball"), ["player", "ball"]):
        assert read({key: classes}, tmp_path).classes == ("player", "ball")
    assert read({key: "player"}, tmp_path).classes == ("player",)
    assert read({key: [1, 2]}, tmp_path).classes == ()
    assert read(None, tmp_path, **{key: ["player"]}).classes == ("player",)  # mmdet 2


def test_known_names_are_recognised_in_mmposes_spelling() -> None:
    # mmpose configs/_base_/datasets/ap10k.py, onehand10k.py and wflw.py
    ap10k = [
        *("L_Eye", "R_Eye", "Nose", "Neck", "Root of tail", "L_Shoulder", "L_Elbow", "L_F_Paw"),
        *("R_Shoulder", "R_Elbow", "R_F_Paw", "L_Hip", "L_Knee", "L_B_Paw"),
        *("R_Hip", "R_Knee", "R_B_Paw"),
    ]
    assert known_schema(ap10k) == "ap10k17"
    assert known_schema(load_schema("coco17").names) == "coco17"
    assert known_schema(["wrist", *load_schema("hand21").names[1:]]) == "hand21"
    assert known_schema([f"kpt-{i}" for i in range(98)]) == "face98"
    assert known_schema([f"gate_{i}" for i in range(21)]) is None
    assert known_schema(load_schema("coco17").names[::-1]) is None
