"""The public surface: every name is there, and importing it stays light."""

import subprocess
import sys
from typing import get_args

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
    "starlette",
    "uvicorn",
}


# What the public functions and methods take, return and raise besides arrays and builtins.
NEEDED = {
    *("DenseMap", "Detections", "Poses", "Frame", "Result", "Timings", "RunOptions", "Source"),
    *("CocoSink", "CsvSink", "ImageDirSink", "OpenPoseSink", "VideoSink"),
    *("draw_boxes", "draw_poses", "put_banner"),
    *("EdgeposeError", "InputError", "ArtifactError", "EngineError", "MissingDependencyError"),
    *("SourceError", "TargetExistsError", "__version__"),
}


def test_every_public_name_resolves_to_something_of_ours():
    assert set(edge.__all__) >= NEEDED
    for name in set(edge.__all__) - {"__version__", "PoseNMS"}:
        assert getattr(edge, name).__module__.split(".")[0] in {"edge", "devices", "runtimes"}
    assert "parametric" in get_args(edge.PoseNMS)
    assert edge.__version__[0].isdigit()


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing"):
        getattr(edge, "nothing")  # noqa: B009 - what a typo does


def test_importing_everything_public_loads_no_engine_and_no_torch():
    code = "import sys, edge; [getattr(edge, n) for n in edge.__all__]; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not HEAVY & set(loaded)


def test_importing_it_loads_no_opencv_and_no_numpy():
    code = "import sys, edge; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"cv2", "numpy", *HEAVY} & set(loaded)
