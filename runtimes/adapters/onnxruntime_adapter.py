"""Runs ONNX artifacts: *.onnx, by ONNX Runtime on the CPU, or on CUDA where its GPU build is installed.

Its worker threads spin between runs by default: best where the cores are ours alone, bad for whatever else runs on
them (the camera, the decoder); extra spinning=0 turns it off.
"""

from typing import Any

import numpy as np

from runtimes.adapters.common import (
    closed,
    engine_name,
    extra_int,
    image_batch,
    image_tensor,
    refuse_unknown_extra,
    require_dtype,
    require_names,
    takes_batches,
    translated,
)
from runtimes.adapters.image_input import image_input
from runtimes.adapters.outputs import join_batches, name_outputs
from runtimes.artifact import Artifact
from runtimes.base import Array, Effective, Feeds, Outputs, RunOptions
from runtimes.errors import EngineError, InputError, MissingDependencyError
from runtimes.threads import resolve_threads

EXTRA = ("spinning",)

DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}
ERRORS_ONLY = 3

REFUSED = "export it again, or upgrade ONNX Runtime: pip install -U 'edgepose[onnxruntime]'"


def open_session(artifact: Artifact, options: RunOptions) -> "OnnxruntimeSession":
    """Load the artifact's .onnx file.

    extra: spinning (1; 0 lets worker threads sleep between runs). Raises InputError for an accelerator that is not
    there, EngineError for a file that ONNX Runtime refuses, MissingDependencyError without onnxruntime.
    """
    return OnnxruntimeSession(artifact, options)


class OnnxruntimeSession:
    """One inference session. A file with a fixed batch of one runs a batch in turn."""

    def __init__(self, artifact: Artifact, options: RunOptions) -> None:
        refuse_unknown_extra(options, EXTRA, "onnxruntime")
        ort = _import_onnxruntime()
        self._artifact = artifact
        self._tensor = image_tensor(artifact)
        self._convert = image_input(artifact.manifest.image, self._tensor)
        self._errors = _engine_errors(ort)
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = resolve_threads(options.threads)
        settings.inter_op_num_threads = 1
        settings.log_severity_level = ERRORS_ONLY
        spinning = extra_int(options, "spinning", 1)
        settings.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning > 0)))
        providers = _providers(ort, options)
        path = str(artifact.file(".onnx"))
        with translated(artifact.root, "ONNX Runtime cannot load it", REFUSED, self._errors):
            self._session: Any = ort.InferenceSession(path, settings, providers=providers)
        if self._session.get_providers()[0] != providers[0][0]:
            raise EngineError(
                f"{artifact.root}: ONNX Runtime could not start {providers[0][0]}; check its CUDA libraries,"
                " or --accelerator cpu"
            )
        # the CPU and CUDA kernels compute a float32 graph in float32, whatever was asked
        in_use = int(self._session.get_session_options().intra_op_num_threads)
        self._effective = Effective(in_use, "f32", options.accelerator)
        self._bind()

    @property
    def effective(self) -> Effective:
        """Threads and accelerator as set; arithmetic is f32: a float32 graph has no other kernels."""
        return self._effective

    def run(self, feeds: Feeds) -> Outputs:
        """Run a batch as `runtimes.base.Session.run` says."""
        if self._session is None:
            raise closed(self._artifact.root)
        tensor = self._convert(image_batch(feeds, self._artifact.manifest))
        pieces = [tensor] if self._dynamic else np.split(tensor, len(tensor))
        outputs = self._artifact.manifest.outputs
        parts = [name_outputs(self._artifact.root, outputs, self._infer(piece)) for piece in pieces]
        return join_batches(self._artifact.root, outputs, parts)

    def close(self) -> None:
        """Free the session."""
        self._session = None

    def _infer(self, tensor: Array) -> list[Array]:
        fix = "its manifest and file do not fit each other: export or import it again"
        names = [engine_name(output) for output in self._artifact.manifest.outputs]
        with translated(self._artifact.root, "ONNX Runtime failed", fix, self._errors):
            raw: list[Array] = self._session.run(names, {engine_name(self._tensor): tensor})
        return raw

    def _bind(self) -> None:
        """Check that the manifest's tensors are in the file, and whether its batch is free."""
        root, outputs = self._artifact.root, self._artifact.manifest.outputs
        inputs = {value.name: value for value in self._session.get_inputs()}
        results = {value.name: value for value in self._session.get_outputs()}
        require_names(root, (self._tensor,), inputs)
        require_names(root, outputs, results)
        for tensor in (self._tensor, *outputs):
            kind = (inputs | results)[engine_name(tensor)].type
            require_dtype(root, tensor, DTYPES.get(kind, kind))
        # a free axis comes as its name or None
        size = inputs[engine_name(self._tensor)].shape[0]
        self._dynamic = takes_batches(root, self._tensor, size if isinstance(size, int) else None)


def _import_onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError("onnxruntime", "onnxruntime") from error
    return onnxruntime


def _engine_errors(ort: Any) -> tuple[type[BaseException], ...]:
    """Return the exception classes of ONNX Runtime's binding, which share no base but Exception."""
    state = ort.capi.onnxruntime_pybind11_state
    found = [value for value in vars(state).values() if isinstance(value, type)]
    own = tuple(value for value in found if issubclass(value, Exception))
    return (*own, ValueError, RuntimeError)


def _providers(ort: Any, options: RunOptions) -> list[tuple[str, dict[str, str]]]:
    cpu: tuple[str, dict[str, str]] = ("CPUExecutionProvider", {})
    if options.accelerator == "cpu":
        return [cpu]
    if options.accelerator == "npu":
        raise InputError("onnxruntime runs on cpu or gpu here, not on an npu; --accelerator cpu")
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        raise InputError(
            "this onnxruntime has no CUDA; install onnxruntime-gpu in its place, or --accelerator cpu"
        )
    # TF32, CUDA's default, keeps ten bits of each factor
    return [("CUDAExecutionProvider", {"use_tf32": "0"}), cpu]
