"""Adapter of ONNX Runtime (*.onnx): on the CPU, or on CUDA where its GPU build is installed.

Its worker threads spin between runs by default: fastest where the cores are ours alone, a waste where other work shares
them (the camera, the decoder); the option spinning=0 turns it off.
"""

import time
from collections.abc import Sequence
from typing import Any

from runtimes.adapters import common
from runtimes.adapters.image_input import image_input
from runtimes.adapters.onnx_file import external_files
from runtimes.artifact import Artifact
from runtimes.base import Accelerator, Array, Effective, Feeds, Outputs, RunOptions
from runtimes.errors import ArtifactError, EngineError, InputError
from runtimes.install.import_errors import broken_import
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
PROVIDERS: dict[str, Accelerator] = {"CPUExecutionProvider": "cpu", "CUDAExecutionProvider": "gpu"}
ERRORS_ONLY = 3

REFUSED = "export it again, or upgrade ONNX Runtime: pip install -U 'edgepose[onnxruntime]'"


def open_session(artifact: Artifact, options: RunOptions) -> "OnnxruntimeSession":
    """Load the artifact's .onnx file.

    extra: spinning (1; 0 lets worker threads sleep between runs). Raises InputError for an accelerator this machine
    lacks, EngineError for a file that ONNX Runtime refuses, MissingDependencyError without onnxruntime.
    """
    return OnnxruntimeSession(artifact, options)


class OnnxruntimeSession:
    """One inference session. Files with a fixed batch of one run image by image."""

    def __init__(self, artifact: Artifact, options: RunOptions) -> None:
        common.refuse_unknown_extra(options, EXTRA, "onnxruntime")
        ort = import_onnxruntime()
        self._artifact = artifact
        self._input = common.image_tensor(artifact)
        self._convert = image_input(artifact.manifest.image, self._input)
        self._errors = engine_errors(ort)
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = resolve_threads(options.threads)
        settings.inter_op_num_threads = 1
        settings.log_severity_level = ERRORS_ONLY
        spinning = common.extra_int(options, "spinning", 1)
        settings.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning > 0)))
        providers = _providers(ort, options)
        path = str(artifact.file(".onnx"))
        _require_listed(artifact)
        with common.translated(artifact.root, "ONNX Runtime cannot load it", REFUSED, self._errors):
            self._session: Any = ort.InferenceSession(path, settings, providers=providers)
        if self._session.get_providers()[0] != providers[0][0]:
            raise EngineError(
                f"{artifact.root}: ONNX Runtime could not start {providers[0][0]}; check its CUDA libraries,"
                " or --accelerator cpu"
            )
        self._effective = _read_back(self._session, ort.__version__)
        self.engine_ns = 0
        self._bind()

    @property
    def effective(self) -> Effective:
        """Threads and provider as the session reports them; f32: a float32 graph has no other kernels."""
        return self._effective

    def run(self, feeds: Feeds) -> Outputs:
        """Run a batch as `runtimes.base.Session.run` says."""
        if self._session is None:
            raise common.closed(self._artifact.root)
        batch = common.image_batch(feeds, self._artifact.manifest)
        return common.run_batch(
            self._artifact, batch, self._convert, self._infer, batched=self._dynamic
        )

    def close(self) -> None:
        """Free the session."""
        self._session = None

    def _infer(self, tensor: Array) -> list[Array]:
        names = [common.engine_name(output) for output in self._artifact.manifest.outputs]
        with common.translated(
            self._artifact.root, "ONNX Runtime failed", common.MISMATCH, self._errors
        ):
            start = time.perf_counter_ns()
            raw: list[Array] = self._session.run(names, {common.engine_name(self._input): tensor})
            self.engine_ns += time.perf_counter_ns() - start
        return raw

    def _bind(self) -> None:
        """Check the manifest's tensors against the file's, and find out whether its batch is dynamic."""
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        common.require_tensors(self._artifact, _dtypes(inputs), _dtypes(outputs))
        shapes = {value.name: value.shape for value in inputs}
        # a dynamic axis comes as its name or None
        size = shapes[common.engine_name(self._input)][0]
        fixed = size if isinstance(size, int) else None
        self._dynamic = common.takes_batches(self._artifact.root, self._input, fixed)


def _require_listed(artifact: Artifact) -> None:
    """Raise ArtifactError where the graph reads a file that the manifest does not list: it would not be checked.

    EngineError where the file is no graph.
    """
    listed = {record.path for record in artifact.manifest.files}
    with common.translated(artifact.root, "it cannot be loaded", REFUSED, (ArtifactError,)):
        needed = external_files(artifact.file(".onnx"))
    if unlisted := sorted(needed - listed):
        raise ArtifactError(
            f"{artifact.root}: the graph reads {unlisted[0]!r}, which artifact.json does not list; "
            "import it again with its data file, or export it again"
        )


def _read_back(session: Any, version: str) -> Effective:
    """Return what the session reports, and f32: its kernels compute a float32 graph in that, whatever was asked for."""
    provider = session.get_providers()[0]
    threads = int(session.get_session_options().intra_op_num_threads)
    return Effective(threads, "f32", PROVIDERS[provider], f"ONNX Runtime {version} {provider}")


def _dtypes(values: Sequence[Any]) -> dict[str, str]:
    return {value.name: DTYPES.get(value.type, value.type) for value in values}


def import_onnxruntime() -> Any:
    """Return the module; raises MissingDependencyError where it is not installed."""
    try:
        import onnxruntime
    except ImportError as error:
        raise broken_import("onnxruntime", "onnxruntime", error) from error
    return onnxruntime


def engine_errors(ort: Any) -> tuple[type[BaseException], ...]:
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
