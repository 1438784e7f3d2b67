"""Strict structs of JSON files on disk: frozen, keyword-only, unknown fields refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar

import msgspec
from msgspec import Meta

from runtimes.errors import InputError

# Numbers of files on disk: what is outside names its field when it is read. JSON has neither NaN nor infinity.
Positive = Annotated[float, Meta(gt=0, le=1e9)]
NotNegative = Annotated[float, Meta(ge=0, le=1e9)]
Share = Annotated[float, Meta(ge=0, le=1)]
Size = Annotated[int, Meta(ge=0, le=1 << 53)]  # a float holds it exactly
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Side = Annotated[
    int, Meta(ge=1, le=8192)
]  # of an input image: three times that of the largest published
Mean = Annotated[float, Meta(ge=-2550, le=2550)]  # of pixels of 0..255
Std = Annotated[float, Meta(ge=0.1, le=2550)]
Padding = Annotated[float, Meta(ge=0.1, le=10)]  # of a box, as a factor
Sigma = Annotated[float, Meta(gt=0, le=1)]  # COCO's, a share of a person's size
Byte = Annotated[int, Meta(ge=0, le=255)]
Axis = Annotated[int, Meta(ge=-1, le=1 << 31)]
Dtype = Annotated[str, Meta(pattern="^(float(16|32|64)|u?int(8|16|32|64)|bool)$")]
# Errors of decoding what is no JSON of a record; the last of JSON that is nested without end.
MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every struct on disk."""


class Versioned(Protocol):
    """A record that says which format it was written in."""

    @property
    def format(self) -> int:
        """Counts from 1."""
        ...


T = TypeVar("T", bound=Versioned)
R = TypeVar("R", bound=Record)


def read_json(path: Path, kind: type[R], remedy: str) -> R:
    """Read a record from a JSON file of the user's.

    Raises InputError where it cannot be read or is no such record; the message names the field and ends with `remedy`.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except MALFORMED as error:
        raise InputError(f"{path}: {error}; {remedy}") from error


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
    it should hold and ends with the `remedy`. A newer format is refused as such, whatever fields it has.
    """
    try:
        document = upgrade(msgspec.json.decode(data))
        written = document.get("format") if isinstance(document, dict) else None
        if isinstance(written, int) and written > version:
            raise InputError(
                f"{path}: format {written}, this edgepose reads {version}; upgrade edgepose, or {remedy}"
            )
        found = msgspec.convert(document, kind)
    except MALFORMED as error:
        raise InputError(f"{path}: no {what} ({error}); {remedy}") from error
    if found.format != version:
        raise InputError(f"{path}: format {found.format}, this edgepose reads {version}; {remedy}")
    return found
