"""Layer times of ONNX Runtime, by the trace that its profiler writes, which slows a run down a little."""

import json
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from runtimes.adapters import common
from runtimes.adapters.image_input import image_input
from runtimes.adapters.onnxruntime_adapter import (
    ERRORS_ONLY,
    REFUSED,
    engine_errors,
    import_onnxruntime,
)
from runtimes.artifact import Artifact
from runtimes.base import Array, RunOptions
from runtimes.layer_times.layer_time import LayerTime, median_times
from runtimes.threads import resolve_threads

KERNEL = "_kernel_time"


def layer_times(
    artifact: Artifact, options: RunOptions, images: Array, runs: int
) -> tuple[LayerTime, ...]:
    """Run on the CPU, `runs` times after one that is not counted; images: uint8 BGR (S, H, W, 3).

    Raises EngineError for a file that ONNX Runtime refuses, MissingDependencyError without it.
    """
    ort = import_onnxruntime()
    source = common.image_tensor(artifact)
    convert = image_input(artifact.manifest.image, source)
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = resolve_threads(options.threads)
    settings.inter_op_num_threads = 1
    settings.log_severity_level = ERRORS_ONLY
    settings.enable_profiling = True
    with tempfile.TemporaryDirectory() as folder:
        settings.profile_file_prefix = str(Path(folder) / "trace")
        with common.translated(
            artifact.root, "ONNX Runtime cannot run it", REFUSED, engine_errors(ort)
        ):
            session = ort.InferenceSession(
                str(artifact.file(".onnx")), settings, providers=["CPUExecutionProvider"]
            )
            for number in range(runs + 1):
                at = number % len(images)
                session.run(None, {common.engine_name(source): convert(images[at : at + 1])})
            trace = json.loads(Path(session.end_profiling()).read_bytes())
    return median_times(times_of_trace(trace))


def times_of_trace(trace: list[dict[str, Any]]) -> dict[tuple[str, str, str], list[float]]:
    """Return milliseconds of each (name, kind, provider) in each run but the first, from a Chrome trace."""
    found: defaultdict[tuple[str, str, str], list[float]] = defaultdict(list)
    for event in trace:
        name = event.get("name", "")
        if event.get("cat") == "Node" and name.endswith(KERNEL):
            what = event["args"]
            key = (name[: -len(KERNEL)], what["op_name"], what.get("provider", ""))
            found[key].append(event["dur"] / 1e3)
    return {key: times[1:] for key, times in found.items()}
