"""Commands and code of README and docs/: offline blocks are run, all command lines are parsed.

The info string of a fenced block says what is done with it: `sh` and `python` run in a folder with the files that the
pages name; `json NAME` is written there as NAME; a further word (network, board, camera, long, other) says why a block
does not run here: its edgepose lines are parsed, its Python is compiled.
"""

import ast
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import cv2
import numpy as np
import pytest

from edge.cli import COMMANDS, cli
from edge.schema import numbered_schema
from edge.synth import draw_clip, draw_scene, write_clip, write_dataset
from runtimes.artifact import Artifact

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NOT_RUN = {
    "network": "downloads",
    "board": "is meant for a board, or needs one",
    "camera": "needs a camera",
    "long": "takes minutes",
    "other": "names files that are the reader's own",
}
FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PACKAGES = ("edge", "edgepose", "export", "quantize", "runtimes", "devices")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the words after it, its text, and where it begins."""

    page: Path
    line: int
    language: str
    words: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def commands(self) -> list[list[str]]:
        """The words of each command, without comments."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [words for line in lines if (words := shlex.split(line, comments=True))]


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(page, text[: found.start()].count("\n") + 1, found[1], (*found[2].split(),), found[3])
        for found in FENCE.finditer(text)
    ]


DEAR = {"quickstart", "export"}  # pages that export models
BLOCKS = [block for page in PAGES for block in blocks_of(page)]
SHELL = [block for block in BLOCKS if block.language == "sh"]
PYTHON = [block for block in BLOCKS if block.language == "python"]


def runs(page: Path) -> bool:
    return any(each.language in {"sh", "python"} and not each.words for each in blocks_of(page))


def parse(args: list[str]) -> None:
    """Parse a command line as edgepose does, values included, and run nothing."""
    with click.Context(cli, info_name="edgepose") as context:
        name, command, rest = cli.resolve_command(context, list(args))
        assert command is not None
        with click.Context(command, parent=context, info_name=name) as inner:
            command.parse_args(inner, rest)


@pytest.fixture(scope="module")
def prepared(once, bundled_detector, exported):
    """Files that the pages name: artifacts of the checkout's weights, pictures, a clip, labels, an ONNX graph."""
    detector = bundled_detector("onnxruntime")
    pose = Artifact.open(exported("bundled:rtmpose-t-drawn", "onnxruntime", 8)["fp32"].path)

    def fill(root: Path) -> None:
        (root / "artifacts").mkdir()
        for artifact in (pose, detector):
            (root / "artifacts" / artifact.name).symlink_to(artifact.root)
        for name in ("weights", "examples"):
            (root / name).symlink_to(ROOT / name)
        cv2.imwrite(str(root / "photo.jpg"), draw_scene(3).image)
        write_clip(root / "clip.mp4", draw_clip(7, frames=6, fps=24.0), 24.0)
        write_dataset(root / "people", 5, 4)
        write_graph(root / "gate.onnx")
        write_checkpoint(root / "gate.pth")

    return once("docs", fill)


def write_graph(path: Path) -> None:
    """Write a network of one convolution: four maps, a quarter of 192x256, as a user's own converter would."""
    onnx = pytest.importorskip("onnx")
    kernel = np.full((4, 3, 4, 4), 1 / 48, np.float32)
    make, floats = onnx.helper, onnx.TensorProto.FLOAT
    graph = make.make_graph(
        [make.make_node("Conv", ["input", "kernel"], ["output"], strides=[4, 4])],
        "gate",
        [make.make_tensor_value_info("input", floats, [1, 3, 256, 192])],
        [make.make_tensor_value_info("output", floats, [1, 4, 64, 48])],
        [onnx.numpy_helper.from_array(kernel, "kernel")],
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)


def write_checkpoint(path: Path) -> None:
    """Write a small RTMPose of four keypoints, which the file does not name."""
    torch = pytest.importorskip("torch")
    from export.random_weights import random_variant
    from export.registry import Variant

    small = Variant("rtmpose", "160x1x1x1x1", (64, 64), schema=numbered_schema(4))
    torch.save({"state_dict": random_variant(small).module.state_dict()}, path)


@pytest.fixture
def desk(prepared, tmp_path, monkeypatch):
    """A working directory of a reader's own, with the prepared files in it."""
    for path in prepared.iterdir():
        if path.name != "artifacts":
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "artifacts").mkdir()
    for path in (prepared / "artifacts").iterdir():
        (tmp_path / "artifacts" / path.name).symlink_to(path)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "artifacts").symlink_to(prepared / "artifacts")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEPOSE_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=page.stem, marks=[pytest.mark.slow] * (page.stem in DEAR))
        for page in PAGES
        if runs(page)
    ],
)
def test_what_can_run_offline_runs(page, desk, edgepose):
    for block in blocks_of(page):
        if block.language == "json" and block.words:
            (desk / block.words[0]).write_text(block.text)
        if block.words or block.language not in {"sh", "python"}:
            continue
        if block.language == "python":
            exec(compile(block.text, str(block), "exec"), {"__name__": "__main__"})  # noqa: S102
            continue
        for command in block.commands:
            run(command, block, edgepose)


