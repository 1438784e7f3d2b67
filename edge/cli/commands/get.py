"""edgepose get: published models downloaded, exported and checked into the user's cache, or unpacked from a bundle."""

import importlib.util
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.catalog.lookup import CATALOG, find
from edge.catalog.user import user_models
from edge.cli.checks import require_converters, require_writable
from edge.cli.chosen import FIRST_MODELS
from edge.cli.console import command_line, hint, progress, say
from edge.cli.options import PATH, force_option, json_option, parse_list, setting
from edge.cli.outputs import check_reports
from edge.cli.summary import emit_artifacts, placed, report_written
from runtimes.artifact import Artifact
from runtimes.cache.bundle import SUFFIX, unpack_bundle, write_bundle
from runtimes.cache.names import (
    artifacts_dir,
    installed_runtimes,
    latest,
    list_cache,
    runtime_order,
)
from runtimes.errors import ArtifactError, InputError, MissingDependencyError
from runtimes.naming import Target
from runtimes.registry import ENGINES, installed_engine
from runtimes.spec import Runtime

if TYPE_CHECKING:
    from export import Exported

RUNTIMES: dict[str, Runtime] = {"onnx": "onnxruntime", **{name: name for name in ENGINES}}
# Bundles, and what is made of them; the latter are refused with the way back.
ARCHIVES = {SUFFIX, ".gz", ".tgz", ".bz2", ".xz", ".zst", ".zip"}
PRECISIONS = {"fp32": "fp32", "fp16": "fp16"}


@click.command("get")
@click.argument("names", nargs=-1, required=True)
@click.option(
    "--runtime",
    "runtimes",
    help=f"Comma-separated: {', '.join(ENGINES)}. Default: the best for this machine that is installed.",
)
@setting(["--precision", "precisions"], str, "fp32", "Comma-separated: fp32, fp16.")
@click.option("--bundle", type=PATH, help="Also write the artifacts into one FILE.tar for a board.")
@force_option
@json_option
def command(
    names: tuple[str, ...],
    runtimes: str | None,
    precisions: str,
    bundle: Path | None,
    force: bool,
    as_json: bool,
) -> int:
    """Download, export and check models by NAMES into the cache, where `edgepose run SOURCE` finds them.

    FILE.tar in place of NAMES unpacks a bundle that was made with --bundle on another machine; that needs no torch.
    """
    require_writable(artifacts_dir(), "set EDGEPOSE_CACHE to a writable folder")
    if any(map(_is_file, names)):
        if len(names) > 1 or runtimes or bundle:
            raise InputError("a bundle is unpacked alone: leave out other names and options")
        return _unpack(Path(names[0]), force=force, as_json=as_json)
    check_reports((bundle,), force=force)
    known = _known(names)
    if "int8" in precisions:
        raise InputError(
            f"int8 needs images: get fp32, then run: edgepose quantize {names[0]} --calib DIR"
        )
    kinds = parse_list(precisions, PRECISIONS, "precision")
    targets = [Target(runtime, kind) for runtime in _runtimes(runtimes) for kind in kinds]
    wanted = [(name, target) for name in known for target in targets]
    present = {} if force else _present(wanted)
    missing = [each for each in wanted if each not in present]
    if missing:
        _require_host(missing, names)
    for artifact in present.values():
        say(f"{artifact.name}: is in the cache already; --force gets it again")
    got = _get(missing)
    there = [placed(each) for each in present.values()]
    emit_artifacts([*there, *got], "against PyTorch", as_json=as_json)
    if runtimes is None:
        say(
            f"runtime {targets[0].runtime}, of {', '.join(installed_runtimes())} here; --runtime chooses"
        )
    if report_written(got):
        hint(command_line("get", *names, "--runtime", "OTHER"))
        return 3
    if bundle:
        paths = [*(each.path for each in there), *(each.path for each in got)]
        write_bundle(bundle, [Artifact.open(path) for path in paths])
        say(f"wrote {bundle}")
        hint(f"copy {bundle} to the board, and there: {command_line('get', bundle.name)}")
    else:
        _hint_at_run()
    return 0


def _is_file(name: str) -> bool:
    """Return whether a name means a file, such as a bundle, and no model."""
    known = name in CATALOG or name in user_models()
    return "/" in name or Path(name).suffix in ARCHIVES or (not known and Path(name).is_file())


