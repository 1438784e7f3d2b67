"""Lineage of weights: origin, licences and commercial use, as artifact.json records them.

Weights carry their publisher's licence only where they are known to be the publisher's: by hash, or because they were
downloaded there. Other weights of the same network may be under other terms, which stay unknown, unless the licence
binds the network itself: then it is always recorded.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from edge.catalog.lookup import CatalogEntry, find_by_hash, licence_of_family
from export.registry import Variant
from runtimes.artifact import sha256_of
from runtimes.spec import Lineage


def lineage_of(path: Path, variant: Variant) -> Lineage:
    """Return the lineage of a checkpoint: file, sha256, and the terms where they are known."""
    sha256 = sha256_of(path)
    lineage = Lineage(weights="checkpoint", checkpoint=path.name, checkpoint_sha256=sha256)
    return _with_terms(
        lineage, find_by_hash(sha256) or licence_of_family(variant.family, variant.size)
    )


def random_lineage(variant: Variant) -> Lineage:
    """Return the lineage of random weights; terms that bind the network itself still hold."""
    return _with_terms(Lineage(weights="random"), licence_of_family(variant.family, variant.size))


def published_as(lineage: Lineage, entry: CatalogEntry) -> Lineage:
    """Add the terms of the catalogue entry whose official file this is."""
    return _with_terms(lineage, entry)


def joined_terms(sources: Sequence[Lineage]) -> tuple[tuple[str, ...], bool | None]:
    """Return the licences of all sources of some weights, and whether they allow commercial use.

    One source that forbids it is enough; else one unknown makes the whole unknown (None), as does no source at all.
    """
    licences = tuple(dict.fromkeys(each for source in sources for each in source.licences))
    allowed = {source.commercial_use for source in sources}
    if False in allowed:
        return licences, False
    return licences, True if allowed == {True} else None


def _with_terms(lineage: Lineage, terms: CatalogEntry | None) -> Lineage:
    if terms is None:
        return lineage
    return msgspec.structs.replace(
        lineage, licences=(terms.licence,), commercial_use=terms.commercial_use
    )
