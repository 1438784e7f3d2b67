"""Formats of `export`, and the accelerators that artifacts are checked on besides the CPU, which must start first."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from edge.cli.health.accelerators import ask_engines
from edge.cli.options import parse_list
from runtimes.adapters.onnx_providers import PROVIDERS, SUFFIX, engine_cache, wanted_providers
from runtimes.base import Accelerator, RunOptions
from runtimes.errors import InputError
from runtimes.registry import ENGINES, installed_engine
from runtimes.spec import Runtime

FORMATS: dict[str, Runtime] = {
    "onnx": "onnxruntime",
    "onnxruntime": "onnxruntime",
    "ncnn": "ncnn",
    "openvino": "openvino",
    "tflite": "tflite",
    "tensorrt": "onnxruntime",
}
TENSORRT = RunOptions(accelerator="gpu", extra={"provider": "tensorrt"})
# of other tools for what TensorRT builds
ENGINES_OF_TENSORRT = {"trt", "engine", "plan", "trtexec"}
ON_THE_BOARD = (
    "TensorRT builds an engine for the one kind of GPU that it runs on, so that this is done on the board: here"
    " --format onnx, and there `edgepose verify ARTIFACT --accelerator gpu --precision f16"
    " --engine-option provider=tensorrt`"
)
# TensorRT loads for many seconds on a small Jetson
MOST_ASKED_S = 180.0


@dataclass(frozen=True, slots=True)
class Formats:
    """Runtimes to export to, and the options of the accelerators that their artifacts must pass on too."""

    runtimes: list[Runtime]
    accelerated: Mapping[Runtime, RunOptions] = field(default_factory=dict)


def parse_formats(
    text: str, accelerator: Accelerator | None, extra: Mapping[str, int | str]
) -> Formats:
    """Split `a,b` into formats; raises InputError for an unknown one.

    accelerator, extra: what to check every artifact on, besides the CPU's own kernels; None and empty for nothing.
    """
    wanted = {name.strip() for name in text.split(",")}
    if engines := sorted(wanted & ENGINES_OF_TENSORRT):
        raise InputError(
            f"unknown format {engines[0]}; for an engine of TensorRT: --format tensorrt"
        )
    runtimes = parse_list(text, FORMATS, "format")
    if accelerator is None and not extra:
        return Formats(runtimes, {"onnxruntime": TENSORRT} if "tensorrt" in wanted else {})
    if "tensorrt" in wanted:
        raise InputError(
            "format tensorrt is --format onnx --accelerator gpu --engine-option provider=tensorrt;"
            " give the one or the other"
        )
    options = RunOptions(accelerator=accelerator or "cpu", extra=extra)
    return Formats(runtimes, dict.fromkeys(runtimes, options))


def require_accelerators(formats: Formats) -> None:
    """Raise InputError, before any work, for an engine that has no such accelerator here, or cannot start it."""
    for runtime, options in formats.accelerated.items():
        problem = _problem(runtime, options)
        if problem and options is TENSORRT:
            raise InputError(f"format tensorrt: {problem}. {ON_THE_BOARD}")
        if problem:
            raise InputError(problem)


def option_words(options: RunOptions) -> list[str]:
    """Return the options of a session as `verify` and `bench` take them."""
    extra = [("--engine-option", f"{name}={value}") for name, value in options.extra.items()]
    named = [("--accelerator", options.accelerator), ("--precision", options.precision), *extra]
    return [word for pair in named for word in pair]


def _problem(runtime: Runtime, options: RunOptions) -> str:
    """Return what is missing, with what to do; "" where nothing is, or only a loaded network would tell."""
    from runtimes.adapters.common import refuse_unknown_extra
    from runtimes.adapters.tflite_delegates import delegate_library

    adapter = importlib.import_module(ENGINES[runtime].adapter)
    refuse_unknown_extra(options, adapter.EXTRA, runtime)
    if runtime == "onnxruntime":
        return _provider_problem(options)
    if runtime == "tflite":
        delegate_library(options)
    elif options.accelerator != "cpu" and not _backends(runtime, options.accelerator):
        return (
            f"{runtime} finds no {options.accelerator} here; `edgepose doctor` says what it finds"
        )
    return ""


def _provider_problem(options: RunOptions) -> str:
    from runtimes.adapters.onnxruntime_adapter import import_onnxruntime

    try:
        wanted = wanted_providers(import_onnxruntime(), options)
    except InputError as error:
        if options is not TENSORRT:
            return str(error)
        return f"this onnxruntime has no TensorRT; {PROVIDERS['tensorrt'].install}"
    if options.accelerator != "gpu":  # QNN may need options of its own to start
        return ""
    names = [each.name.removesuffix(SUFFIX) for each in wanted]
    if not set(names).isdisjoint(_backends("onnxruntime", "gpu")):
        if PROVIDERS["tensorrt"] in wanted:
            engine_cache()
        return ""
    return f"onnxruntime cannot start {' or '.join(names)} here; it needs {wanted[0].needs}"


def _backends(runtime: Runtime, accelerator: Accelerator) -> set[str]:
    """Return what an engine drives such an accelerator with and can start, asked in a process of its own."""
    module = str(installed_engine(runtime))
    found = ask_engines([module], MOST_ASKED_S)[module]
    return {each.backend for each in found or () if each.accelerator == accelerator and each.starts}
