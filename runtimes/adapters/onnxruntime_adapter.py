"""Adapter of ONNX Runtime (*.onnx): on the CPU, or on a provider that the installed build has.

Its worker threads spin between runs by default: fastest where the cores are ours alone, a waste where other work shares
them (the camera, the decoder); the option spinning=0 turns it off.
"""

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from runtimes.adapters import common
from runtimes.adapters.image_input import image_input
from runtimes.adapters.onnx_file import external_files, free_batches, with_float_inputs
from runtimes.adapters.onnx_options import provider_options
from runtimes.adapters.onnx_placement import (
    RECORD_ENTRY,
    keeps_record,
    profiled,
    recorded,
    short_name,
)
from runtimes.adapters.onnx_providers import (
    CPU,
    PROVIDERS,
    Provider,
    arithmetic,
    attach,
    wanted_providers,
)
from runtimes.artifact import Artifact
from runtimes.base import Array, Effective, Feeds, Outputs, RunOptions
from runtimes.errors import ArtifactError, EngineError, InputError
from runtimes.install.import_errors import broken_import
from runtimes.placement import Placement, require_taken
from runtimes.threads import resolve_threads

EXTRA = ("spinning", "provider", "provider.")

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
DATA_FOLDER = "session.model_external_initializers_file_folder_path"

REFUSED = "export it again, or upgrade ONNX Runtime: pip install -U 'edgepose[onnxruntime]'"


def open_session(artifact: Artifact, options: RunOptions) -> "OnnxruntimeSession":
    """Load the artifact's .onnx file.

    extra: spinning (1; 0 lets worker threads sleep between runs), provider (one of `onnx_providers.PROVIDERS`; the best
    that is installed for the accelerator), provider.NAME (an option of that provider). Raises InputError for a provider
    that this build lacks and an option that would be ignored, EngineError for a file that ONNX Runtime refuses, and for
    a provider that does not start or takes no node; MissingDependencyError without onnxruntime.
    """
    return OnnxruntimeSession(artifact, options)


