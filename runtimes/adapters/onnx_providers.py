"""Execution providers of ONNX Runtime: which accelerator each drives, what brings it, and the options it gets."""

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtimes.artifact import Artifact
from runtimes.base import Accelerator, Arithmetic, RunOptions
from runtimes.errors import InputError
from runtimes.files import cache_dir
from runtimes.spec import Precision
from runtimes.threads import resolve_threads

SUFFIX = "ExecutionProvider"
CPU = f"CPU{SUFFIX}"
DEVICE_TYPE: dict[Accelerator, str] = {"cpu": "CPU", "gpu": "GPU", "npu": "NPU"}
TENSORRT_FLAGS: dict[str, Arithmetic] = {"trt_fp16_enable": "f16", "trt_bf16_enable": "bf16"}
QNN_PACKAGE = "onnxruntime_qnn"

Settings = dict[str, str]


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider: ONNX Runtime's name of it, and what it drives.

    install: what brings it, as an instruction. needs: what it needs besides in order to start. one_image: whether it
    wants every axis of the graph fixed, so that a batch runs image by image. misreads_pixels: whether it computes a
    Cast of uint8 wrong, so that the graph's input is made float32. options: its settings for an artifact.
    """

    name: str
    accelerators: tuple[Accelerator, ...]
    install: str
    needs: str
    options: Callable[[Artifact, RunOptions], Settings]
    one_image: bool = False
    misreads_pixels: bool = False


def _none(_artifact: Artifact, _options: RunOptions) -> Settings:
    return {}


def _xnnpack(_artifact: Artifact, options: RunOptions) -> Settings:
    return {"intra_op_num_threads": str(resolve_threads(options.threads))}


def _cuda(_artifact: Artifact, _options: RunOptions) -> Settings:
    # TF32, CUDA's default, keeps ten bits of each factor
    return {"use_tf32": "0"}


def _tensorrt(artifact: Artifact, options: RunOptions) -> Settings:
    """Return the settings of TensorRT: 16-bit layers as asked for, int8 ones for a QDQ file, engines kept in the cache.

    TensorRT names an engine's file after the graph and the GPU, and builds it anew where its own version differs.
    """
    folder = str(engine_cache())
    return {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": folder,
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": folder,
        **{flag: str(int(options.precision == kind)) for flag, kind in TENSORRT_FLAGS.items()},
        "trt_int8_enable": str(int(artifact.manifest.precision == "int8")),
    }


def _openvino(_artifact: Artifact, options: RunOptions) -> Settings:
    settings = {"device_type": DEVICE_TYPE[options.accelerator]}
    if options.accelerator == "cpu":
        settings["num_of_threads"] = str(resolve_threads(options.threads))
    if options.accelerator == "gpu":
        settings["precision"] = "FP16" if options.precision == "f16" else "FP32"
    return settings


def _qnn(_artifact: Artifact, options: RunOptions) -> Settings:
    backend = "gpu" if options.accelerator == "gpu" else "htp"
    if importlib.util.find_spec(QNN_PACKAGE) is None:
        return {"backend_path": f"libQnn{backend.capitalize()}.so"}
    plugin = importlib.import_module(QNN_PACKAGE)
    return {"backend_path": str(getattr(plugin, f"get_qnn_{backend}_path")())}


PROVIDERS: dict[str, Provider] = {
    "cpu": Provider(CPU, ("cpu",), "onnxruntime", "", _none),
    "xnnpack": Provider(
        f"Xnnpack{SUFFIX}",
        ("cpu",),
        "build ONNX Runtime with --use_xnnpack (no wheel on PyPI has it)",
        "nothing else",
        _xnnpack,
    ),
    "tensorrt": Provider(
        f"Tensorrt{SUFFIX}",
        ("gpu",),
        "install onnxruntime-gpu in place of onnxruntime, and TensorRT; on a Jetson NVIDIA's wheel",
        "TensorRT, CUDA and cuDNN of the versions it was built with",
        _tensorrt,
        one_image=True,
    ),
    "cuda": Provider(
        f"CUDA{SUFFIX}",
        ("gpu",),
        "install onnxruntime-gpu in place of onnxruntime; on a Jetson NVIDIA's wheel",
        "an NVIDIA driver, CUDA and cuDNN of the versions it was built with",
        _cuda,
    ),
    "openvino": Provider(
        f"OpenVINO{SUFFIX}",
        ("cpu", "gpu", "npu"),
        "install onnxruntime-openvino in place of onnxruntime",
        "the driver of that device",
        _openvino,
        one_image=True,
    ),
    "qnn": Provider(
        f"QNN{SUFFIX}",
        ("npu", "gpu"),
        "pip install onnxruntime-qnn",
        "a Qualcomm device of a kind that its backend knows",
        _qnn,
        one_image=True,
        misreads_pixels=True,  # onnxruntime-qnn 2.7 casts every value but 0 to 1
    ),
}
# Without the option `provider`: the first of these that is installed, starts and takes a node.
ORDER: dict[Accelerator, tuple[str, ...]] = {
    "cpu": ("cpu",),
    "gpu": ("tensorrt", "cuda", "openvino"),
    "npu": ("qnn", "openvino"),
}


def engine_cache() -> Path:
    """Return the folder of engines that TensorRT built, in the user's cache; raises InputError where it has none."""
    folder = cache_dir() / "tensorrt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: TensorRT's engines cannot be kept there ({error.strerror});"
            " set EDGEPOSE_CACHE to a writable folder"
        ) from error
    return folder


