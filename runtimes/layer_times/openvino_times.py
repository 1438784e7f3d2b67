"""Layer times of OpenVINO, by its performance counters, which slow a run down a little."""

from collections import defaultdict

from runtimes.adapters import common
from runtimes.adapters.image_input import image_input
from runtimes.adapters.openvino_adapter import REFUSED
from runtimes.artifact import Artifact
from runtimes.base import Array, RunOptions
from runtimes.install.import_errors import broken_import
from runtimes.layer_times.layer_time import LayerTime, median_times
from runtimes.telemetry import disable_telemetry
from runtimes.threads import resolve_threads


def layer_times(
    artifact: Artifact, options: RunOptions, images: Array, runs: int
) -> tuple[LayerTime, ...]:
    """Run on the CPU, `runs` times after one that is not counted; images: uint8 BGR (S, H, W, 3).

    Raises EngineError for files that OpenVINO refuses, MissingDependencyError without it.
    """
    disable_telemetry()
    try:
        import openvino  # noqa: PLC0415 an engine loads where it runs
    except ImportError as error:
        raise broken_import("openvino", "openvino", error) from error
    source = common.image_tensor(artifact)
    convert = image_input(artifact.manifest.image, source)
    config = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": options.precision,
        "INFERENCE_NUM_THREADS": resolve_threads(options.threads),
        "PERF_COUNT": True,
    }
    found: defaultdict[tuple[str, str, str], list[float]] = defaultdict(list)
    with common.translated(artifact.root, "OpenVINO cannot run it", REFUSED, (RuntimeError,)):
        model = openvino.Core().read_model(str(artifact.file(".xml")), str(artifact.file(".bin")))
        request = openvino.Core().compile_model(model, "CPU", config).create_infer_request()
        for number in range(runs + 1):
            at = number % len(images)
            request.infer({common.engine_name(source): convert(images[at : at + 1])})
            for each in request.get_profiling_info() if number else ():
                key = (each.node_name, each.node_type, each.exec_type)
                found[key].append(each.real_time.total_seconds() * 1e3)
    return median_times(found)