class OnnxruntimeSession:
    """One inference session. Files with a fixed batch of one run image by image."""

    def __init__(self, artifact: Artifact, options: RunOptions) -> None:
        common.refuse_unknown_extra(options, EXTRA, "onnxruntime")
        if "spinning" in options.extra and options.extra.get("provider") == "xnnpack":
            raise InputError(
                "option spinning: of ONNX Runtime's own threads, and xnnpack has others; leave it out"
            )
        ort = import_onnxruntime()
        self._artifact = artifact
        self._input = common.image_tensor(artifact)
        self._convert = image_input(artifact.manifest.image, self._input)
        self._errors = engine_errors(ort)
        _require_listed(artifact)
        self.engine_ns = 0
        self._session: Any = None
        self._effective = self._open_best(ort, options)

    @property
    def effective(self) -> Effective:
        """Threads, provider and placement as the session reports them; the arithmetic by its provider's settings."""
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
            if self._feeds_float:
                tensor = tensor.astype(np.float32)
            start = time.perf_counter_ns()
            raw: list[Array] = self._session.run(names, {common.engine_name(self._input): tensor})
            self.engine_ns += time.perf_counter_ns() - start
        return raw

    def _open_best(self, ort: Any, options: RunOptions) -> Effective:
        """Open on the best of the providers that are asked for: the first that starts and takes a node."""
        failures: list[EngineError] = []
        for provider in wanted_providers(ort, options):
            found = self._try(ort, options, provider)
            if isinstance(found, Effective):
                return found
            failures.append(found)
        if len(failures) == 1:
            raise failures[0]
        raise EngineError("; ".join(map(str, failures)))

    def _try(self, ort: Any, options: RunOptions, provider: Provider) -> Effective | EngineError:
        try:
            with tempfile.TemporaryDirectory(prefix="edgepose-") as folder:
                self._start(ort, options, provider, folder)
                self._bind(one_image=provider.one_image, floats=provider.misreads_pixels)
                placement = None if provider.name == CPU else self._placement(ort, provider)
            if placement:
                require_taken(self._artifact.root, placement, "run it with --accelerator cpu")
        except EngineError as error:
            self._session = None
            return error
        return self._read_back(ort, options, provider, placement)

    def _start(self, ort: Any, options: RunOptions, provider: Provider, folder: str) -> None:
        """Create the session on one provider; folder: for its profile where it keeps no record of placement."""
        root, name = self._artifact.root, short_name(provider.name)
        settings = _settings(ort, options, provider)
        path = self._artifact.file(".onnx")
        for axis in free_batches(path) if provider.one_image else ():
            settings.add_free_dimension_override_by_name(axis, 1)
        settings.add_session_config_entry(DATA_FOLDER, str(path.parent))  # of a graph in memory
        if provider.name != CPU and not keeps_record(ort):
            settings.enable_profiling = True
            settings.profile_file_prefix = f"{folder}/run"
        given = provider.options(self._artifact, options)
        own = provider_options(options, name.lower())
        given |= own
        step = "ONNX Runtime cannot load it" + ("" if provider.name == CPU else f" on {name}")
        with common.translated(root, step, _fix(provider, own), self._errors):
            found = attach(ort, settings, provider, given, options.accelerator.upper())
            # its own fallback to the next provider prints, and goes on
            graph = with_float_inputs(path) if provider.misreads_pixels else str(path)
            self._session = ort.InferenceSession(
                graph, settings, providers=found, enable_fallback=0
            )
        if self._session.get_providers()[0] != provider.name:
            raise EngineError(f"{root}: ONNX Runtime could not start {name}; {_fix(provider, own)}")

    def _read_back(
        self, ort: Any, options: RunOptions, provider: Provider, placement: Placement | None
    ) -> Effective:
        """Return what the session reports."""
        threads = int(self._session.get_session_options().intra_op_num_threads)
        if provider is PROVIDERS["xnnpack"]:
            threads = resolve_threads(options.threads)
        precision = arithmetic(self._session, options, self._artifact.manifest.precision)
        engine = f"ONNX Runtime {ort.__version__} {provider.name}"
        return Effective(threads, precision, options.accelerator, engine, placement)

    def _placement(self, ort: Any, provider: Provider) -> Placement:
        if keeps_record(ort):
            return recorded(self._session, provider.name)
        width, height = self._artifact.manifest.image.wh
        self._infer(self._convert(np.zeros((1, height, width, 3), np.uint8)))
        return profiled(Path(self._session.end_profiling()), provider.name)

    def _bind(self, *, one_image: bool, floats: bool) -> None:
        """Check the manifest's tensors against the file's, and find out whether its batch is dynamic."""
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        dtypes = _dtypes(inputs)
        # of a provider that misreads pixels, in a graph that takes them
        self._feeds_float = floats and self._input.dtype == "uint8"
        if self._feeds_float:
            dtypes[common.engine_name(self._input)] = self._input.dtype
        common.require_tensors(self._artifact, dtypes, _dtypes(outputs))
        shapes = {value.name: value.shape for value in inputs}
        # a dynamic axis comes as its name or None
        size = shapes[common.engine_name(self._input)][0]
        fixed = size if isinstance(size, int) else None
        batched = common.takes_batches(self._artifact.root, self._input, fixed)
        self._dynamic = batched and not one_image


def _fix(provider: Provider, own: Mapping[str, str]) -> str:
    """Return what to do; own: options that the user gave the provider."""
    if provider.name == CPU:
        return REFUSED
    if own:
        given = ", ".join(f"provider.{name}={value}" for name, value in own.items())
        return f"leave out {given}, or {_fix(provider, {})}"
    return f"it needs {provider.needs}; ONNX Runtime's message above says what is missing; or --accelerator cpu"


def _settings(ort: Any, options: RunOptions, provider: Provider) -> Any:
    settings = ort.SessionOptions()
    own_threads = provider is PROVIDERS["xnnpack"]  # two pools would wait for each other
    settings.intra_op_num_threads = 1 if own_threads else resolve_threads(options.threads)
    settings.inter_op_num_threads = 1
    settings.log_severity_level = ERRORS_ONLY
    spinning = common.extra_flag(options, "spinning", default=not own_threads)
    settings.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    settings.add_session_config_entry(RECORD_ENTRY, str(int(provider.name != CPU)))
    return settings


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
