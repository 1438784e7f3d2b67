"""edgepose quantize: float artifacts to int8, judged on held-out images; what drifts is refused (exit 3)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from edge.cli.checks import require_engine, require_torch, require_writable
from edge.cli.console import command_line, emit_table, hint, say
from edge.cli.options import (
    ARTIFACT,
    PATH,
    CalibrationOptions,
    FloatRange,
    GateOptions,
    calibration_options,
    det_classes_option,
    force_option,
    gate_options,
    json_option,
)
from edge.cli.progress import phases
from edge.cli.summary import emit_artifacts, report_written
from edge.cli.verb import Verb
from edge.codecs.people import parse_classes
from edge.model import load
from runtimes.artifact import Artifact
from runtimes.errors import InputError
from runtimes.naming import Destination
from runtimes.spec import KeptLayer

if TYPE_CHECKING:
    from export import Exported
    from quantize.int8.base import Mode
    from quantize.int8.calibration import ImageSets
    from quantize.int8.layer_search import SearchResult
    from quantize.int8.run import Int8Options

MODES = ("static", "symmetric", "dynamic", "weight-only")


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """Whether to search for the layers to keep in float, and for how many seconds at most."""

    search: bool
    time_limit: float | None


@click.command("quantize", cls=Verb)
@click.argument("artifacts", nargs=-1, required=True, type=ARTIFACT)
@calibration_options
@click.option(
    "--detector",
    type=ARTIFACT,
    help="Artifact that finds the people in a --calib DIR; without it, each image is one person.",
)
@det_classes_option
@gate_options
@click.option("--mode", type=click.Choice(MODES), help="Default: what suits the runtime.")
@click.option("--keep", multiple=True, help="A layer to keep in float; repeat for several.")
@click.option("--layers", "list_layers", is_flag=True, help="List the layers and exit.")
@click.option("--search", is_flag=True, help="Find the fewest layers to keep in float.")
@click.option("--time-limit", type=FloatRange(min=1), help="Seconds --search may take.")
@click.option("--out", type=PATH, help="Default: the directory of the first artifact.")
@force_option
@json_option
def command(
    artifacts: tuple[Path, ...],
    calibration: CalibrationOptions,
    detector: Path | None,
    det_classes: str | None,
    gate: GateOptions,
    mode: str | None,
    keep: tuple[str, ...],
    list_layers: bool,
    search: SearchOptions,
    out: Path | None,
    force: bool,
    as_json: bool,
) -> int:
    """Quantize float ARTIFACTS to int8 and check each against its parent.

    Images of --val never calibrate: those that --calib gives too are left out.
    """
    require_torch("quantize")
    parents = [Artifact.open(path) for path in artifacts]
    for parent in parents:
        require_engine(parent.manifest.runtime)
    if list_layers:
        return _list_layers(parents)
    if calibration.calib is None:
        raise InputError(
            "int8 needs images to calibrate and to judge by: add --calib DIR, COCO.json or synth"
        )
    gate.check()
    if search.time_limit is not None and not search.search:
        raise InputError("--time-limit is for --search")
    from quantize.int8.run import Int8Options, int8_destination

    target = out or parents[0].root.resolve().parent
    kept = tuple(KeptLayer(layer=name, precision="float", reason="asked for") for name in keep)
    options = Int8Options(cast("Mode | None", mode), kept, gate.max_px)
    planned = [int8_destination(parent, options, target, force=force) for parent in parents]
    require_writable(target)
    sources = Sources(calibration, detector, parse_classes(det_classes), gate)
    with phases() as bar:

        def advance(text: str) -> None:
            bar.phase(text, 0)
            bar.advance(0, text)

        results = [
            _quantize(parent, options, sources, destination, search, advance)
            for parent, destination in zip(parents, planned, strict=True)
        ]
    emit_artifacts(results, "against the float artifact", as_json=as_json)
    if refused := report_written(results):
        if gate.val is None and _needs_labels(refused):
            say(
                "under half of its keypoints are decidable, so AP has to judge: add --val COCO.json"
            )
        hint(command_line("quantize", artifacts[0], "--calib", calibration.calib, "--search"))
        return 3
    hint(command_line("bench", artifacts[0], results[0].path))
    return 0


@dataclass(frozen=True, slots=True)
class Sources:
    """Where images come from: to calibrate and to measure drift on, and with ground truth."""

    calibration: CalibrationOptions
    detector: Path | None
    det_classes: tuple[str, ...]
    gate: GateOptions


def _quantize(
    parent: Artifact,
    options: "Int8Options",
    sources: Sources,
    destination: Destination,
    search: SearchOptions,
    advance: Callable[[str], None],
) -> "Exported":
    """Gather images, search where asked, quantize and judge one artifact."""
    from quantize.int8.calibration import pixel_hashes
    from quantize.int8.run import Int8Limits, quantize_artifact
    from quantize.int8.search import search_kept_layers

    truth = sources.gate.ground_truth()
    sets = _calibration_sets(parent, sources, pixel_hashes(truth))
    limits = Int8Limits(truth, sources.gate.max_ap_drop, options.max_px, sources.det_classes)
    options = limits.options_for(parent, options)
    if search.search:
        out = destination.path.parent
        options, found = search_kept_layers(parent, sets, options, out, search.time_limit, advance)
        _report_search(parent, found)
    return quantize_artifact(parent, sets, destination, options, progress=advance)


def _calibration_sets(parent: Artifact, sources: Sources, exclude: frozenset[str]) -> "ImageSets":
    from quantize.int8.calibration import gather_sets, person_finder

    calib, images = str(sources.calibration.calib), sources.calibration.images
    category = sources.gate.category
    if sources.detector is None:
        return gather_sets(parent.manifest, calib, images, exclude=exclude, category=category)
    with load(sources.detector) as model:
        if not model.spec.is_detector:
            raise InputError(
                f"--detector {sources.detector}: finds no boxes (task {model.spec.task})"
            )
        finder = person_finder(model, sources.det_classes)
        return gather_sets(
            parent.manifest, calib, images, finder=finder, exclude=exclude, category=category
        )


def _report_search(parent: Artifact, found: "SearchResult") -> None:
    """Say which layers a search keeps in float, or which ones drift the most."""
    if not found.finished:
        say(
            "--time-limit ran out: the layers below may be more than needed; run it again to resume the search"
        )
    if found.met:
        say(
            f"{parent.name}: {len(found.kept)} layers left in float, drift {found.initial_drift:.2f} -> "
            f"{found.drift:.2f} of the limit"
        )
        for name in found.kept:
            say(f"  {name}")
        return
    say(f"{parent.name}: no set of layers was found that holds the limit; the most sensitive:")
    for group in found.ranking[:3]:
        say(
            f"  {group.layers[0]} .. {group.layers[-1]}: {group.drift:.2f} of the limit without them"
        )


def _needs_labels(refused: "Sequence[Exported]") -> bool:
    """Return whether an artifact was refused because agreement alone cannot judge it."""
    return any(each.parity and each.parity[0].limit is None for each in refused)


def _list_layers(parents: Sequence[Artifact]) -> int:
    """Print the layers that can be quantized, or kept in float."""
    from quantize.int8.registry import quantizer

    for parent in parents:
        rows = [
            [layer.name, layer.kind, f"{layer.weights}"]
            for layer in quantizer(parent.manifest.runtime).layers(parent)
        ]
        emit_table([parent.name, "kind", "weights"], rows)
    hint(command_line("quantize", parents[0].root, "--calib", "DIR", "--keep", "LAYER"))
    return 0
