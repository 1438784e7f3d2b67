"""Engines asked for accelerators, each in a process of its own; stand-ins for engines and their drivers."""

import pytest

from edge.cli.health.accelerators import Usable, accelerator_notes, ask_engines

OPENVINO = "class Core:\n    available_devices = ['CPU', 'GPU.0', 'GPU.1', 'NPU', 'GNA']"
NCNN = """
import types
def get_gpu_count():
    print("a driver talks")
    return 2
def get_gpu_info(index):
    return types.SimpleNamespace(device_name=lambda: ["Adreno 740", "llvmpipe"][index])
"""
# as builds with CUDA behave where its libraries are missing: listed, and the session is on the CPU
ONNXRUNTIME = """
import types
def get_available_providers():
    return ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
def InferenceSession(graph, providers, enable_fallback):
    name = providers[0][0]
    if name.startswith("Tensorrt"):
        raise RuntimeError("libnvinfer.so.10 is missing")
    return types.SimpleNamespace(get_providers=lambda: ["CPUExecutionProvider"])
"""


@pytest.fixture
def engines(tmp_path, monkeypatch):
    """Write modules that the processes import in place of the installed ones."""

    def write(**modules: str) -> list[str]:
        for name, text in modules.items():
            (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        return list(modules)

    return write


def test_each_engine_tells_what_it_can_use(engines) -> None:
    found = ask_engines(engines(openvino=OPENVINO, ncnn=NCNN, ai_edge_litert=""), 60)
    assert found == {
        "openvino": (
            Usable("gpu", "GPU.0", starts=True),
            Usable("gpu", "GPU.1", starts=True),
            Usable("npu", "NPU", starts=True),
        ),
        "ncnn": (
            Usable("gpu", "Vulkan on Adreno 740", starts=True),
            Usable("gpu", "Vulkan on llvmpipe", starts=True),
        ),
        "ai_edge_litert": (),
    }
    first, *_, last = accelerator_notes(found)
    assert first == "--accelerator gpu: openvino with GPU.0"
    assert last.endswith("Vulkan on llvmpipe, a driver in software: slower than the cpu")


def test_a_provider_that_falls_back_to_the_cpu_does_not_start(engines) -> None:
    found = ask_engines(engines(onnxruntime=ONNXRUNTIME), 60)
    assert found["onnxruntime"] == (
        Usable("gpu", "Tensorrt", starts=False),
        Usable("gpu", "CUDA", starts=False),
    )
    assert all("does not start here" in note for note in accelerator_notes(found))


@pytest.mark.parametrize("text", ["import os; os.abort()", "def get_gpu_count(): raise OSError"])
def test_a_driver_that_crashes_takes_its_own_process_along(engines, text) -> None:
    found = ask_engines(engines(ncnn=text, openvino=OPENVINO), 60)
    assert found["ncnn"] is None
    assert found["openvino"]
    assert "ncnn: asking it for accelerators ended it" in accelerator_notes(found)[0]


def test_a_driver_that_hangs_is_ended(engines) -> None:
    assert ask_engines(engines(ncnn="import time; time.sleep(600)"), 0.5) == {"ncnn": None}


def test_other_packages_are_not_asked() -> None:
    assert ask_engines(["cv2", "numpy"], 60) == {}


def test_the_installed_onnxruntime_is_asked_without_an_error() -> None:
    pytest.importorskip("onnxruntime")
    found = ask_engines(["onnxruntime"], 60)["onnxruntime"]
    assert found is not None
    assert all(each.accelerator in {"gpu", "npu"} for each in found)
