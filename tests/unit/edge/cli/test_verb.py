"""Option groups: a verb's function gets one value for each group, built from the options named like its fields."""

from dataclasses import dataclass

import click
import msgspec
import pytest
from click.testing import CliRunner

from edge.cli.options import run_options, together
from edge.cli.verb import Verb
from runtimes.base import RunOptions


@dataclass(frozen=True)
class Size:
    width: int
    height: int


class Recipe(msgspec.Struct):
    name: str
    unset: int = 7


@click.command("toy", cls=Verb)
@click.argument("path")
@together(click.option("--width", type=int, default=3), click.option("--height", type=int))
@click.option("--name", default="plain")
@run_options
@click.option("--more", type=int, default=5)
def toy(path: str, size: Size, recipe: Recipe, options: RunOptions, more: int) -> None:
    click.echo(repr((path, size, recipe, options, more)))


def test_groups_are_built_from_their_options() -> None:
    done = CliRunner().invoke(toy, ["a", "--height", "4", "--name", "b", "--threads", "2"])
    options = RunOptions(threads=2)
    assert done.output.strip() == repr(("a", Size(3, 4), Recipe("b"), options, 5))


def test_help_lists_a_groups_options_in_their_order() -> None:
    shown = CliRunner().invoke(toy, ["--help"]).output
    assert -1 < shown.index("--width") < shown.index("--height") < shown.index("--name")


def test_a_group_whose_option_is_missing_is_a_bug() -> None:
    @click.command("bad", cls=Verb)
    @click.option("--width", type=int, default=3)
    def bad(size: Size) -> None:
        """Never reached."""

    with pytest.raises(TypeError, match="height"):
        CliRunner().invoke(bad, [], catch_exceptions=False)