def wanted_providers(ort: Any, options: RunOptions) -> list[Provider]:
    """Return the installed providers to try for the accelerator and the option `provider`, best first.

    Raises InputError for one that is unknown, drives another processor or is not installed, with what to install.
    """
    asked, processor = options.extra.get("provider"), options.accelerator
    if asked is not None and (asked not in PROVIDERS):
        raise InputError(f"option provider is one of {', '.join(PROVIDERS)}, not {asked!r}")
    names = ORDER[processor] if asked is None else (str(asked),)
    for name in names:
        drives = PROVIDERS[name].accelerators
        if processor not in drives:
            raise InputError(
                f"provider {name} does not run on the {processor}; use --accelerator {drives[0]}"
            )
    found = [name for name in names if _installed(ort, PROVIDERS[name])]
    if not found:
        ways = "; ".join(f"{name}: {PROVIDERS[name].install}" for name in names)
        raise InputError(
            f"this onnxruntime has no provider for the {processor} ({ways}), or --accelerator cpu"
        )
    return [PROVIDERS[name] for name in found]


def _installed(ort: Any, provider: Provider) -> bool:
    return provider.name in ort.get_available_providers() or _is_plugin(provider)


def _is_plugin(provider: Provider) -> bool:
    """Return whether a provider is a package beside the plain onnxruntime."""
    return provider is PROVIDERS["qnn"] and importlib.util.find_spec(QNN_PACKAGE) is not None


def attach(
    ort: Any, settings: Any, provider: Provider, options: Settings, kind: str
) -> list[Any] | None:
    """Return the `providers` of an inference session, or None where `settings` got the provider as a plugin.

    kind: of the device that a plugin is given: NPU, GPU; where it finds no such one, its first (a simulator).
    Raises ValueError where it finds none.
    """
    if provider.name == CPU:
        return [CPU]
    if not _is_plugin(provider):
        return [(provider.name, options), CPU]
    if not any(each.ep_name == provider.name for each in ort.get_ep_devices()):
        plugin = importlib.import_module(QNN_PACKAGE)
        ort.register_execution_provider_library(provider.name, plugin.get_library_path())
    devices = [each for each in ort.get_ep_devices() if each.ep_name == provider.name]
    if not devices:
        raise ValueError("it finds no device")
    own = [each for each in devices if each.device.type.name == kind]
    settings.add_provider_for_devices((own or devices)[:1], options)
    return None


def arithmetic(session: Any, options: RunOptions, file: Precision) -> Arithmetic:
    """Return the arithmetic of a session with a file of precision `file`: f32 unless its provider is set to less."""
    name = session.get_providers()[0]
    settings = session.get_provider_options().get(name, {})
    if name == PROVIDERS["tensorrt"].name:
        on = [kind for flag, kind in TENSORRT_FLAGS.items() if settings.get(flag) in {"1", "True"}]
        return on[0] if on else "f32"
    if name not in {PROVIDERS["openvino"].name, PROVIDERS["qnn"].name}:
        return "f32"
    # NPUs have no float32; neither provider reports what it computes in
    half = file != "int8" if options.accelerator == "npu" else options.precision == "f16"
    return "f16" if half and options.accelerator != "cpu" else "f32"