def expand(arg: str) -> list[str]:
    """Return what a shell makes of a pattern: the files that match, or the word itself."""
    return sorted(map(str, Path().glob(arg))) or [arg] if "*" in arg else [arg]


def run(command: list[str], block: Block, edgepose) -> None:
    """Run one command of a page; only what a test can run is allowed there."""
    program, *args = command
    if program == "edgepose":
        given = [found for arg in args for found in expand(arg)]
        done = edgepose(*given)
        assert done.code == 0, f"{block}: {shlex.join(command)}\n{done.err}{done.out}"
        return
    assert program == "python", f"{block}: {program} is no command that the test knows"
    assert args[0].startswith("examples/")
    done = subprocess.run(
        [sys.executable, *args],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{block}: {shlex.join(command)}\n{done.stderr}"


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_command_lines_are_parsed(block, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert set(block.words) <= set(NOT_RUN), f"{block}: unknown word {block.words}"
    for command in block.commands:
        for word in command[1:]:  # an artifact's name must be that of a directory
            if "/" not in word and "=" not in word and not word.startswith("-"):
                (tmp_path / word).mkdir(exist_ok=True)
        if command[0] == "edgepose" and command[1:] not in (["--help"], ["--version"]):
            try:
                parse(command[1:])
            except click.ClickException as error:
                pytest.fail(f"{block}: {shlex.join(command)}: {error.format_message()}")


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_names_exist(block):
    """Code that is not run is compiled, and what it takes from our modules is there."""
    assert set(block.words) <= set(NOT_RUN)
    for node in ast.walk(ast.parse(block.text, str(block))):
        match node:
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in PACKAGES:
                names = [each.name for each in node.names]
            case ast.Attribute(value=ast.Name(id=module)) if module in PACKAGES:
                names = [node.attr]
            case _:
                continue
        imported = importlib.import_module(module)
        missing = [name for name in names if not hasattr(imported, name)]
        assert not missing, f"{block}: {module} has no {missing}"


def test_every_block_says_what_it_is():
    """A block without a language is a listing of output or of folders, and holds no command."""
    for block in BLOCKS:
        assert block.language in {"", "sh", "python", "json", "text"}, f"{block}: {block.language}"
        if block.language in {"", "text"}:
            started = [line for line in block.text.splitlines() if line.startswith("edgepose ")]
            assert all(line.startswith("edgepose  ") for line in started), f"{block}: say sh"
        if block.language == "json" and block.words:
            json.loads(block.text)


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_verb_is_shown(verb):
    shown = [command for block in SHELL for command in block.commands]
    assert any(command[:2] == ["edgepose", verb] for command in shown)


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_site_and_the_readme_have_every_page():
    site, readme = (ROOT / ".ci" / "site.py").read_text(), (ROOT / "README.md").read_text()
    names = [page.stem for page in PAGES if page.parent == ROOT / "docs"]
    assert [name for name in names if f'"{name}"' not in site] == []
    assert [name for name in names if f"docs/{name}.md" not in readme] == []


def messages() -> list[str]:
    """Headings of troubleshooting.md that quote a message."""
    text = (ROOT / "docs" / "troubleshooting.md").read_text()
    return re.findall(r"^### `(.+)`$", text, re.MULTILINE)


def literals() -> str:
    """Every string of the product, one a line; what an f-string fills in is an ellipsis."""
    found: list[str] = []
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.JoinedStr):
                    parts = [
                        str(each.value) if isinstance(each, ast.Constant) else "…"
                        for each in node.values
                    ]
                    found.append("".join(parts))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
    return "\n".join(" ".join(each.split()) for each in found)


def test_quoted_messages_are_printed_by_the_product():
    said = literals()
    unsaid = [message for message in messages() if not re.search(as_pattern(message), said)]
    assert messages()
    assert unsaid == []


def as_pattern(message: str) -> str:
    """Return the regular expression of a message in which an ellipsis is anything."""
    parts = [part.strip() for part in message.split("…") if len(part.strip()) > 3]
    assert parts, message
    return r"[^\n]*".join(map(re.escape, parts))


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem
)
def test_examples_are_short_and_run(path):
    assert len(path.read_text().splitlines()) <= 60
    runs_here = [block for block in SHELL if not block.words]
    assert any(
        f"examples/{path.name}" in command for block in runs_here for command in block.commands
    )
