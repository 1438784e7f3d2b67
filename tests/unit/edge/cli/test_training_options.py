"""The options of training: all of them, and no others, in the table of docs/distillation.md; grouped in the help."""

import importlib
import re
from pathlib import Path

import click
import pytest

PAGE = Path(__file__).resolve().parents[4] / "docs/distillation.md"


def flags(verb: str) -> set[str]:
    command = importlib.import_module(f"edge.cli.commands.{verb}").command
    options = [each for each in command.params if isinstance(each, click.Option)]
    return {flag for each in options for flag in each.opts if flag.startswith("--")}


def test_the_table_has_the_options_of_both_verbs() -> None:
    section = PAGE.read_text().partition("## Options\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    listed = [flag for row in rows for flag in re.findall(r"`(--[a-z-]+)`", row)]
    assert sorted(listed) == sorted(flags("distill") | flags("train"))


def test_the_help_is_in_groups(capsys) -> None:
    command = importlib.import_module("edge.cli.commands.distill").command
    with pytest.raises(SystemExit):
        command.main(["--help"])
    text = capsys.readouterr().out
    heads = [
        "Network",
        "Teacher",
        "Data",
        "Length",
        "Optimization",
        "Validation",
        "Training run",
        "Options",
    ]
    assert re.findall(r"^(\w.*):$", text, re.MULTILINE) == heads
    assert text.index("--teacher ") < text.index("Data:") < text.index("--images ")
