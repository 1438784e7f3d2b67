"""int8 from a float artifact: checked before work, quantized, judged on held-out images, put in place or refused."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from devices.detect import detect_machine
from devices.machine import Machine
from edge.evaluation.dataset import Dataset
from edge.model import load
from edge.parity.reference import load_reference, save_reference
from export.accelerated import judge_on
from export.accuracy import AccuracyGate, ap_gate
from export.exporter import Exported, publish_or_reject
from export.versions import require
from quantize.int8.base import Mode, Quantized, Recipe
from quantize.int8.calibration import ImageSets
from quantize.int8.gate import judge_int8
from quantize.int8.held_out import HeldOut, held_out_reference
from quantize.int8.registry import quantizer
from runtimes.artifact import REFERENCE, Artifact
from runtimes.base import RunOptions
from runtimes.errors import ConversionError, EngineError, InputError
from runtimes.files import seal
from runtimes.naming import Destination, Target, destinations
from runtimes.parity_spec import Parity
from runtimes.spec import Calibration, KeptLayer, Manifest, Runtime
from runtimes.staging import staging

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Int8Options:
    """Options of a quantization: mode (None: the runtime's default), layers to keep in float, limits.

    accuracy: judge on ground truth, in addition to the drift. accelerator: judge the drift there too.
    """

    mode: Mode | None = None
    kept: tuple[KeptLayer, ...] = ()
    max_px: float | None = None
    accuracy: AccuracyGate | None = field(default=None)
    accelerator: RunOptions | None = None

    def recipe(self, parent: Artifact) -> Recipe:
        """Return the recipe for one artifact."""
        tool = quantizer(parent.manifest.runtime)
        return Recipe(self.mode or tool.default_mode(parent), self.kept)


@dataclass(frozen=True, slots=True)
class Int8Limits:
    """Limits of the gate: pixels, and points of AP on the ground truth, where there is some.

    det_classes: of a detector, those that are people. accelerated: accelerators that artifacts of these runtimes must
    pass on too; for TensorRT they are quantized as it wants them.
    """

    truth: Dataset | None
    max_ap_drop: float | None
    max_px: float | None
    det_classes: tuple[str, ...] = ()
    accelerated: Mapping[Runtime, RunOptions] = field(default_factory=dict)

    def options_for(self, parent: Artifact, options: Int8Options | None = None) -> Int8Options:
        """Return `options` with these limits for one parent, which is evaluated on the ground truth first."""
        limited = replace(options or Int8Options(), max_px=self.max_px)
        if asked := self.accelerated.get(parent.manifest.runtime):
            limited = replace(limited, accelerator=asked)
            if asked.extra.get("provider") == "tensorrt":
                limited = replace(limited, mode="symmetric")
        if self.truth is None:
            return limited
        with load(parent.root) as model:
            accuracy = ap_gate(
                model,
                f"artifact {parent.name}",
                self.truth,
                self.max_ap_drop,
                self.det_classes,
            )
        return replace(limited, accuracy=accuracy)


def int8_destination(
    parent: Artifact, options: Int8Options, out: Path, *, force: bool = False
) -> Destination:
    """Return the destination in `out` of a parent's int8 artifact, after every check that needs no work.

    Raises InputError (already int8, random weights, a mode or a layer that the runtime does not have, a CPU that
    cannot run it), TargetExistsError, MissingDependencyError.
    """
    manifest, name = parent.manifest, parent.name
    if manifest.precision == "int8":
        raise InputError(f"{name} is int8 already; give the fp32 artifact it was made from")
    if manifest.lineage.weights == "random":
        raise InputError(
            f"{name} has random weights: int8 of them cannot be judged; export trained weights"
        )
    if manifest.runtime == "tflite" and manifest.precision == "fp16":
        raise InputError(
            f"{name}: a TFLite file with half weights cannot be quantized; give its fp32 artifact"
        )
    refuse_cpu(name, manifest.runtime, detect_machine())
    tool = quantizer(manifest.runtime)
    if options.mode is not None and options.mode not in tool.MODES:
        raise InputError(
            f"{manifest.runtime} has no {options.mode} int8; it has {', '.join(tool.MODES)}"
        )
    target = Target(manifest.runtime, "int8")
    (destination,) = destinations(manifest, [target], out, force=force)
    require(tool.PACKAGES, "quantize")
    known = {layer.name for layer in tool.layers(parent)}
    if unknown := sorted({layer.layer for layer in options.kept} - known):
        raise InputError(
            f"{name} has no layer {unknown[0]!r} that could be kept in float; `edgepose quantize --layers` lists them"
        )
    return destination


def refuse_cpu(name: str, runtime: Runtime, machine: Machine) -> None:
    """Raise InputError where a runtime has no int8 on this CPU: the artifact could be made, not judged."""
    # OpenVINO 2026.4 fails on ARM cores without dot products ("object is not initialized", seen on a Cortex-A72)
    arm = machine.arch in {"aarch64", "arm64"}
    if runtime == "openvino" and arm and "asimddp" not in machine.isa:
        raise InputError(
            f"{name}: OpenVINO runs no int8 on this CPU ({machine.cpu_model}: no asimddp); "
            "quantize on another machine, or take ncnn or tflite"
        )


def quantize_artifact(
    parent: Artifact,
    sets: ImageSets,
    destination: Destination,
    options: Int8Options,
    *,
    progress: Progress = lambda _: None,
) -> Exported:
    """Quantize one artifact, judge it on held-out images, and move it to its destination, or beside it to `.rejected/`.

    destination: of `int8_destination`, which also checks the options. A quantizer's or an engine's failure does not
    raise: look at `error` and `passed`.
    """
    target = destination.target
    progress(f"{parent.name}: float reference")
    held_out = held_out_reference(parent, sets)
    try:
        with staging(destination.path.parent) as staged:
            progress(f"{target.runtime} int8")
            artifact = write_int8(parent, sets, options.recipe(parent), staged)
            progress(f"{target.runtime} int8: judging")
            parity = verdicts(artifact, held_out, options)
            return publish_or_reject(artifact, destination, parity)
    except (ConversionError, EngineError) as error:
        return Exported(destination.path, target, 0, (), error=str(error))


def verdicts(artifact: Artifact, held_out: HeldOut, options: Int8Options) -> tuple[Parity, ...]:
    """Return the verdicts on an int8 artifact: on drift, on AP where there is ground truth, on an accelerator."""
    judged: list[Parity]
    judged = [judge_int8(artifact, held_out.reference, held_out.label, options.max_px)]
    if options.accuracy is not None:
        judged.append(options.accuracy(artifact))
    return judge_on(options.accelerator, artifact, held_out.reference, judged)


def write_int8(parent: Artifact, sets: ImageSets, recipe: Recipe, directory: Path) -> Artifact:
    """Quantize into `directory`: int8 files, the parent's reference, and a manifest without a verdict."""
    made = quantizer(parent.manifest.runtime).quantize(parent, sets.calibration, recipe, directory)
    save_reference(directory / REFERENCE, load_reference(parent.root / REFERENCE))
    return seal(directory, _manifest(parent, sets, recipe, made))


def _manifest(parent: Artifact, sets: ImageSets, recipe: Recipe, made: Quantized) -> Manifest:
    manifest = parent.manifest
    return msgspec.structs.replace(
        manifest,
        precision="int8",
        inputs=made.inputs,
        outputs=made.outputs,
        image=made.image,
        kept=made.kept,
        files=(),
        parity=(),
        calibration=(
            sets.record(made.method)
            if recipe.mode in {"static", "symmetric"}
            else Calibration(method=made.method)
        ),
        lineage=msgspec.structs.replace(manifest.lineage, parent=parent.name),
        tools={**manifest.tools, **made.tools},
    )
