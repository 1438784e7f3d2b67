"""Adapter of OpenVINO (*.xml and *.bin).

By default OpenVINO computes in bf16 or f16 where the CPU can, and returns buffers that the next run overwrites: here
the arithmetic is always set and read back, and outputs are copied.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtimes.adapters import common
from runtimes.adapters.image_input import image_input
from runtimes.artifact import Artifact
from runtimes.base import Accelerator, Arithmetic, Array, Effective, Feeds, Outputs, RunOptions
from runtimes.errors import InputError
from runtimes.install.import_errors import broken_import
from runtimes.placement import Placement, placed, require_taken
from runtimes.telemetry import disable_telemetry
from runtimes.threads import allowed_cores, resolve_threads

EXTRA = ("max_batch", "pinning", "core_type", "cache_dir")
OF_THE_CPU = ("pinning", "core_type")
# each size is run once
MOST_WARMED = 256

DEVICES: dict[Accelerator, str] = {"cpu": "CPU", "gpu": "GPU", "npu": "NPU"}
ARITHMETIC: dict[str, Arithmetic] = {"f32": "f32", "f16": "f16", "bf16": "bf16"}
# oneDNN kept to these by its variable has no 16-bit kernels
ISA_WITHOUT_16_BIT = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2")
CORE_TYPES = ("ANY_CORE", "PCORE_ONLY", "ECORE_ONLY")

# of the compiled graph: no work of the network
NO_WORK = ("Const", "Input", "Output")
NOT_TAKEN = "run it with --accelerator cpu"
REFUSED = "export it again, or upgrade OpenVINO: pip install -U 'edgepose[openvino]'"


def open_session(artifact: Artifact, options: RunOptions) -> "OpenvinoSession":
    """Load and compile the artifact's .xml and .bin.

    extra: max_batch (sizes up to it are warmed up; 1), pinning (1 where `threads` take all cores, else 0), core_type
    (ANY_CORE, PCORE_ONLY, ECORE_ONLY), cache_dir (where compiled models are kept). Raises InputError for an unknown
    option or an accelerator this machine lacks, EngineError for files that OpenVINO refuses, MissingDependencyError.
    """
    return OpenvinoSession(artifact, options)


class OpenvinoSession:
    """One compiled model and its one request. Files with a fixed batch of one run image by image."""

    def __init__(self, artifact: Artifact, options: RunOptions) -> None:
        common.refuse_unknown_extra(options, EXTRA, "openvino")
        max_batch = common.extra_int(options, "max_batch", 1, 1, MOST_WARMED)
        openvino = _import_openvino()
        core = openvino.Core()
        device = _device(core, options.accelerator)
        self._artifact = artifact
        self._input = common.image_tensor(artifact)
        self._convert = image_input(artifact.manifest.image, self._input)
        config = _config(options, device)
        with common.translated(artifact.root, "OpenVINO cannot load it", REFUSED, (RuntimeError,)):
            model = core.read_model(str(artifact.file(".xml")), str(artifact.file(".bin")))
            compiled = core.compile_model(model, device, config)
        _require_kept(compiled, options)
        self._bind(compiled)
        self._effective = _read_back(compiled, openvino.__version__)
        if self._effective.placement:
            require_taken(artifact.root, self._effective.placement, NOT_TAKEN)
        self._request: Any = compiled.create_infer_request()
        self._tensor = openvino.Tensor
        self.engine_ns = 0
        self._warm(max_batch)

    @property
    def effective(self) -> Effective:
        """Threads, arithmetic and accelerator as the compiled model reports them."""
        return self._effective

    def run(self, feeds: Feeds) -> Outputs:
        """Run a batch as `runtimes.base.Session.run` says."""
        if self._request is None:
            raise common.closed(self._artifact.root)
        return self._run(common.image_batch(feeds, self._artifact.manifest))

    def close(self) -> None:
        """Free the compiled model."""
        self._request = None

    def _run(self, batch: NDArray[np.uint8]) -> Outputs:
        return common.run_batch(
            self._artifact, batch, self._convert, self._infer, batched=self._dynamic
        )

    def _infer(self, tensor: Array) -> list[Array]:
        with common.translated(
            self._artifact.root, "OpenVINO failed", common.MISMATCH, (RuntimeError,)
        ):
            # a dictionary of inputs, and copies of the outputs, cost a tenth of a millisecond in Python
            shared = self._tensor(tensor, shared_memory=tensor.flags.writeable)
            self._request.set_tensor(self._source, shared)
            self._request.infer(share_outputs=True)
        self.engine_ns += int(self._request.latency * 1e6)
        # the next run writes into the same buffers
        return [self._request.get_tensor(port).data.copy() for port in self._ports]

    def _bind(self, compiled: Any) -> None:
        """Find the manifest's tensors in the compiled model, and whether its batch is dynamic."""
        inputs = {name: port for port in compiled.inputs for name in port.names}
        results = {name: port for port in compiled.outputs for name in port.names}
        common.require_tensors(self._artifact, _dtypes(inputs), _dtypes(results))
        self._source = inputs[common.engine_name(self._input)]
        outputs = self._artifact.manifest.outputs
        self._ports = [results[common.engine_name(tensor)] for tensor in outputs]
        size = self._source.partial_shape[0]
        fixed = None if size.is_dynamic else int(size.get_length())
        self._dynamic = common.takes_batches(self._artifact.root, self._input, fixed)

    def _warm(self, max_batch: int) -> None:
        """Run each batch size once: the first run of a new size costs 4 to 30 ms more."""
        width, height = self._artifact.manifest.image.wh
        for size in range(1, (max_batch if self._dynamic else 1) + 1):
            self._run(np.zeros((size, height, width, 3), np.uint8))


