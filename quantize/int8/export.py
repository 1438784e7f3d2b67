"""int8 from a PyTorch model in one step, by way of the float artifact that it is quantized from and judged by."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from devices.detect import detect_machine
from export.checkpoint import LoadedModel
from export.exporter import Exported, Progress, export_model
from export.inputs import GateInputs
from export.versions import require
from quantize.int8.calibration import ImageSets
from quantize.int8.registry import quantizer
from quantize.int8.run import Int8Options, quantize_artifact, refuse_cpu
from runtimes.artifact import Artifact
from runtimes.errors import InputError
from runtimes.naming import Destination, Target, destinations
from runtimes.spec import Runtime
from runtimes.staging import scratch


@dataclass(frozen=True, slots=True)
class Int8Inputs:
    """Images of both gates: the float artifacts' inputs, and the sets of int8."""

    gate: GateInputs
    sets: ImageSets


def int8_destinations(
    loaded: LoadedModel, runtimes: Sequence[Runtime], out: Path, *, force: bool = False
) -> list[Destination]:
    """Return the destinations of a model's int8 artifacts, checked before any work.

    Raises InputError for random weights and for a CPU that cannot run int8; TargetExistsError; MissingDependencyError.
    """
    if loaded.lineage.weights == "random":
        raise InputError(
            "int8 of random weights cannot be judged; give trained ones with --weights"
        )
    targets = [Target(runtime, "int8") for runtime in runtimes]
    planned = destinations(loaded.spec, targets, out, force=force)
    for runtime in runtimes:
        refuse_cpu(loaded.spec.model, runtime, detect_machine())
        require(quantizer(runtime).PACKAGES, "quantize")
    return planned


def export_int8(
    loaded: LoadedModel,
    planned: Sequence[Destination],
    made: Sequence[Exported],
    images: Int8Inputs,
    options_for: Callable[[Artifact], Int8Options],
    *,
    progress: Progress = lambda _: None,
) -> list[Exported]:
    """Quantize to every planned destination: from the fp32 artifacts among `made`, or from ones that are not kept.

    planned: of `int8_destinations`. options_for: returns the options for a parent. A parent that does not pass gives
    no int8 artifact: look at `error`.
    """
    parents = {each.target.runtime: each for each in made if each.target.precision == "fp32"}
    results = []
    with scratch("fp32") as folder:
        runtimes = [each.target.runtime for each in planned]
        missing = [Target(runtime, "fp32") for runtime in runtimes if runtime not in parents]
        if missing:
            extra = export_model(loaded, missing, folder, inputs=images.gate, progress=progress)
            parents |= {each.target.runtime: each for each in extra}
        for each in planned:
            parent = parents[each.target.runtime]
            if parent.passed:
                artifact = Artifact.open(parent.path)
                options = options_for(artifact)
                results.append(
                    quantize_artifact(artifact, images.sets, each, options, progress=progress)
                )
                continue
            why = f"there is no fp32 artifact to judge it by: {parent.error or 'refused'}"
            results.append(Exported(each.path, each.target, 0, (), error=why))
    return results
