"""The user's catalogue file: read as it is, and refused in one line that names the file."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from edge.catalog.lookup import find, terms_of
from edge.catalog.user import UserModel, user_models
from runtimes.errors import InputError

GOOD = {"name": "mine", "url": "http://host/mine.pth", "sha256": "0123abcd"}


@pytest.fixture
def write(tmp_path, monkeypatch) -> Callable[[Any], None]:
    """Write the file that EDGEPOSE_CATALOG names; text as it is, everything else as JSON."""

    def put(content: Any) -> None:
        path = tmp_path / "own.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        monkeypatch.setenv("EDGEPOSE_CATALOG", str(path))

    return put


def test_without_the_variable_there_are_none(monkeypatch) -> None:
    monkeypatch.delenv("EDGEPOSE_CATALOG", raising=False)
    assert user_models() == {}
    monkeypatch.setenv("EDGEPOSE_CATALOG", "")
    assert user_models() == {}


def test_models_are_read_and_suggested(write) -> None:
    write([GOOD, GOOD | {"name": "rtmpose-s", "like": "rtmpose-t"}])
    assert list(user_models()) == ["mine", "rtmpose-s"]
    assert user_models()["rtmpose-s"].like == "rtmpose-t"
    assert user_models()["mine"] == UserModel(**GOOD)
    with pytest.raises(InputError, match="did you mean mine"):
        find("minn")


def test_terms_are_those_that_the_exported_artifact_will_have() -> None:
    """By the published hash, or the licence of all models of that network; else unknown."""
    published = find("rtmdet-nano")
    known = UserModel(name="mine", url="u", sha256=published.sha256_prefix.upper() + "0" * 56)
    assert terms_of(known) == published
    assert terms_of(UserModel(**GOOD)) is None
    assert terms_of(UserModel(**GOOD, like="rtmpose-s")) is None
    fastpose = terms_of(UserModel(**GOOD, like="fastpose-res50"))
    assert fastpose.commercial_use is False
    assert fastpose.licence == find("fastpose-res50").licence


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "no list of models"),
        ("{", "no list of models"),
        ({"mine": GOOD}, "no list of models"),
        ([{"name": "mine", "url": "http://host/x.pth"}], "sha256"),
        ([GOOD | {"hash": "x"}], "hash"),
        ([GOOD | {"name": "../up"}], "letters, digits"),
        ([GOOD | {"name": ""}], "letters, digits"),
        ([GOOD | {"sha256": "12"}], "hexadecimal"),
        ([GOOD | {"sha256": "x" * 64}], "hexadecimal"),
        ([GOOD, GOOD], "twice"),
    ],
)
def test_a_bad_file_is_named_with_the_mistake(write, tmp_path, content, said) -> None:
    write(content)
    with pytest.raises(InputError, match=said) as caught:
        user_models()
    assert str(tmp_path / "own.json") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_absent_file_is_named(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("EDGEPOSE_CATALOG", str(tmp_path / "gone.json"))
    with pytest.raises(InputError, match=r"gone\.json.*cannot be read"):
        user_models()
