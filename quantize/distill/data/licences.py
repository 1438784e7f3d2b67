"""Licences of training data: read from COCO files, or stated by the user; a student is bound by them.

Data that states nothing is unknown, and so is then the student's commercial use.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from quantize.distill.data.sources import DRAWN_VERSIONS, split_weight
from runtimes.record import MALFORMED
from runtimes.spec import Lineage

OWN = "own"  # the user's own pictures: no terms of others
# What names of licences say, in this order: COCO spells "Attribution-NonCommercial License", others CC-BY-NC-4.0.
_FORBIDDEN = r"non[- ]?commercial|\bnc\b|research only|academic"
_ALLOWED = (
    r"^(cc[- ]by([- ]sa)?\b(?![- ]nd)|cc0\b|attribution( |-sharealike )license|apache|mit\b|bsd|public domain|"
    r"no known copyright|united states government work|own$)"
)


class _Licence(msgspec.Struct):
    id: Any = None
    name: Any = ""


class _Image(msgspec.Struct):
    licence: Any = msgspec.field(name="license", default=None)


class _Model(msgspec.Struct):
    licences: tuple[str, ...] = ()
    commercial_use: bool | None = None


class _Info(msgspec.Struct):
    models: tuple[_Model, ...] = ()


class _File(msgspec.Struct):
    """The parts of a COCO file that bind: `info.models` is written by `edgepose label`."""

    images: tuple[_Image, ...] = ()
    licenses: tuple[_Licence, ...] = ()
    info: _Info = msgspec.field(default_factory=_Info)


def data_terms(data: Sequence[str], stated: str) -> list[Lineage]:
    """Return the terms of each source of `--data`; stated: the licence of those that state none, empty if unknown.

    Drawn people are under no terms.
    """
    names = [split_weight(each)[0] for each in data]
    return [
        terms
        for name in names
        if name not in DRAWN_VERSIONS
        for terms in _terms(Path(name), stated)
    ]


def commercial_use(licence: str) -> bool | None:
    """Return whether a licence of that name allows commercial use; None where that is unknown."""
    name = licence.strip().casefold()
    if re.search(_FORBIDDEN, name):
        return False
    return True if re.search(_ALLOWED, name) else None


def _terms(path: Path, stated: str) -> list[Lineage]:
    content = _read(path) if path.is_file() else _File()
    used = {str(image.licence) for image in content.images if image.licence is not None}
    listed = {str(each.id): str(each.name) for each in content.licenses if each.name}
    names = [name for key, name in listed.items() if key in used or not used]
    if not names and stated:
        names = [stated]
    elif used and (used - set(listed) or any(each.licence is None for each in content.images)):
        names.append("")  # some images state none
    models = [
        Lineage(weights="foreign", licences=each.licences, commercial_use=each.commercial_use)
        for each in content.info.models
    ]
    return [*(_lineage(name) for name in names or [""]), *models]


def _lineage(name: str) -> Lineage:
    shown = () if name in {"", OWN} else (name,)
    return Lineage(weights="foreign", licences=shown, commercial_use=commercial_use(name))


def _read(path: Path) -> _File:
    """Return what a file states; nothing for fields of other kinds, which do not matter to training."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=_File)
    except (OSError, *MALFORMED):
        return _File()
