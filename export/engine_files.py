"""File layouts of converted models: which runtime a graph file belongs to, and the weights beside it."""

from pathlib import Path

from export.lfs_pointer import LFS_POINTER, is_lfs_pointer
from runtimes.adapters.onnx_file import external_files
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
    _refuse_pointer(graphs[0])
    if runtime == "onnxruntime" and graphs[0].is_file():
        files += _external_data(graphs[0], given)
    if weights:
        named = [path for path in given if path.suffix == weights]
        files += named or [graphs[0].with_suffix(weights)]
    if extra := [str(path) for path in given if path not in files]:
        raise InputError(f"{', '.join(extra)}: not part of a {runtime} model")
    if len({path.name for path in files}) < len(files):
        raise InputError("two of the files have one name; give each its own")
    for path in files:
        if not path.is_file():
            needed = (
                f"; a {runtime} model is a *{graphs[0].suffix} and a *{weights}" if weights else ""
            )
            raise InputError(f"{path}: no such file{needed}")
        _refuse_pointer(path)
    return runtime, files


def _refuse_pointer(path: Path) -> None:
    if is_lfs_pointer(path):
        raise InputError(f"{path}: {LFS_POINTER}")


def _external_data(graph: Path, given: list[Path]) -> list[Path]:
    """Return the files that an ONNX graph's tensors lie in: of the given ones, or beside it.

    Raises InputError for one that is not in the graph's own directory.
    """
    found = []
    for name in sorted(external_files(graph)):
        if name != Path(name).name or name in {"", ".", "..", graph.name}:
            raise InputError(
                f"{graph}: its weights lie in {name!r}, outside its directory; save it again with them beside it"
            )
        named = [path for path in given if path.name == name]
        found.append(named[0] if named else graph.with_name(name))
        if not found[-1].is_file():
            raise InputError(f"{found[-1]}: no such file; {graph.name} has its weights there")
    return found
