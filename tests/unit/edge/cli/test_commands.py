"""Every command file has its line in COMMANDS, and every line its file."""

from pathlib import Path

import edge.cli.commands
from edge.cli import COMMANDS


def test_each_file_of_commands_has_a_line_and_each_line_a_file() -> None:
    folder = Path(edge.cli.commands.__file__).parent
    files = {f"edge.cli.commands.{path.stem}" for path in folder.glob("*.py")}
    files.discard("edge.cli.commands.__init__")
    assert {module for module, _ in COMMANDS.values()} == files


def test_a_verb_is_called_as_its_file() -> None:
    for verb, (module, _) in COMMANDS.items():
        assert module.rsplit(".", 1)[1].rstrip("_") == verb
