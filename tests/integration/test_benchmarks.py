"""Scripts of benchmarks/, examples/ and .ci/, which run by hand: the names that they import are there."""

import ast
import importlib
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = {"devices", "edge", "export", "quantize", "runtimes"}
SCRIPTS = sorted(
    str(path.relative_to(ROOT))
    for folder in ("benchmarks", "examples", ".ci")
    for path in (ROOT / folder).rglob("*.py")
)


def imported(path: Path) -> list[tuple[str, str]]:
    """Return each module of ours that a script imports from, with a name in it; "" for the module itself."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(each.name, "") for each in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found += [(node.module, each.name) for each in node.names]
    return [(module, name) for module, name in found if module.split(".")[0] in OURS]


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_a_script_imports_is_there(script: str) -> None:
    for module, name in imported(ROOT / script):
        found = importlib.import_module(module)
        submodule = hasattr(found, "__path__") and importlib.util.find_spec(f"{module}.{name}")
        assert not name or hasattr(found, name) or submodule, f"{module}.{name}"


def test_there_are_scripts() -> None:
    assert {"benchmarks/floors.py", ".ci/site.py"} <= set(SCRIPTS)
    assert any(imported(ROOT / script) for script in SCRIPTS)
