"""edgepose quantize: int8 of float artifacts, judged on held-out images; what drifts is refused (exit 3)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from edge.cli.checks import require_engine, require_writable
from edge.cli.console import emit_table, hint, say
from edge.cli.options import force_option, json_option
from edge.cli.progress import phases
from edge.cli.summary import emit_made, say_refused
from edge.evaluation.coco import load_dataset
from edge.model import load
from runtimes.artifact import Artifact
from runtimes.errors import InputError
from runtimes.spec import KeptLayer

if TYPE_CHECKING:
    from export import Exported
    from quantize.int8.base import Mode
    from quantize.int8.calibration import Sets
    from quantize.int8.layer_search import SearchResult
    from quantize.int8.run import Job
    from runtimes.naming import Destination

MODES = ("static", "dynamic", "weight-only")


@click.command("quantize")
@click.argument("artifacts", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--calib",
    help="Photographs of people: DIR, COCO.json, or `synth` (drawn people); none of --val's.",
)
@click.option(
    "--images",
    "image_dir",
    type=click.Path(path_type=Path),
    help="Where the images of --calib COCO.json lie.",
)
@click.option(
    "--detector",
    type=click.Path(path_type=Path),
    help="Finds the people in a --calib DIR; without, each photograph is one person.",
)
@click.option(
    "--val",
    type=click.Path(path_type=Path),
    help="COCO.json with ground truth: the gate also judges AP.",
)
@click.option(
    "--val-images",
    type=click.Path(path_type=Path),
    help="Where the images of --val lie.",
)
@click.option("--mode", type=click.Choice(MODES), help="Default: what suits the runtime.")
@click.option("--keep", multiple=True, help="A layer to leave in float; repeat for several.")
@click.option("--layers", "list_layers", is_flag=True, help="List the layers and make nothing.")
@click.option("--search", is_flag=True, help="Find the fewest layers to leave in float.")
@click.option("--time-limit", type=click.FloatRange(min=1), help="Seconds --search may take.")
@click.option("--max-px", type=click.FloatRange(min=0), help="Replaces the pixel limit, 2.")
@click.option(
    "--max-ap-drop", type=click.FloatRange(min=0), help="In points: 0.5 = .005 (needs --val)."
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Default: where the first artifact lies."
)
@force_option
@json_option
def command(
    artifacts: tuple[Path, ...],
    calib: str | None,
    image_dir: Path | None,
    detector: Path | None,
    val: Path | None,
    val_images: Path | None,
    mode: str | None,
    keep: tuple[str, ...],
    list_layers: bool,
    search: bool,
    time_limit: float | None,
    max_px: float | None,
    max_ap_drop: float | None,
    out: Path | None,
    force: bool,
    as_json: bool,
) -> int:
    """Make int8 artifacts of float ARTIFACTS and compare each with its parent."""
    parents = [Artifact.open(path) for path in artifacts]
    for parent in parents:
        require_engine(parent.manifest.runtime)
    if list_layers:
        return _list(parents)
    if calib is None:
        raise InputError(
            "int8 needs images to calibrate and to judge by: add --calib DIR, COCO.json or synth"
        )
    if max_ap_drop is not None and val is None:
        raise InputError("--max-ap-drop needs ground truth: add --val COCO.json")
    if time_limit is not None and not search:
        raise InputError("--time-limit is for --search")
    from quantize.int8.run import Job, int8_destination

    target = out or parents[0].root.resolve().parent
    kept = tuple(KeptLayer(layer=name, precision="float", reason="asked for") for name in keep)
    job = Job(cast("Mode | None", mode), kept, max_px)
    planned = [int8_destination(parent, job, target, force=force) for parent in parents]
    require_writable(target)
    sources = Sources(calib, image_dir, detector, val, val_images, max_ap_drop)
    with phases() as bar:

        def advance(text: str) -> None:
            bar.phase(text, 0)
            bar.advance(0, text)

        results = [
            _make(
                parent, job, sources, destination, Search(time_limit) if search else None, advance
            )
            for parent, destination in zip(parents, planned, strict=True)
        ]
    emit_made(results, "against the float artifact", as_json=as_json)
    if refused := say_refused(results):
        if val is None and any(each.parity and each.parity[0].limit is None for each in refused):
            say(
                "under half of its keypoints can be decided, so ground truth has to judge: add --val COCO.json"
            )
        hint(f"edgepose quantize {artifacts[0]} --calib {calib} --search")
        return 3
    hint(f"edgepose bench {artifacts[0]} {results[0].path}")
    return 0


@dataclass(frozen=True, slots=True)
class Sources:
    """Where pictures come from: to calibrate and judge drift, and with ground truth."""

    calib: str
    image_dir: Path | None
    detector: Path | None
    val: Path | None
    val_images: Path | None
    max_ap_drop: float | None


@dataclass(frozen=True, slots=True)
class Search:
    """That layers are searched for, and how long."""

    time_limit_s: float | None


def _make(
    parent: Artifact,
    job: "Job",
    sources: Sources,
    destination: "Destination",
    search: Search | None,
    advance: Callable[[str], None],
) -> "Exported":
    """Gather images, search where asked, quantize and judge one artifact."""
    from quantize.int8.calibration import pixel_hashes
    from quantize.int8.run import Int8Judges, quantize_artifact
    from quantize.int8.search import searched

    truth = load_dataset(sources.val, sources.val_images) if sources.val else None
    sets = _sets(parent, sources, pixel_hashes(truth))
    job = Int8Judges(truth, sources.max_ap_drop, job.max_px).job(parent, job)
    if search:
        out = destination.path.parent
        job, found = searched(parent, sets, job, out, search.time_limit_s, advance)
        _tell(parent, found)
    return quantize_artifact(parent, sets, destination, job, progress=advance)


def _sets(parent: Artifact, sources: Sources, avoid: frozenset[str]) -> "Sets":
    from quantize.int8.calibration import gather_sets, people_finder

    if sources.detector is None:
        return gather_sets(parent.manifest, sources.calib, sources.image_dir, avoid=avoid)
    with load(sources.detector) as model:
        if not model.spec.is_detector:
            raise InputError(
                f"--detector {sources.detector}: finds no boxes (task {model.spec.task})"
            )
        finder = people_finder(model)
        return gather_sets(
            parent.manifest, sources.calib, sources.image_dir, finder=finder, avoid=avoid
        )


def _tell(parent: Artifact, found: "SearchResult") -> None:
    """Say what a search came to: the layers left in float, or those to blame."""
    if not found.finished:
        say(
            "--time-limit ran out: the layers below may be more than it takes; run it again to go on"
        )
    if found.met:
        say(
            f"{parent.name}: {len(found.kept)} layers left in float, drift {found.initial_drift:.2f} -> "
            f"{found.drift:.2f} of the limit"
        )
        for name in found.kept:
            say(f"  {name}")
        return
    say(f"{parent.name}: no layers were found that hold the limit; most to blame:")
    for group in found.ranking[:3]:
        say(
            f"  {group.layers[0]} .. {group.layers[-1]}: {group.drift:.2f} of the limit without them"
        )


def _list(parents: Sequence[Artifact]) -> int:
    """Print the layers that int8 can take, or leave."""
    from quantize.int8.registry import quantizer

    for parent in parents:
        rows = [
            [layer.name, layer.kind, f"{layer.weights}"]
            for layer in quantizer(parent.manifest.runtime).layers(parent)
        ]
        emit_table([parent.name, "kind", "weights"], rows)
    hint(f"edgepose quantize {parents[0].root} --calib DIR --keep LAYER")
    return 0
