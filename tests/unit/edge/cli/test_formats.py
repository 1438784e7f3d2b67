"""Formats of `export`, and accelerators that are refused before work; stand-ins for engines and their drivers."""

import importlib.util
import sys
from collections.abc import Callable

import pytest

from edge.cli.formats import TENSORRT, Formats, option_words, parse_formats, require_accelerators
from runtimes.base import RunOptions
from runtimes.errors import InputError

# a build without TensorRT; one whose libraries are missing; one that works
BUILD = """
import types
def get_available_providers():
    return ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"][{first}:]
def InferenceSession(graph, providers, enable_fallback):
    name = providers[0][0] if {starts} else "CPUExecutionProvider"
    return types.SimpleNamespace(get_providers=lambda: [name])
"""
ON_THE_BOARD = "--format onnx, and there `edgepose verify ARTIFACT --accelerator gpu"
GPU = RunOptions(accelerator="gpu")


@pytest.fixture
def engine(tmp_path, monkeypatch) -> Callable[[str, str], None]:
    """Put a module in place of an engine, for this process and those that it starts."""

    def put(name: str, text: str) -> None:
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.setitem(sys.modules, name, module)

    monkeypatch.setenv("EDGEPOSE_CACHE", str(tmp_path / "cache"))
    return put


def test_tensorrt_is_an_onnx_artifact_that_must_pass_there() -> None:
    found = parse_formats("ncnn, onnx,tensorrt", None, {})
    assert found.runtimes == ["ncnn", "onnxruntime"]
    assert found.accelerated == {"onnxruntime": TENSORRT}
    assert parse_formats("ncnn,onnx", None, {}).accelerated == {}


def test_an_accelerator_is_asked_of_every_format() -> None:
    options = RunOptions(accelerator="gpu")
    found = parse_formats("ncnn,openvino", "gpu", {})
    assert found.accelerated == {"ncnn": options, "openvino": options}
    # an engine's option alone is one of the CPU
    named = parse_formats("onnx", None, {"provider": "openvino"}).accelerated["onnxruntime"]
    assert named == RunOptions(extra={"provider": "openvino"})
    assert (
        " ".join(option_words(named))
        == "--accelerator cpu --precision f32 --engine-option provider=openvino"
    )


@pytest.mark.parametrize(
    ("text", "accelerator", "extra", "said"),
    [
        ("trt", None, {}, "unknown format trt; for an engine of TensorRT: --format tensorrt"),
        ("onnx,engine", None, {}, "unknown format engine; for an engine of TensorRT"),
        ("rknn", None, {}, "unknown format rknn; known: onnx, .*, tensorrt"),
        ("tensorrt", "gpu", {}, "give the one or the other"),
        ("tensorrt", None, {"provider": "cuda"}, "give the one or the other"),
    ],
)
def test_other_formats_and_contradictions_are_refused(text, accelerator, extra, said) -> None:
    with pytest.raises(InputError, match=said):
        parse_formats(text, accelerator, extra)


def test_without_tensorrt_the_way_to_the_board_is_named(engine) -> None:
    engine("onnxruntime", BUILD.format(first=1, starts=True))
    with pytest.raises(InputError) as raised:
        require_accelerators(parse_formats("tensorrt", None, {}))
    said = str(raised.value)
    assert said.startswith(
        "format tensorrt: this onnxruntime has no TensorRT; install onnxruntime-gpu"
    )
    assert ON_THE_BOARD in said
    assert "\n" not in said


def test_tensorrt_whose_libraries_are_missing_is_refused_too(engine) -> None:
    engine("onnxruntime", BUILD.format(first=0, starts=False))
    with pytest.raises(
        InputError, match=r"cannot start Tensorrt here; it needs TensorRT, CUDA"
    ) as raised:
        require_accelerators(parse_formats("tensorrt", None, {}))
    assert ON_THE_BOARD in str(raised.value)
    with pytest.raises(InputError, match=r"onnxruntime cannot start CUDA here") as raised:
        require_accelerators(parse_formats("onnx", "gpu", {"provider": "cuda"}))
    assert ON_THE_BOARD not in str(raised.value)


def test_what_starts_is_not_refused(engine, tmp_path) -> None:
    engine("onnxruntime", BUILD.format(first=0, starts=True))
    require_accelerators(parse_formats("tensorrt", None, {}))
    require_accelerators(parse_formats("onnx", "gpu", {}))
    assert (tmp_path / "cache" / "tensorrt").is_dir()


def test_a_cache_of_engines_that_cannot_be_made_is_found_before_work(engine, tmp_path) -> None:
    engine("onnxruntime", BUILD.format(first=0, starts=True))
    (tmp_path / "cache").write_text("")
    with pytest.raises(InputError, match="set EDGEPOSE_CACHE to a writable folder"):
        require_accelerators(parse_formats("tensorrt", None, {}))


def test_an_engine_without_such_an_accelerator_is_refused(engine) -> None:
    engine("ncnn", "def get_gpu_count():\n    return 0")
    with pytest.raises(InputError, match="ncnn finds no gpu here; `edgepose doctor`"):
        require_accelerators(Formats(["ncnn"], {"ncnn": GPU}))
    # a driver that crashes the engine is none
    engine("ncnn", "def get_gpu_count():\n    import os; os.abort()")
    with pytest.raises(InputError, match="ncnn finds no gpu here"):
        require_accelerators(Formats(["ncnn"], {"ncnn": GPU}))


def test_options_that_an_engine_does_not_know_are_refused_before_work() -> None:
    options = RunOptions(accelerator="gpu", extra={"provider": "cuda"})
    with pytest.raises(InputError, match="ncnn has no option provider; valid ones: winograd"):
        require_accelerators(Formats(["ncnn"], {"ncnn": options}))
    with pytest.raises(InputError, match="--engine-option delegate="):
        require_accelerators(Formats(["tflite"], {"tflite": GPU}))
