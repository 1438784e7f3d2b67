"""Runtimes and adapters match; importing them loads no engine."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

from runtimes.registry import ENGINES, engine_version, installed_engine
from runtimes.spec import Runtime


def test_every_runtime_has_an_adapter_and_every_adapter_a_runtime() -> None:
    assert set(ENGINES) == set(get_args(Runtime))
    folder = Path(sys.modules["runtimes"].__file__).parent / "adapters"
    files = {f"runtimes.adapters.{path.stem}" for path in folder.glob("*_adapter.py")}
    assert files == {engine.adapter for engine in ENGINES.values()}


def test_an_installed_engine_has_a_version() -> None:
    for runtime in ENGINES:
        assert bool(engine_version(runtime)) == bool(installed_engine(runtime))


def test_importing_runtimes_and_adapters_loads_no_engine() -> None:
    engines = [name for engine in ENGINES.values() for name in engine.packages] + ["torch", "onnx"]
    code = f"""
import sys, importlib, runtimes, runtimes.fake
for name in {[engine.adapter for engine in ENGINES.values()]}: importlib.import_module(name)
loaded = [name for name in {engines} if name in sys.modules]
raise SystemExit(f"loaded {{loaded}}" if loaded else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
