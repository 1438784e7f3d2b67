"""edgepose models: the catalogue, as a table, or one entry in full."""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict

import click

from edge.catalog.lookup import CATALOG, CatalogEntry, find
from edge.cli.console import emit_json, emit_table, hint, number
from edge.cli.options import json_option
from edge.schema import load_schema

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
@json_option
def command(name: str | None, as_json: bool) -> None:
    """List the models that can be exported or imported: input, keypoints, size, published AP, licence, weights."""
    from export.registry import FAMILIES

    entries = [find(name)] if name else list(CATALOG.values())
    if as_json:
        emit_json([_record(entry) for entry in entries])
    elif name:
        _show_one(entries[0])
    else:
        _show_all(entries)
    if name and entries[0].family not in FAMILIES:
        hint(f"edgepose import FILE --like {name}")
    else:
        official = name is None or entries[0].downloadable
        hint(f"edgepose export {name or 'NAME'} --weights {'download' if official else 'FILE'}")


def _record(entry: CatalogEntry) -> dict[str, object]:
    """Return every field, and the number of keypoints."""
    keypoints = len(load_schema(entry.schema)) if entry.schema else None
    return {**asdict(entry), "keypoints": keypoints}


def _show_one(entry: CatalogEntry) -> None:
    fields = _record(entry) | {"input_wh": "{}x{}".format(*entry.input_wh)}
    emit_table(["field", "value"], [[key, _text(value)] for key, value in fields.items()])


def _show_all(entries: Sequence[CatalogEntry]) -> None:
    sources = list(dict.fromkeys(entry.ap_source for entry in entries if entry.ap_source))
    table: list[Sequence[str]] = [HEADER]
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