def _dtypes(ports: Mapping[str, Any]) -> dict[str, str]:
    return {name: np.dtype(port.element_type.to_dtype()).name for name, port in ports.items()}


def _import_openvino() -> Any:
    disable_telemetry()
    try:
        import openvino
    except ImportError as error:
        raise broken_import("openvino", "openvino", error) from error
    return openvino


def _device(core: Any, wanted: Accelerator) -> str:
    device = DEVICES[wanted]
    available = core.available_devices
    if not any(name.split(".")[0] == device for name in available):
        raise InputError(
            f"OpenVINO finds no {device} here, only {', '.join(available)}; install its driver, or --accelerator cpu"
        )
    return device


def _config(options: RunOptions, device: str) -> dict[str, Any]:
    core_type = options.extra.get("core_type", "ANY_CORE")
    if core_type not in CORE_TYPES:
        raise InputError(f"option core_type is one of {', '.join(CORE_TYPES)}, not {core_type!r}")
    unused = [key for key in OF_THE_CPU if key in options.extra and device != "CPU"]
    if unused:
        raise InputError(
            f"option {' and '.join(unused)}: of the CPU's threads alone;"
            f" leave it out with --accelerator {options.accelerator}"
        )
    config: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": _supported(options.precision, device),
    }
    if device == "CPU":
        threads = resolve_threads(options.threads)
        # every model's threads are pinned from the first core on, so that two models of one thread would share a core
        pinning = threads >= allowed_cores()
        config |= {
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": common.extra_flag(options, "pinning", default=pinning),
            "SCHEDULING_CORE_TYPE": core_type,
            # by default weight-compressed layers quantise their activations too, whatever the precision hint;
            # a string, because OpenVINO 2024 takes no signed integer here
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
        }
    if "cache_dir" in options.extra:
        config["CACHE_DIR"] = _cache_folder(str(options.extra["cache_dir"]))
    return config


def _cache_folder(name: str) -> str:
    """Make the folder, which OpenVINO does without in silence; raises InputError where it cannot be written."""
    try:
        Path(name).mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=name):
            pass
    except OSError as error:
        raise InputError(
            f"option cache_dir: cannot write into {name} ({error.strerror}); name another folder"
        ) from error
    return name


def _require_kept(compiled: Any, options: RunOptions) -> None:
    """Raise InputError where OpenVINO went on without an option: the CPU has one kind of cores, or cannot pin."""
    asked = options.extra.get("core_type")
    if asked and not str(compiled.get_property("SCHEDULING_CORE_TYPE")).endswith(str(asked)):
        raise InputError(f"option core_type: this CPU has no cores for {asked}; leave it out")
    if options.extra.get("pinning") and not compiled.get_property("ENABLE_CPU_PINNING"):
        raise InputError("option pinning: OpenVINO does not pin threads here; leave it out")


def _supported(precision: Arithmetic, device: str) -> Arithmetic:
    """Return f32 where oneDNN is kept from 16-bit kernels.

    OpenVINO goes by the flags of the CPU, and crashes in a oneDNN that ONEDNN_MAX_CPU_ISA keeps below them.
    """
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA", "")
    return "f32" if device == "CPU" and limit.upper() in ISA_WITHOUT_16_BIT else precision


def _read_back(compiled: Any, version: str) -> Effective:
    """Return what the compiled model reports: f16 on an x86 CPU becomes bf16 or f32."""
    devices = compiled.get_property("EXECUTION_DEVICES")
    device = devices[0].split(".")[0]
    name = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    # with a GPU or an NPU the CPU runs the caller's thread alone
    threads = compiled.get_property("INFERENCE_NUM_THREADS") if device == "CPU" else 1
    accelerator = next(each for each, known in DEVICES.items() if known == device)
    engine = f"OpenVINO {version.split('-', maxsplit=1)[0]} on {', '.join(devices)}"
    placement = None if accelerator == "cpu" else layer_placement(compiled, device)
    return Effective(int(threads), ARITHMETIC.get(name, "f32"), accelerator, engine, placement)


def layer_placement(compiled: Any, device: str) -> Placement | None:
    """Return the layers that `device` executes; None where its plugin does not show them, as some of the NPU do not.

    A model is compiled for one device as a whole, or not at all: the layers of its executable graph are all there.
    """
    try:
        layers = compiled.get_runtime_model().get_ops()
    except RuntimeError:
        return None
    kinds = [layer.get_rt_info()["layerType"].astype(str) for layer in layers]
    return placed(device, [(device, kind) for kind in kinds if kind not in NO_WORK])
