"""Adapter of LiteRT for TFLite artifacts (*.tflite); on boards that have tflite-runtime instead, of that.

`engine_name` is the name in the file's signature (`args_0`, `output_1`), or the tensor's own where no signature has it.
The batch is fixed at one in the file (XNNPACK refuses to resize it), so batches run image by image.
"""

import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np

from runtimes.adapters import common
from runtimes.adapters.image_input import image_input
from runtimes.adapters.tflite_delegates import (
    BUILT_IN,
    delegate_library,
    open_delegate,
    placement,
)
from runtimes.artifact import Artifact
from runtimes.base import Array, Effective, Feeds, Outputs, RunOptions
from runtimes.install.import_errors import broken_import
from runtimes.placement import require_taken
from runtimes.threads import resolve_threads

EXTRA = ("delegate", "delegate.")

# SystemError: tflite-runtime 2.14 beside numpy 2
ENGINE_ERRORS = (RuntimeError, ValueError, SystemError)
REFUSED = "export it again, or upgrade LiteRT: pip install -U 'edgepose[tflite]'"


def open_session(artifact: Artifact, options: RunOptions) -> "LitertSession":
    """Load the artifact's .tflite file.

    extra: delegate (the library of an external delegate, which any other accelerator than the CPU needs), delegate.NAME
    (an option of that delegate). Raises InputError for an accelerator without a delegate and for a library that is not
    there, EngineError for a file that LiteRT refuses and for a delegate that does not load or takes no operation,
    MissingDependencyError where neither ai-edge-litert nor tflite-runtime is installed.
    """
    return LitertSession(artifact, options)


class LitertSession:
    """One interpreter with its tensors allocated. XNNPACK computes in f32, fp16-stored weights included."""

    def __init__(self, artifact: Artifact, options: RunOptions) -> None:
        common.refuse_unknown_extra(options, EXTRA, "tflite")
        library = delegate_library(options)
        package, interpreter, load_delegate = _import_interpreter()
        delegates = [open_delegate(load_delegate, library, options)] if library else None
        threads = resolve_threads(options.threads)
        self._artifact = artifact
        self._input = common.image_tensor(artifact)
        self._convert = image_input(artifact.manifest.image, self._input)
        path = str(artifact.file(".tflite"))
        with common.translated(artifact.root, "LiteRT cannot load it", REFUSED, ENGINE_ERRORS):
            # the default is one thread
            self._interpreter: Any = interpreter(
                model_path=path, num_threads=threads, experimental_delegates=delegates
            )
            before = len(_operations(self._interpreter)) if library else 0
            # XNNPACK takes what is left
            self._interpreter.allocate_tensors()
        found = placement(_operations(self._interpreter), library, before)
        if library:
            require_taken(artifact.root, found, "name another delegate, or --accelerator cpu")
        kernels = found.backend if found.taken else BUILT_IN
        engine = f"{package} {version(package)} {kernels}"
        self._effective = Effective(threads, "f32", options.accelerator, engine, found)
        self.engine_ns = 0
        self._bind()

    @property
    def effective(self) -> Effective:
        """Threads as set, which the interpreter does not report; f32: no delegate reports its arithmetic."""
        return self._effective

    def run(self, feeds: Feeds) -> Outputs:
        """Run a batch as `runtimes.base.Session.run` says, image by image."""
        if self._interpreter is None:
            raise common.closed(self._artifact.root)
        batch = common.image_batch(feeds, self._artifact.manifest)
        return common.run_batch(self._artifact, batch, self._convert, self._invoke, batched=False)

    def close(self) -> None:
        """Free the interpreter."""
        self._interpreter = None

    def _invoke(self, tensor: Array) -> list[Array]:
        with common.translated(
            self._artifact.root, "LiteRT failed", common.MISMATCH, ENGINE_ERRORS
        ):
            self._interpreter.set_tensor(self._source, tensor)
            start = time.perf_counter_ns()
            self._interpreter.invoke()
            self.engine_ns += time.perf_counter_ns() - start
            # get_tensor copies
            return [self._interpreter.get_tensor(index) for index in self._results]

    def _bind(self) -> None:
        """Find the indices of the manifest's tensors; a signature runner must not outlive this (it blocks invoke)."""
        inputs = {detail["name"]: detail for detail in self._interpreter.get_input_details()}
        results = {detail["name"]: detail for detail in self._interpreter.get_output_details()}
        if len(self._interpreter.get_signature_list()) == 1:
            runner = self._interpreter.get_signature_runner()
            inputs |= runner.get_input_details()
            results |= runner.get_output_details()
        common.require_tensors(self._artifact, _dtypes(inputs), _dtypes(results))
        source = inputs[common.engine_name(self._input)]
        common.takes_batches(self._artifact.root, self._input, int(source["shape"][0]))
        self._source = source["index"]
        outputs = self._artifact.manifest.outputs
        self._results = [results[common.engine_name(tensor)]["index"] for tensor in outputs]


def _dtypes(details: Mapping[str, dict[str, Any]]) -> dict[str, str]:
    return {name: np.dtype(detail["dtype"]).name for name, detail in details.items()}


def _operations(interpreter: Any) -> list[dict[str, Any]]:
    """Return the operations of the graph, which stay listed where a delegate took them, then the delegates' nodes."""
    found: list[dict[str, Any]] = interpreter._get_ops_details()  # noqa: SLF001 - no other way to ask
    return found


def _import_interpreter() -> tuple[str, Any, Any]:
    """Return the distribution's name, its Interpreter class and its function that loads a delegate."""
    try:
        from ai_edge_litert.interpreter import Interpreter, load_delegate
    except ImportError as error:
        try:
            from tflite_runtime.interpreter import Interpreter, load_delegate
        except ModuleNotFoundError:
            raise broken_import("ai-edge-litert", "tflite", error) from error
        except ImportError as older:
            raise broken_import("tflite-runtime", "tflite", older) from older
        return "tflite-runtime", Interpreter, load_delegate
    return "ai-edge-litert", Interpreter, load_delegate
