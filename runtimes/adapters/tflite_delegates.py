"""External delegates of TFLite: a library that takes over operations, and which of them it took."""

import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runtimes.adapters import common
from runtimes.base import RunOptions
from runtimes.errors import EngineError, InputError
from runtimes.placement import Placement, placed

DELEGATE = "DELEGATE"
XNNPACK, BUILT_IN = "XNNPACK", "built-in kernels"
ENTRY = "tflite_plugin_create_delegate"


def delegate_library(options: RunOptions) -> str | None:
    """Return the library of the delegate to use, None for the CPU's own kernels.

    Raises InputError for an accelerator without a delegate, a delegate without an accelerator, and a missing file.
    """
    library = options.extra.get("delegate")
    if library is None and not common.extra_group(options, "delegate"):
        if options.accelerator == "cpu":
            return None
        raise InputError(
            f"tflite artifacts run on a {options.accelerator} through its maker's delegate: name the library with"
            " --engine-option delegate=/usr/lib/libNAME.so, or --accelerator cpu"
        )
    if library is None:
        names = ", ".join(f"delegate.{name}" for name in common.extra_group(options, "delegate"))
        raise InputError(
            f"option {names}: of a delegate; name its library too, such as delegate=/usr/lib/libNAME.so"
        )
    if not isinstance(library, str):
        raise InputError("option delegate is the path of a library, such as /usr/lib/libNAME.so")
    if options.accelerator == "cpu":
        raise InputError("option delegate drives a gpu or an npu: add --accelerator gpu or npu")
    if "/" in library and not Path(library).is_file():
        raise InputError(
            f"{library}: no such delegate; install its maker's package, or --accelerator cpu"
        )
    return library


def open_delegate(load_delegate: Any, library: str, options: RunOptions) -> Any:
    """Load a delegate with its own options; raises EngineError where it is none or refuses."""
    try:
        # tried first: TFLite's wrapper of a library without the entry prints a second error when it is freed
        getattr(ctypes.PyDLL(library), ENTRY)
        return load_delegate(library, common.extra_group(options, "delegate"))
    except AttributeError as error:
        raise EngineError(
            f"{library} is no delegate of TFLite: it has no function {ENTRY}; name another library"
        ) from error
    except (OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise EngineError(
            f"{library} does not load as a delegate ({reason}); is its device there, and its driver?"
            " Or --accelerator cpu"
        ) from error


def placement(
    operations: Sequence[Mapping[str, Any]], library: str | None, first: int
) -> Placement:
    """Return which backend executes which operation of an interpreter's list.

    The list has the graph's operations, then a node a part that a delegate took over. first: how many entries there
    were before XNNPACK took what was left: delegate nodes below it are those of `library`.
    """
    count = next((at for at, each in enumerate(operations) if each["op_name"] == DELEGATE), None)
    graph = operations[:count]
    backends = [BUILT_IN] * len(graph)
    own = Path(library).name if library else XNNPACK
    for at, node in enumerate(operations[len(graph) :], len(graph)):
        for each in _part(graph, node):
            backends[each] = own if at < first else XNNPACK
    kinds = [str(each["op_name"]) for each in graph]
    return placed(own, zip(backends, kinds, strict=True))


def _part(graph: Sequence[Mapping[str, Any]], node: Mapping[str, Any]) -> set[int]:
    """Return the operations between the inputs of a delegate's node and its outputs."""
    maker = {int(tensor): at for at, each in enumerate(graph) for tensor in each["outputs"]}
    given = set(map(int, node["inputs"]))
    part: set[int] = set()
    wanted = [int(tensor) for tensor in node["outputs"]]
    while wanted:
        tensor = wanted.pop()
        at = maker.get(tensor)
        if tensor in given or at is None or at in part:
            continue
        part.add(at)
        wanted += map(int, graph[at]["inputs"])
    return part
