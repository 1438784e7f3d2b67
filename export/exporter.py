"""Export: convert, compare with PyTorch, publish; artifacts that drift go under `.rejected/` with a report."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from devices.detect import detect_machine
from edge.parity.compare import all_passed
from edge.parity.reference import Reference, save_reference
from export.accelerated import judge_on
from export.accuracy import AccuracyGate
from export.checkpoint import LoadedModel
from export.converter import ConversionSource, Converted, load_converter
from export.cost import network_cost
from export.fold import fold_batchnorm
from export.gate import judge_parity, torch_reference
from export.inputs import GateInputs, drawn_inputs
from export.limits import refuse_oversized, weight_bytes
from export.versions import require
from runtimes.artifact import REFERENCE, Artifact
from runtimes.base import RunOptions
from runtimes.errors import ConversionError, EngineError
from runtimes.files import atomic_file, discard, publish, seal
from runtimes.naming import Destination, Target, destinations
from runtimes.parity_spec import Parity
from runtimes.spec import Cost, Manifest, ModelSpec, Runtime
from runtimes.staging import scratch, staging

REJECTED = ".rejected"
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Exported:
    """One exported artifact: its path (under `.rejected/` where it did not pass) and its parity records.

    error: why there is none, where a converter or an engine refused the model; `path` is then where it would be.
    """

    path: Path
    target: Target
    bytes: int
    parity: tuple[Parity, ...]
    error: str = ""

    @property
    def passed(self) -> bool:
        """Whether it was compared and every comparison passed; undecided is not passed."""
        return all_passed(self.parity)


def export_model(
    loaded: LoadedModel,
    targets: Sequence[Target],
    out: Path,
    *,
    inputs: GateInputs | None = None,
    max_px: float | None = None,
    accuracy: AccuracyGate | None = None,
    force: bool = False,
    progress: Progress = lambda _: None,
) -> list[Exported]:
    """Convert `loaded` to every target, into `out`, and pass each through the gate.

    As `export_to`, and raises TargetExistsError before any work for a target that may not be replaced.
    """
    return export_to(
        loaded,
        destinations(loaded.spec, targets, out, force=force),
        inputs=inputs,
        max_px=max_px,
        accuracy=accuracy,
        progress=progress,
    )


def export_to(
    loaded: LoadedModel,
    planned: Sequence[Destination],
    *,
    inputs: GateInputs | None = None,
    max_px: float | None = None,
    accuracy: AccuracyGate | None = None,
    accelerated: Mapping[Runtime, RunOptions] | None = None,
    progress: Progress = lambda _: None,
) -> list[Exported]:
    """Convert `loaded` to every planned destination and pass each through the gate.

    inputs: gate images; drawn people where None. accuracy: a second gate, on ground truth. accelerated: accelerators
    that artifacts of these runtimes must pass on too (`export.accelerated`).
    Raises MissingDependencyError and, for a model too large for a target or for this machine, InputError before any
    work. Drift and failures of a converter do not raise, and the other targets are still exported: see `passed` and
    `error`.
    """
    refuse_oversized(
        loaded.spec.model,
        weight_bytes(loaded.module),
        (each.target.runtime for each in planned),
        detect_machine().memory_bytes,
    )
    for each in planned:
        require(load_converter(each.target.runtime).PACKAGES, "export")
    progress("PyTorch reference")
    gate_inputs = inputs or drawn_inputs(loaded.spec)
    reference = torch_reference(loaded.module, loaded.spec, gate_inputs)
    folded = fold_batchnorm(loaded.module)
    cost = network_cost(folded, loaded.spec)
    results = []
    with scratch("export") as folder:
        source = ConversionSource(folded, loaded.spec, folder, gate_inputs.images)
        for each in planned:
            progress(f"{each.target.runtime} {each.target.precision}")
            try:
                with staging(each.path.parent) as staged:
                    artifact = _convert(loaded, source, each.target, staged, reference, cost)
                    parity = [judge_parity(artifact, reference, gate_inputs, max_px)]
                    if accuracy is not None:
                        parity.append(accuracy(artifact))
                    asked = (accelerated or {}).get(each.target.runtime)
                    verdicts = judge_on(asked, artifact, reference, parity)
                    results.append(publish_or_reject(artifact, each, verdicts))
            except (ConversionError, EngineError) as error:
                results.append(Exported(each.path, each.target, 0, (), error=str(error)))
    return results


def _convert(
    loaded: LoadedModel,
    source: ConversionSource,
    target: Target,
    staged: Path,
    reference: Reference,
    cost: Cost,
) -> Artifact:
    """Fill `staged` with the engine's files, the reference and a manifest without a verdict."""
    converted = load_converter(target.runtime).convert(source, target.precision, staged)
    save_reference(staged / REFERENCE, reference)
    return seal(staged, _manifest(loaded, target, converted, cost))


def _manifest(loaded: LoadedModel, target: Target, converted: Converted, cost: Cost) -> Manifest:
    shared: dict[str, Any] = {
        name: getattr(loaded.spec, name)
        for name in ModelSpec.__struct_fields__
        if name not in {"inputs", "outputs", "image"}
    }
    return Manifest(
        **shared,
        inputs=converted.inputs,
        outputs=converted.outputs,
        image=converted.image,
        runtime=target.runtime,
        precision=target.precision,
        lineage=loaded.lineage,
        tools=converted.tools,
        kept=converted.kept,
        cost=cost,
    )


def publish_or_reject(
    artifact: Artifact, destination: Destination, parity: tuple[Parity, ...]
) -> Exported:
    """Seal the artifact with its verdict and publish it, or move it under `.rejected/` with a report.

    Publishing removes an earlier rejected artifact of the same name, and its report.
    """
    sealed = seal(artifact.root, msgspec.structs.replace(artifact.manifest, parity=parity))
    out, name = destination.path.parent, destination.path.name
    size = sum(record.bytes for record in sealed.manifest.files)
    if all_passed(parity):
        placed = publish(sealed, destination.path, force=destination.force)
        _forget_rejected(out, name)
    else:
        placed = publish(sealed, out / REJECTED / name, force=True)
        report = msgspec.json.format(msgspec.json.encode(parity), indent=1)
        with atomic_file(_report_path(out, name)) as stream:
            stream.write(report + b"\n")
    return Exported(placed.root, destination.target, size, parity)


def _forget_rejected(out: Path, name: str) -> None:
    """Remove a rejected artifact of this name and its report, and the folder where it is then empty."""
    discard(out / REJECTED / name)
    _report_path(out, name).unlink(missing_ok=True)
    with suppress(OSError):  # absent, or not empty
        (out / REJECTED).rmdir()


def _report_path(out: Path, name: str) -> Path:
    return out / REJECTED / f"{name}.report.json"
