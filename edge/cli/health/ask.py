"""Ask one engine which accelerators it can use here: a program for a process of its own, standard library only.

Run by its path, with the engine's module as argument; `edge.cli.health.accelerators` starts it. Its answer on stdout is
a list of {"accelerator": "gpu" or "npu", "backend": text, "starts": bool}; nothing where a driver crashes it.
"""

import ctypes
import importlib
import importlib.util
import json
import os
import platform
import sys
from typing import Any

# A graph of one node, y = -x, as ONNX writes it: to see whether a provider starts.
GRAPH = (
    b'\x08\x08\x12\x00:2\n\x0b\n\x01x\x12\x01y"\x03Neg\x12\x01gZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04'
    b"\n\x02\x08\x01b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\r"
)
# Providers with the accelerator that each drives, and the settings that it starts with.
PROVIDERS: "list[tuple[str, str, dict[str, str]]]" = [
    ("TensorrtExecutionProvider", "gpu", {}),
    ("CUDAExecutionProvider", "gpu", {}),
    ("OpenVINOExecutionProvider", "gpu", {"device_type": "GPU"}),
    ("OpenVINOExecutionProvider", "npu", {"device_type": "NPU"}),
    ("QNNExecutionProvider", "npu", {"backend_path": "libQnnHtp.so"}),
]
DELEGATES = {
    "libQnnTFLiteDelegate.so": "npu",
    "libedgetpu.so.1": "npu",
    "libvx_delegate.so": "npu",
    "libethosu_delegate.so": "npu",
    "libarmnnDelegate.so": "gpu",
}
Found = list[dict[str, Any]]


def vulkan(ncnn: Any) -> Found:
    """Return the Vulkan devices that ncnn finds."""
    if not hasattr(ncnn, "get_gpu_count"):
        return []
    names = [ncnn.get_gpu_info(index).device_name() for index in range(ncnn.get_gpu_count())]
    return [_found("gpu", f"Vulkan on {name}") for name in names]


def openvino(module: Any) -> Found:
    """Return OpenVINO's devices other than the CPU."""
    core = module.Core()
    others = [name for name in core.available_devices if name.split(".")[0] in {"GPU", "NPU"}]
    return [_found(name[:3].lower(), name) for name in others]


def onnxruntime(module: Any) -> Found:
    """Return the providers of this build, and whether they start; the devices of QNN's plugin."""
    if not hasattr(module, "InferenceSession"):
        return []
    available = module.get_available_providers()
    found = [
        _found(accelerator, _short(name), starts=_starts(module, name, options))
        for name, accelerator, options in PROVIDERS
        if name in available
    ]
    if importlib.util.find_spec("onnxruntime_qnn") and hasattr(module, "get_ep_devices"):
        name = "QNNExecutionProvider"
        plugin = importlib.import_module("onnxruntime_qnn")
        module.register_execution_provider_library(name, plugin.get_library_path())
        kinds = {each.device.type.name for each in module.get_ep_devices() if each.ep_name == name}
        found.append(_found("npu", "QNN", starts="NPU" in kinds))
    return found


def delegates(_module: Any) -> Found:
    """Return the libraries of TFLite delegates in the usual folders, and whether they load."""
    folders = [
        "/usr/lib",
        "/usr/lib64",
        "/usr/local/lib",
        f"/usr/lib/{platform.machine()}-linux-gnu",
    ]
    folders += [each for each in os.environ.get("LD_LIBRARY_PATH", "").split(":") if each]
    paths = {
        os.path.realpath(path): (path, DELEGATES[name])
        for folder in folders
        for name in DELEGATES
        if os.path.isfile(path := os.path.join(folder, name))  # noqa: PTH113, PTH118 as probe.py: loads less
    }
    return [_found(kind, f"delegate={path}", starts=_loads(path)) for path, kind in paths.values()]


ASK = {
    "ncnn": vulkan,
    "openvino": openvino,
    "onnxruntime": onnxruntime,
    "ai_edge_litert": delegates,
    "tflite_runtime": delegates,
}


def _found(accelerator: str, backend: str, *, starts: bool = True) -> "dict[str, Any]":
    return {"accelerator": accelerator, "backend": backend, "starts": starts}


def _short(provider: str) -> str:
    return provider.removesuffix("ExecutionProvider")


def _starts(module: Any, name: str, options: "dict[str, str]") -> bool:
    try:
        session = module.InferenceSession(
            GRAPH, providers=[(name, options), "CPUExecutionProvider"], enable_fallback=0
        )
    except Exception:  # noqa: BLE001 the binding's exceptions have no other base
        return False
    return bool(session.get_providers()[0] == name)


def _loads(path: str) -> bool:
    try:
        return hasattr(ctypes.CDLL(path), "tflite_plugin_create_delegate")
    except OSError:
        return False


def main() -> None:
    """Ask the module named on the command line."""
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 as probe.py
    sys.path[:] = [entry for entry in sys.path if entry and os.path.abspath(entry) != here]  # noqa: PTH100
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment] # as probe.py: no event is sent
    answers = os.dup(1)
    os.dup2(2, 1)  # what drivers print is no answer
    name = sys.argv[1]
    os.write(answers, json.dumps(ASK[name](importlib.import_module(name))).encode())
    os._exit(0)  # no engine's destructors


if __name__ == "__main__":
    main()
