"""From a PyTorch model to int8 in one step: the float artifact it is made of and judged by is made on the way."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from export.checkpoint import LoadedModel
from export.exporter import Exported, Progress, export_model
from export.inputs import GateInputs
from export.versions import require
from quantize.int8.calibration import Sets
from quantize.int8.registry import quantizer
from quantize.int8.run import Job, quantize_artifact
from runtimes.artifact import Artifact
from runtimes.errors import InputError
from runtimes.files import refuse_existing
from runtimes.naming import Target, artifact_name
from runtimes.spec import Runtime


@dataclass(frozen=True, slots=True)
class Images:
    """Inputs of both gates: the float artifacts', and the sets of int8."""

    gate: GateInputs
    sets: Sets


def check_int8(loaded: LoadedModel, runtimes: Sequence[Runtime], out: Path, *, force: bool) -> None:
    """Raise before any work: InputError for random weights, TargetExistsError, MissingDependencyError."""
    if loaded.lineage.weights == "random":
        raise InputError(
            "int8 of random weights cannot be judged; give trained ones with --weights"
        )
    for runtime in runtimes:
        refuse_existing(out / artifact_name(loaded.spec, Target(runtime, "int8")), force=force)
        require(quantizer(runtime).PACKAGES, "quantize")


def export_int8(
    loaded: LoadedModel,
    runtimes: Sequence[Runtime],
    made: Sequence[Exported],
    images: Images,
    out: Path,
    job_of: Callable[[Artifact], Job],
    *,
    force: bool = False,
    progress: Progress = lambda _: None,
) -> list[Exported]:
    """Return one int8 artifact a runtime, made of the fp32 ones among `made`, or of ones that are not kept.

    job_of: what is asked of a parent's int8. A parent that does not pass gives none: look at `error`.
    """
    parents = {each.target.runtime: each for each in made if each.target.precision == "fp32"}
    results = []
    with tempfile.TemporaryDirectory(prefix="edgepose-fp32-") as scratch:
        missing = [Target(runtime, "fp32") for runtime in runtimes if runtime not in parents]
        if missing:
            extra = export_model(
                loaded, missing, Path(scratch), inputs=images.gate, progress=progress
            )
            parents |= {each.target.runtime: each for each in extra}
        for runtime in runtimes:
            parent = parents[runtime]
            if parent.passed:
                artifact = Artifact.open(parent.path)
                job = job_of(artifact)
                results.append(
                    quantize_artifact(
                        artifact, images.sets, out, job, force=force, progress=progress
                    )
                )
                continue
            target = Target(runtime, "int8")
            why = f"its fp32 artifact is not there to be judged by: {parent.error or 'refused'}"
            path = out / artifact_name(loaded.spec, target)
            results.append(Exported(path, target, 0, (), error=why))
    return results
