"""The Dockerfiles of docs/docker, as far as they can be checked without building them."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "docs" / "docker").glob("*.Dockerfile"))


def instructions(path: Path) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile: name, rest of the line; continued lines as one."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined.splitlines())]


def packages() -> set[str]:
    """Return the packages of the wheel."""
    table = (ROOT / "pyproject.toml").read_text().split("[tool.hatch.build.targets.wheel]")[1]
    found = re.search(r"^packages = (\[.*\])$", table, re.MULTILINE)
    assert found
    return set(json.loads(found[1]))


def test_there_is_one_for_a_board_and_one_for_a_host():
    assert [path.name for path in FILES] == ["board.Dockerfile", "host.Dockerfile"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_is_copied_is_there_and_the_wheel_is_complete(path):
    copied = {
        source
        for name, rest in instructions(path)
        if name == "COPY" and not rest.startswith("--from=")
        for source in rest.split()[:-1]
    }
    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert packages() <= copied


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_runs_as_a_user_and_fails_where_an_engine_does_not_load(path):
    names = instructions(path)
    user = names.index(("USER", "pose"))
    assert ("RUN", "edgepose doctor") in names[user:]
    assert ("ENTRYPOINT", '["edgepose"]') in names[user:]


def test_torch_is_installed_first_and_by_its_pin():
    runs = [rest for name, rest in instructions(FILES[1]) if name == "RUN"]
    assert re.search(r"--constraint constraints\.txt --index-url \S+ torch$", runs[0])
    assert "edgepose[all]" in runs[1]


def test_a_board_has_no_torch():
    text = " ".join(rest for name, rest in instructions(FILES[0]) if name == "RUN")
    assert "torch" not in text
    assert "edgepose[${ENGINE}]" in text
