"""Strict structs of JSON files on disk: frozen, keyword-only, unknown fields refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from runtimes.errors import InputError


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every struct on disk."""


class Versioned(Protocol):
    """A record that says which format it was written in."""

    @property
    def format(self) -> int:
        """Counts from 1."""
        ...


T = TypeVar("T", bound=Versioned)


def decode_record(
    path: Path,
    data: bytes,
    kind: type[T],
    version: int,
    what: str,
    remedy: str,
    *,
    upgrade: Callable[[Any], Any] = lambda document: document,
) -> T:
    """Decode the JSON of a versioned record.

    `upgrade` turns decoded JSON as earlier releases wrote it into what is written now.

    Raises InputError for anything else, and for a format other than `version`; the message names `path`, says `what`
    it should hold and ends with the `remedy`.
    """
    try:
        found = msgspec.convert(upgrade(msgspec.json.decode(data)), kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: no {what} ({error}); {remedy}") from error
    if found.format != version:
        raise InputError(f"{path}: format {found.format}, this edgepose reads {version}; {remedy}")
    return found
