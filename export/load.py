"""Models loaded by what a user names: a catalogue name, a checkpoint, an address, `download` or `random`."""

from dataclasses import replace
from pathlib import Path

import msgspec

from edge.catalog.entry import CatalogEntry, hash_in
from edge.catalog.lookup import CATALOG, find
from edge.catalog.user import UserModel, user_models
from edge.schema import KeypointSchema
from export.checkpoint import Asked, LoadedModel, load_checkpoint, with_input
from export.download.fetch import ByteProgress, fetch
from export.engine_files import LAYOUTS
from export.lineage import published_as
from export.random_weights import random_model
from export.registry import variant_of
from export.weights import read_weights
from runtimes.errors import InputError


def load_weights(
    model: str,
    weights: str | None,
    wh: tuple[int, int] | None = None,
    *,
    task: str | None = None,
    heads: int | None = None,
    keypoints: KeypointSchema | None = None,
    size: str = "",
    progress: ByteProgress | None = None,
) -> LoadedModel:
    """Load MODEL (a catalogue name, or a checkpoint file) with the weights asked for.

    weights: a checkpoint file, "random", "download" (the official file), an http(s) address, or None where MODEL is
    itself a checkpoint. wh: another input size. task: which of a file's parts, or whose keypoints; heads: attention
    heads of a transformer; keypoints: a set of the user's own; size: a ViTPose's whole size; all as for
    `load_checkpoint`. progress: called with a download's bytes; see `export.download.fetch`.
    Raises InputError for a name without weights, CheckpointError for a file that cannot be loaded, DownloadError.
    """
    asked = Asked(task, heads, keypoints, wh, size)
    loaded = (
        _load_file(model, weights, asked)
        if _is_path(model)
        else _load_named(model, weights, asked, progress)
    )
    return loaded if wh is None or wh == loaded.spec.image.wh else with_input(loaded, wh)


def _load_file(model: str, weights: str | None, asked: Asked) -> LoadedModel:
    path = Path(model)
    if "://" in model:
        raise InputError(f"name the model, and give its address as --weights {model}")
    if path.is_dir():
        raise InputError(
            f"{model} is a directory; give a catalogue name (see `edgepose models`) or a checkpoint file"
        )
    if path.suffix in LAYOUTS:
        raise InputError(
            f"{model} is converted already; wrap it with `edgepose import {model} --like NAME`"
        )
    if weights is not None:
        raise InputError(f"{model} brings its own weights: leave --weights out, or name a model")
    return _load(path, None, asked)


def _load_named(
    model: str,
    weights: str | None,
    asked: Asked,
    progress: ByteProgress | None,
) -> LoadedModel:
    own = user_models().get(model)
    if own is not None and weights == "download":
        return _load_own(own, asked, progress)
    if own is not None and model not in CATALOG:
        raise InputError(
            f"{model} is a model of EDGEPOSE_CATALOG: add --weights download ({own.url})"
        )
    entry = find(model)
    variant_of(entry)  # raises for a model that can only be imported
    if weights is None:
        raise InputError(
            f"{model} needs weights: add --weights FILE{_official(entry)}, or --weights random for a smoke test"
        )
    if weights == "random":
        return _random(entry, asked)
    if weights == "download" or "://" in weights:
        return _load_from(entry, weights, asked, progress)
    return _load(weights, entry.name, asked)


def _load(path: str | Path, name: str | None, asked: Asked) -> LoadedModel:
    return load_checkpoint(
        path,
        name,
        asked.task,
        asked.heads,
        keypoints=asked.keypoints,
        input_wh=asked.input_wh,
        size=asked.size,
    )


def _load_own(own: UserModel, asked: Asked, progress: ByteProgress | None) -> LoadedModel:
    """Download a model of the user's catalogue file; it keeps the user's name.

    Its weights must fit `like`, where that is given; a student's card says more than any name, of the same task and
    family. Raises InputError where it is of another.
    """
    like = find(own.like).name if own.like else own.name if own.name in CATALOG else None
    path = fetch(own.url, own.sha256, progress=progress).path
    loaded = _load(path, None if _has_card(path) else like, asked)
    wanted = CATALOG[like] if like else None
    if wanted and (loaded.spec.task, loaded.family) != (wanted.task, wanted.family):
        raise InputError(
            f"{own.name}: {own.url} holds a {loaded.family} model of task {loaded.spec.task}, but its entry says "
            f"it is like {like} ({wanted.family}, {wanted.task}); correct `like` in EDGEPOSE_CATALOG"
        )
    return replace(loaded, spec=msgspec.structs.replace(loaded.spec, model=own.name))


def _has_card(path: Path) -> bool:
    return path.suffix == ".safetensors" and read_weights(path).card is not None


def _random(entry: CatalogEntry, asked: Asked) -> LoadedModel:
    given = {
        "--task": asked.task,
        "--heads": asked.heads,
        "--keypoints": asked.keypoints,
        "--size": asked.size or None,
    }
    for option, value in given.items():
        if value is not None:
            raise InputError(f"{option} describes a checkpoint; leave it out with --weights random")
    return random_model(entry.name)


def _load_from(
    entry: CatalogEntry,
    weights: str,
    asked: Asked,
    progress: ByteProgress | None,
) -> LoadedModel:
    """Download the official file, or the one at an address, and load it as that entry's."""
    official = weights in {"download", entry.url}
    url = entry.url if official else weights
    if url is None:
        raise InputError(
            f"no official address of {entry.name} is known; download its weights yourself and give --weights FILE"
        )
    if official and not entry.downloadable:
        raise InputError(
            f"{entry.name}: its official weights lie behind a web page; open {url} in a browser, "
            "and give the downloaded file as --weights FILE"
        )
    prefix = entry.sha256_prefix if official else hash_in(url)
    path = fetch(url, prefix, progress=progress).path
    loaded = _load(path, entry.name, asked)
    # `lineage_of` knows published hashes; without one, the address says that the file is the publisher's
    return replace(loaded, lineage=published_as(loaded.lineage, entry)) if official else loaded


def _official(entry: CatalogEntry) -> str:
    """Return the source of the official weights as part of a sentence; empty where they have no address."""
    if entry.url is None:
        return ""
    return f" or --weights download ({entry.url})" if entry.downloadable else f" (from {entry.url})"


def _is_path(model: str) -> bool:
    path = Path(model)
    named = path.suffix in {".pth", ".pt", ".safetensors", *LAYOUTS} or path.exists()
    return named and model not in {**CATALOG, **user_models()}  # a folder may bear a model's name
