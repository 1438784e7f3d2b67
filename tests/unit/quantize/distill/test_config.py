"""Recipes: what goes together, and that a training goes on only as it began."""

import msgspec
import pytest

from quantize.distill.config import (
    RECIPE,
    Recipe,
    begin,
    check_begun,
    check_methods,
    parse_methods,
    read_recipe,
)
from runtimes.errors import InputError, TargetExistsError

RECIPE_A = Recipe(student="rtmpose-t", teacher="t.pth", methods=("heatmap",))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("heatmap,token", ("heatmap", "token")), (" none ", ("none",)), ("head,head", ("head",))],
)
def test_methods_are_listed_with_commas(text, wanted) -> None:
    assert parse_methods(text) == wanted


@pytest.mark.parametrize("text", ["", "heat", "heatmap,tokens"])
def test_unknown_methods_are_told_what_is_known(text) -> None:
    with pytest.raises(InputError, match=r"unknown method .*known: none, heatmap, token"):
        parse_methods(text)


@pytest.mark.parametrize(
    ("methods", "teacher", "student", "said"),
    [
        (("none", "heatmap"), "t", "rtmpose-t", "goes with no other method"),
        (("head", "simcc"), "t", "rtmpose-t", "goes with no other method"),
        (("heatmap",), "", "rtmpose-t", "needs a teacher"),
        (("token",), "t", "rtmpose-t", "rtmpose-t has none"),
    ],
)
def test_what_does_not_go_together_is_refused(methods, teacher, student, said) -> None:
    with pytest.raises(InputError, match=said):
        check_methods(methods, teacher, student)


def test_what_goes_together_passes() -> None:
    check_methods(("none",), "", "rtmpose-t")
    check_methods(("heatmap", "token"), "t", "vitpose-s")


def test_a_training_goes_on_as_it_began(tmp_path) -> None:
    folder = tmp_path / "a"
    check_begun(folder, RECIPE_A, resume=False)
    begin(folder, RECIPE_A)
    assert read_recipe(folder) == RECIPE_A
    check_begun(folder, msgspec.structs.replace(RECIPE_A, workers=4), resume=True)
    halved = msgspec.structs.replace(RECIPE_A, batch=16, accumulate=2)
    check_begun(folder, halved, resume=True)
    with pytest.raises(InputError, match="begun with batch 32, not 8"):
        check_begun(folder, msgspec.structs.replace(RECIPE_A, batch=8), resume=True)
    with pytest.raises(TargetExistsError, match="holds a training"):
        check_begun(folder, RECIPE_A, resume=False)


def test_nothing_to_resume_is_told(tmp_path) -> None:
    with pytest.raises(InputError, match="no training to resume"):
        check_begun(tmp_path, RECIPE_A, resume=True)
    (tmp_path / RECIPE).write_text('{"student": 1}')
    with pytest.raises(InputError, match="cannot be read"):
        check_begun(tmp_path, RECIPE_A, resume=True)
