"""edgepose models: the catalogue, as a table, or one entry in full."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone

import click
import msgspec

from edge.catalog.lookup import CATALOG, CatalogEntry, find, terms_of
from edge.catalog.user import UserModel, user_models
from edge.cli.chosen import FIRST_MODELS
from edge.cli.console import emit_json, emit_table, hint, number, say
from edge.cli.options import json_option
from edge.schema import load_schema
from runtimes.cache.names import CachedArtifact, list_cache
from runtimes.errors import InputError

HEADER = (
    "name",
    "task",
    "input",
    "finds",
    "M params",
    "G MACs",
    "published",
    "licence",
    "commercial",
    "sha256",
    "official weights",
)


@click.command("models")
@click.argument("name", required=False)
@click.option("--local", is_flag=True, help="List the artifacts in the cache, newest first.")
@json_option
def command(name: str | None, local: bool, as_json: bool) -> None:
    """List the models that can be exported or imported: input, keypoints, size, published AP, licence, weights.

    Models of the file that EDGEPOSE_CATALOG names come first.
    """
    from export.registry import FAMILIES

    if local:
        if name:
            raise InputError("--local lists the whole cache; leave out the name")
        _show_cache(as_json=as_json)
        return
    own = user_models()
    if name in own:
        _show_user_model(own[name], as_json=as_json)
        return
    entries = [find(name)] if name else list(CATALOG.values())
    if as_json:
        listed = [] if name else [_user_record(model) for model in own.values()]
        emit_json([*listed, *(_record(entry) for entry in entries)])
    elif name:
        _show_one(entries[0])
    else:
        _show_all(own, entries)
    if name and entries[0].family not in FAMILIES:
        hint(f"edgepose import FILE --like {name}")
    else:
        official = name is None or entries[0].downloadable
        hint(f"edgepose export {name or 'NAME'} --weights {'download' if official else 'FILE'}")


def _show_cache(*, as_json: bool) -> None:
    """Show the artifacts in the cache, and say what else is there."""
    cached, errors = list_cache()
    records = [_cached_record(each) for each in cached]
    if as_json:
        emit_json(records)
    else:
        header = list(records[0]) if records else ["artifact"]
        emit_table(header, [[_text(value) for value in record.values()] for record in records])
    for error in errors:
        say(str(error))
    poses = any(each.manifest.gives_keypoints for each in cached)
    hint("edgepose run PHOTO.jpg --out pictures" if poses else FIRST_MODELS)


def _cached_record(cached: CachedArtifact) -> dict[str, object]:
    manifest = cached.manifest
    came = datetime.fromtimestamp(cached.time_ns / 1e9, tz=timezone.utc)
    return {
        "artifact": cached.path.name,
        "model": manifest.model,
        "task": manifest.task,
        "runtime": manifest.runtime,
        "precision": manifest.precision,
        "bytes": sum(record.bytes for record in manifest.files),
        "got": f"{came:%Y-%m-%dT%H:%M:%SZ}",
        "runs_here": cached.runs_here,
    }


def _user_record(model: UserModel) -> dict[str, object]:
    """Return every field, and the terms as far as they are known before the file is there."""
    licence, commercial = _terms(model)
    return {**msgspec.to_builtins(model), "licence": licence, "commercial_use": commercial}


def _terms(model: UserModel) -> tuple[str, bool | None]:
    """Return licence and commercial use: those of the artifact in the cache, else as far as the catalogue tells."""
    for cached in list_cache()[0]:
        lineage = cached.manifest.lineage
        same = lineage.checkpoint_sha256.startswith(model.sha256.lower())
        if same and cached.manifest.model == model.name:
            return ", ".join(lineage.licences) or "unknown", lineage.commercial_use
    entry = terms_of(model)
    return (entry.licence, entry.commercial_use) if entry else ("unknown", None)


def _show_user_model(model: UserModel, *, as_json: bool) -> None:
    fields = _user_record(model)
    if as_json:
        emit_json([fields])
    else:
        emit_table(["field", "value"], [[key, _text(value)] for key, value in fields.items()])
    hint(f"edgepose get {model.name}")


def _record(entry: CatalogEntry) -> dict[str, object]:
    """Return every field, and the number of keypoints."""
    keypoints = len(load_schema(entry.schema)) if entry.schema else None
    return {**asdict(entry), "keypoints": keypoints}


def _show_one(entry: CatalogEntry) -> None:
    fields = _record(entry) | {"input_wh": "{}x{}".format(*entry.input_wh)}
    emit_table(["field", "value"], [[key, _text(value)] for key, value in fields.items()])


def _show_all(own: Mapping[str, UserModel], entries: Sequence[CatalogEntry]) -> None:
    sources = list(dict.fromkeys(entry.ap_source for entry in entries if entry.ap_source))
    table: list[Sequence[str]] = [HEADER]
    table += [_user_row(model) for model in own.values()]
    table += [
        (
            entry.name,
            entry.task,
            "{}x{}".format(*entry.input_wh),
            entry.keypoints,
            number(entry.params_m),
            number(entry.gmacs),
            _published(entry, sources),
            entry.licence.partition(" (")[0],
            "yes" if entry.commercial_use else "no",
            (entry.sha256_prefix or "-")[:8],
            entry.url or "-",
        )
        for entry in entries
    ]
    if _too_wide(table):
        table = [row[:-1] for row in table]
    emit_table(table[0], table[1:])
    click.echo()
    for place, source in enumerate(sources, 1):
        click.echo(f"[{place}] {source}")


def _user_row(model: UserModel) -> tuple[str, ...]:
    """Return a row of the same columns; the file itself says the rest once it is there."""
    like = CATALOG.get(model.like or model.name)
    known = (like.task, "{}x{}".format(*like.input_wh), like.keypoints) if like else ("-", "-", "-")
    licence, commercial = _terms(model)
    allowed = {True: "yes", False: "no", None: "unknown"}[commercial]
    licence = licence.partition(" (")[0]
    return (model.name, *known, "-", "-", "-", licence, allowed, model.sha256[:8], model.url)


def _published(entry: CatalogEntry, sources: list[str]) -> str:
    """Return the AP, or the first figure published instead, and the number of its source."""
    if entry.ap_source is None:
        return "-"
    name, value = ("AP", entry.ap) if entry.ap is not None else next(iter(entry.figures.items()))
    return f"{name} {number(value)} [{sources.index(entry.ap_source) + 1}]"


def _too_wide(table: Sequence[Sequence[str]]) -> bool:
    """Return whether URLs would wrap on this terminal; a file or a pipe takes any width."""
    width = sum(max(map(len, column)) + 2 for column in zip(*table, strict=True))
    return sys.stdout.isatty() and width > shutil.get_terminal_size().columns


def _text(value: object) -> str:
    match value:
        case None | () | "":
            return "-"
        case dict():
            return ", ".join(f"{key} {item}" for key, item in value.items()) or "-"
        case tuple():
            return ", ".join(map(str, value))
        case bool():
            return "yes" if value else "no"
        case _:
            return str(value)
