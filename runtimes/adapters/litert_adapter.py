"""Runs TFLite artifacts: *.tflite, by LiteRT's interpreter, or by tflite-runtime where that is what a board has.

`engine_name` is the name in the file's signature (`args_0`, `output_1`), or the tensor's own where no signature has it.
The batch is fixed at one in the file (XNNPACK refuses to resize it), so a batch runs in turn.
"""

from typing import Any

import numpy as np

from runtimes.adapters.common import (
    closed,
    engine_name,
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
from runtimes.errors import InputError, MissingDependencyError
from runtimes.threads import resolve_threads

EXTRA = ()

# SystemError: tflite-runtime 2.14 beside numpy 2
ENGINE_ERRORS = (RuntimeError, ValueError, SystemError)
REFUSED = "export it again, or upgrade LiteRT: pip install -U 'edgepose[tflite]'"


def open_session(artifact: Artifact, options: RunOptions) -> "LitertSession":
    """Load the artifact's .tflite file; no extra options.

    Raises InputError for an accelerator other than the CPU, EngineError for a file that LiteRT refuses,
    MissingDependencyError where neither ai-edge-litert nor tflite-runtime is installed.
    """
    return LitertSession(artifact, options)


class LitertSession:
    """One interpreter with its tensors allocated. XNNPACK computes in f32, fp16-stored weights included."""

    def __init__(self, artifact: Artifact, options: RunOptions) -> None:
        refuse_unknown_extra(options, EXTRA, "tflite")
        if options.accelerator != "cpu":
            raise InputError(
                f"tflite artifacts run on the cpu here, not on a {options.accelerator}; choose --accelerator cpu"
            )
        interpreter = _import_interpreter()
        threads = resolve_threads(options.threads)
        self._artifact = artifact
        self._tensor = image_tensor(artifact)
        self._convert = image_input(artifact.manifest.image, self._tensor)
        self._effective = Effective(threads, "f32", "cpu")
        path = str(artifact.file(".tflite"))
        with translated(artifact.root, "LiteRT cannot load it", REFUSED, ENGINE_ERRORS):
            # no num_threads means one thread
            self._interpreter: Any = interpreter(model_path=path, num_threads=threads)
            self._interpreter.allocate_tensors()
        self._bind()

    @property
    def effective(self) -> Effective:
        """Threads as set; arithmetic is f32 whatever was asked: the interpreter offers no other on a CPU."""
        return self._effective

    def run(self, feeds: Feeds) -> Outputs:
        """Run a batch as `runtimes.base.Session.run` says, image by image."""
        if self._interpreter is None:
            raise closed(self._artifact.root)
        tensor = self._convert(image_batch(feeds, self._artifact.manifest))
        outputs = self._artifact.manifest.outputs
        parts = [
            name_outputs(self._artifact.root, outputs, self._invoke(piece))
            for piece in np.split(tensor, len(tensor))
        ]
        return join_batches(self._artifact.root, outputs, parts)

    def close(self) -> None:
        """Free the interpreter."""
        self._interpreter = None

    def _invoke(self, tensor: Array) -> list[Array]:
        fix = "its manifest and file do not fit each other: export or import it again"
        with translated(self._artifact.root, "LiteRT failed", fix, ENGINE_ERRORS):
            self._interpreter.set_tensor(self._source, tensor)
            self._interpreter.invoke()
            # get_tensor copies
            return [self._interpreter.get_tensor(index) for index in self._results]

    def _bind(self) -> None:
        """Find the manifest's tensors by number, once; a signature runner must not outlive this (it blocks invoke)."""
        root, outputs = self._artifact.root, self._artifact.manifest.outputs
        inputs = {detail["name"]: detail for detail in self._interpreter.get_input_details()}
        results = {detail["name"]: detail for detail in self._interpreter.get_output_details()}
        if len(self._interpreter.get_signature_list()) == 1:
            runner = self._interpreter.get_signature_runner()
            inputs |= runner.get_input_details()
            results |= runner.get_output_details()
        require_names(root, (self._tensor,), inputs)
        require_names(root, outputs, results)
        source = inputs[engine_name(self._tensor)]
        details = [results[engine_name(tensor)] for tensor in outputs]
        for tensor, detail in zip((self._tensor, *outputs), (source, *details), strict=True):
            require_dtype(root, tensor, np.dtype(detail["dtype"]).name)
        takes_batches(root, self._tensor, int(source["shape"][0]))
        self._source = source["index"]
        self._results = [detail["index"] for detail in details]


def _import_interpreter() -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        try:
            from tflite_runtime.interpreter import Interpreter
        except ImportError as error:
            raise MissingDependencyError("ai-edge-litert", "tflite") from error
    return Interpreter
