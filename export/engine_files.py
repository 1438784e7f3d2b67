"""File layouts of converted models: which runtime a graph file belongs to, and the weights beside it."""

from pathlib import Path

from runtimes.errors import InputError
from runtimes.spec import Runtime

# suffix of the graph file: (runtime, suffix of the weights beside it)
LAYOUTS: dict[str, tuple[Runtime, str | None]] = {
    ".param": ("ncnn", ".bin"),
    ".xml": ("openvino", ".bin"),
    ".tflite": ("tflite", None),
    ".onnx": ("onnxruntime", None),
}


def engine_files(given: list[Path]) -> tuple[Runtime, list[Path]]:
    """Return the runtime of the given files and all of its files, weights beside the graph included.

    Raises InputError unless there is exactly one graph file, its weights, and nothing else.
    """
    graphs = [path for path in given if path.suffix in LAYOUTS]
    if len(graphs) != 1:
        known = ", ".join(f"*{suffix}" for suffix in LAYOUTS)
        raise InputError(f"give exactly one graph file ({known}), got {', '.join(map(str, given))}")
    runtime, weights = LAYOUTS[graphs[0].suffix]
    files = [graphs[0]]
    if weights:
        named = [path for path in given if path.suffix == weights]
        files += named or [graphs[0].with_suffix(weights)]
    if extra := [str(path) for path in given if path not in files]:
        raise InputError(f"{', '.join(extra)}: not part of a {runtime} model")
    for path in files:
        if not path.is_file():
            needed = (
                f"; a {runtime} model is a *{graphs[0].suffix} and a *{weights}" if weights else ""
            )
            raise InputError(f"{path}: no such file{needed}")
    return runtime, files
