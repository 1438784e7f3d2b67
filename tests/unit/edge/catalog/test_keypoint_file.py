"""SCHEMA.json: what may be left out, and one line for each mistake."""

import json
from pathlib import Path
from typing import Any

import pytest

from edge.catalog.keypoint_file import find_keypoints
from runtimes.errors import InputError

GATE = ["top_left", "top_right", "bottom"]


def written(content: Any, folder: Path, name: str = "gate.json") -> str:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_pairs_and_edges_go_by_name_or_index(tmp_path: Path) -> None:
    content = {
        "name": "my gate",
        "names": GATE,
        "pairs": [["top_left", 1]],
        "edges": [[0, "bottom"], [1, 2]],
        "sigmas": [0.1, 0.1, 0.2],
    }
    read = find_keypoints(written(content, tmp_path))
    assert (read.name, read.names, read.left_right) == ("my_gate", tuple(GATE), ((0, 1),))
    assert (read.edges, read.sigmas) == (((0, 2), (1, 2)), (0.1, 0.1, 0.2))


def test_names_alone_are_enough(tmp_path: Path) -> None:
    read = find_keypoints(written({"names": GATE}, tmp_path))
    assert (read.name, read.left_right, read.edges, read.sigmas) == ("gate", ((0, 1),), (), ())
    unpaired = find_keypoints(written({"names": GATE, "pairs": []}, tmp_path))
    assert unpaired.left_right == ()


def test_a_known_set_goes_by_its_name() -> None:
    assert len(find_keypoints("hand21")) == 21
    with pytest.raises(InputError, match="no keypoint set is called 'hand22'; known: coco17"):
        find_keypoints("hand22")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "missing required field `names`"),
        ({"names": []}, "names must be given and differ"),
        ({"names": ["a", "a"]}, "names must be given and differ"),
        ({"names": ["a", " "]}, "names must be printable text"),
        ({"names": ["a", 1]}, "Expected `str`"),
        ({"names": ["a", "b"], "pairs": [["a", "c"]]}, "names 'c', which is none of its names"),
        ({"names": ["a", "b"], "pairs": [[0, 2]]}, "outside 0..1"),
        ({"names": ["a", "b"], "edges": [[0, -1]]}, "outside 0..1"),
        ({"names": ["a", "b", "c"], "pairs": [[0, 1], [1, 2]]}, "in two left/right pairs"),
        ({"names": ["a", "b"], "pairs": [[0, 1, 2]]}, "of length 2"),
        ({"names": ["a", "b"], "sigmas": [0.1]}, "1 sigmas for 2 keypoints"),
        ({"names": ["a"], "sigmas": [0]}, "sigmas must be positive"),
        ({"names": ["a"], "sigmas": [7]}, "sigmas must be positive numbers of at most 1"),
        ({"names": ["a"], "colour": 1}, "unknown field `colour`"),
        ("{", "it takes names, and optionally"),
        ("", "it takes names, and optionally"),
    ],
)
def test_a_mistake_is_one_line_with_the_file(content: Any, said: str, tmp_path: Path) -> None:
    path = written(content, tmp_path)
    with pytest.raises(InputError, match=said) as raised:
        find_keypoints(path)
    assert str(raised.value).startswith(path)
    assert "\n" not in str(raised.value)


def test_an_absent_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        find_keypoints(str(tmp_path / "none.json"))
