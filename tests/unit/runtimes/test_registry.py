"""Runtimes and adapters match; importing them loads no engine."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

from runtimes.registry import ADAPTERS, ENGINES, engine_version, installed_engine
from runtimes.spec import Runtime


def test_every_runtime_has_an_adapter_and_every_adapter_a_runtime() -> None:
    assert set(ADAPTERS) == set(ENGINES) == set(get_args(Runtime))
    folder = Path(sys.modules["runtimes"].__file__).parent / "adapters"
    files = {f"runtimes.adapters.{path.stem}" for path in folder.glob("*_adapter.py")}
    assert files == set(ADAPTERS.values())


def test_an_installed_engine_has_a_version() -> None:
    for runtime in ADAPTERS:
        assert bool(engine_version(runtime)) == bool(installed_engine(runtime))


def test_importing_runtimes_and_adapters_loads_no_engine() -> None:
    engines = [name for names in ENGINES.values() for name in names] + ["torch", "onnx"]
    code = f"""
import sys, importlib, runtimes, runtimes.fake
for name in {list(ADAPTERS.values())}: importlib.import_module(name)
loaded = [name for name in {engines} if name in sys.modules]
raise SystemExit(f"loaded {{loaded}}" if loaded else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
