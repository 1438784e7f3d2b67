"""Import one module and print what came of it as JSON: a program for a process of its own, standard library only.

Run by its path, with the module's name as argument; `edge.cli.health.imports` starts it. Its answer on stdout is
{"devices": [...]} or {"error": class, "message": text}; nothing where the process crashes.
"""

import importlib
import json
import os
import resource
import sys
from typing import Any


def devices(name: str, module: Any) -> list[str]:
    """Return the devices or providers that an engine finds here; empty for other modules."""
    if name == "openvino":
        return list(module.Core().available_devices)
    if name == "onnxruntime":
        found = [
            each.removesuffix("ExecutionProvider") for each in module.get_available_providers()
        ]
        return [each for each in found if each != "Azure"]  # a web service
    return []


def probe(name: str) -> dict[str, Any]:
    """Import the module; return its devices, or the exception."""
    try:
        module = importlib.import_module(name)
        return {"devices": devices(name.partition(".")[0], module)}
    except BaseException as error:  # noqa: BLE001 a broken package may raise anything, SystemExit too
        return {"error": type(error).__name__, "message": str(error)}


def main() -> None:
    """Probe the module named on the command line."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 pathlib would load more than is probed
    sys.path[:] = [entry for entry in sys.path if entry and os.path.abspath(entry) != here]  # noqa: PTH100
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment] # as runtimes.telemetry: no event is sent
    answers = os.dup(1)
    os.dup2(2, 1)  # what packages print as they load is no answer
    os.write(answers, json.dumps(probe(sys.argv[1])).encode())
    os._exit(0)  # no engine's destructors


if __name__ == "__main__":
    main()
