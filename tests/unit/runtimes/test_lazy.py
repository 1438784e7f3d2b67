"""Lazy exports: every name of `__all__` resolves, is loaded when first used, and a typo is an AttributeError."""

import importlib
import subprocess
import sys

import pytest

HOST = ("torch", "onnx", "lightning_fabric", "safetensors", "matplotlib")


@pytest.mark.parametrize("package", ["runtimes", "edge", "export", "quantize"])
def test_every_public_name_resolves(package):
    if package in {"export", "quantize"}:
        for needed in HOST:
            pytest.importorskip(needed)
    module = importlib.import_module(package)
    for name in module.__all__:
        assert getattr(module, name) is not None
    assert dir(module) == sorted(module.__all__)
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nothing'"):
        getattr(module, "nothing")  # noqa: B009 - what a typo does


@pytest.mark.parametrize("package", ["runtimes", "edge", "export", "quantize"])
def test_importing_a_package_loads_nothing_heavy(package):
    code = f"import sys, {package}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"numpy", "cv2", *HOST} & set(loaded)
