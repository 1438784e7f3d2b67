"""Where weights came from and what may be done with them, as artifact.json will say it.

Weights carry their publisher's licence only where they are known to be the publisher's: by hash, or downloaded from
there. Another's weights in the same network may be under other terms, so nothing is said of them; unless the licence
binds the network itself, whoever trained it: then it is always said.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from edge.catalog.lookup import CatalogEntry, find_by_hash, licence_of_family
from export.registry import Variant
from runtimes.artifact import sha256_of
from runtimes.spec import Lineage


def lineage_of(path: Path, variant: Variant) -> Lineage:
    """Record the file, its sha256, and the terms where they are known."""
    sha256 = sha256_of(path)
    lineage = Lineage(weights="checkpoint", checkpoint=path.name, checkpoint_sha256=sha256)
    return _under(lineage, find_by_hash(sha256) or licence_of_family(variant.family, variant.size))


def random_lineage(variant: Variant) -> Lineage:
    """Record that nobody trained these weights; the network's own terms hold all the same."""
    return _under(Lineage(weights="random"), licence_of_family(variant.family, variant.size))


def published_as(lineage: Lineage, entry: CatalogEntry) -> Lineage:
    """Add the terms of an entry whose official file this is."""
    return _under(lineage, entry)


def joined_terms(sources: Sequence[Lineage]) -> tuple[tuple[str, ...], bool | None]:
    """Return the licences of all that weights come from, and whether commercial use is allowed.

    One that forbids it forbids it; else where one is unknown so is the whole, and so is what comes from nothing.
    """
    licences = tuple(dict.fromkeys(each for source in sources for each in source.licences))
    allowed = {source.commercial_use for source in sources}
    if False in allowed:
        return licences, False
    return licences, True if allowed == {True} else None


def _under(lineage: Lineage, terms: CatalogEntry | None) -> Lineage:
    if terms is None:
        return lineage
    return msgspec.structs.replace(
        lineage, licences=(terms.licence,), commercial_use=terms.commercial_use
    )
