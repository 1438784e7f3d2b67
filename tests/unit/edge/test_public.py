"""The public surface: every name is there, and importing it stays light."""

import subprocess
import sys

import pytest

import edge

HEAVY = {
    "torch",
    "onnx",
    "onnxruntime",
    "openvino",
    "ncnn",
    "ai_edge_litert",
    "scipy",
    "matplotlib",
}


def test_every_public_name_resolves():
    assert set(edge.__all__) == set(edge._EXPORTS)
    for name in edge.__all__:
        assert getattr(edge, name).__module__.split(".")[0] == "edge"


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing"):
        getattr(edge, "nothing")  # noqa: B009 - what a typo does


def test_importing_everything_public_loads_no_engine_and_no_torch():
    code = "import sys, edge; [getattr(edge, n) for n in edge.__all__]; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not HEAVY & set(loaded)