def _known(names: Sequence[str]) -> list[str]:
    """Return the names, each once; raises InputError for the first that cannot be downloaded."""
    own = user_models()
    for name in names:
        entry = None if name in own else find(name)
        if entry and entry.url is None:
            raise InputError(
                f"{name}: no address is known to get it from; see `edgepose models {name}`"
            )
        if entry and not entry.downloadable:
            raise InputError(
                f"{name}: its file lies behind a web page; open {entry.url} in a browser, "
                f"then run: edgepose export {name} --weights FILE"
            )
    return list(dict.fromkeys(names))


def _runtimes(asked: str | None) -> list[Runtime]:
    """Return the runtimes asked for; by default the best that is installed."""
    if asked is not None:
        return parse_list(asked, RUNTIMES, "runtime")
    installed = installed_runtimes()
    if not installed:
        best = runtime_order()[0]
        raise MissingDependencyError(ENGINES[best].packages[0], best)
    return installed[:1]


def _present(wanted: Iterable[tuple[str, Target]]) -> dict[tuple[str, Target], Artifact]:
    """Return those that are in the cache, sound, and made of the weights that would be downloaded now."""
    found = {}
    for each in list_cache()[0]:
        key = (each.manifest.model, Target(each.manifest.runtime, each.manifest.precision))
        if each.manifest.lineage.checkpoint_sha256.startswith(_published_hash(each.manifest.model)):
            found[key] = each.path
    return {key: artifact for key in wanted if (artifact := _sound(found.get(key)))}


def _published_hash(name: str) -> str:
    """Return the first digits of the hash of a model's weights; "" where none is known."""
    own, entry = user_models().get(name), CATALOG.get(name)
    return (own.sha256.lower() if own else entry.sha256_prefix if entry else None) or ""


def _sound(path: Path | None) -> Artifact | None:
    try:
        return Artifact.open(path) if path else None
    except ArtifactError:
        return None


def _require_host(missing: Sequence[tuple[str, Target]], names: Sequence[str]) -> None:
    """Raise MissingDependencyError where this machine cannot export them, with what to run on one that can."""
    runtimes = list(dict.fromkeys(target.runtime for _, target in missing))
    if importlib.util.find_spec("torch") is None:
        precisions = ",".join(dict.fromkeys(target.precision for _, target in missing))
        options = f"--runtime {','.join(runtimes)}" + (
            "" if precisions == "fp32" else f" --precision {precisions}"
        )
        raise MissingDependencyError(
            "torch",
            "export",
            f"torch is not installed; on a machine that has it run: edgepose get --bundle models.tar {options} "
            f"{' '.join(names)}; copy models.tar here and run: edgepose get models.tar "
            "(or export here: pip install 'edgepose[export]')",
        )
    require_converters(runtimes)


def _get(missing: Sequence[tuple[str, Target]]) -> "list[Exported]":
    """Download, export and check each into the cache."""
    if not missing:
        return []
    from edge.cli.weights import load_weights
    from export import export_model

    results = []
    for name in dict.fromkeys(name for name, _ in missing):
        targets = [target for each, target in missing if each == name]
        loaded = load_weights(name, "download")
        with progress(name, len(targets) + 1) as advance:
            # what is there is not sound, or to be replaced
            results += export_model(loaded, targets, artifacts_dir(), force=True, progress=advance)
    return results


def _unpack(bundle: Path, *, force: bool, as_json: bool) -> int:
    came, there = unpack_bundle(bundle, artifacts_dir(), force=force)
    emit_artifacts([placed(each) for each in (*came, *there)], "against PyTorch", as_json=as_json)
    for artifact in there:
        say(f"{artifact.name}: is in the cache already")
    for artifact in came:
        say(f"wrote {artifact.root}")
    for runtime in dict.fromkeys(each.manifest.runtime for each in came):
        if installed_engine(runtime) is None:
            say(f"{runtime} is not installed here; run: pip install 'edgepose[{runtime}]'")
    _hint_at_run()
    return 0


def _hint_at_run() -> None:
    """Hint at what to do with what is in the cache now."""
    try:
        pose = latest(lambda manifest: manifest.gives_keypoints)
    except MissingDependencyError as error:
        hint(f"pip install 'edgepose[{error.extra}]'")
        return
    hint("edgepose run PHOTO.jpg --out pictures" if pose else FIRST_MODELS)
