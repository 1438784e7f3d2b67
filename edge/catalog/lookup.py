"""The models that have a name: what they are, how good their authors say they are, where the weights lie.

Names keep the field's habits: `rtmpose-m` is COCO's 17 keypoints at 256x192 (HxW); another keypoint set and another
input are said in that order, as in `rtmpose-l-wholebody-384x288`. `rtmdet-nano` and `rtmdet-m` find people only;
`rtmdet-tiny` and `rtmdet-s` are COCO's 80 classes. Knows no torch: `export` builds what stands here.
The rows themselves are in this folder, one file a family.
"""

import difflib

from edge.catalog import fastpose, imported, openpose, rtmdet, rtmpose, sapiens, vitpose
from edge.catalog.entry import CatalogEntry, SpecBuilder
from runtimes.errors import InputError
from runtimes.spec import ModelSpec

__all__ = ["CATALOG", "SPECS", "CatalogEntry", "binding", "find", "of_hash", "spec_of"]

CATALOG: dict[str, CatalogEntry] = {
    **rtmpose.ENTRIES,
    **rtmdet.ENTRIES,
    **vitpose.ENTRIES,
    **sapiens.ENTRIES,
    **fastpose.ENTRIES,
    **openpose.ENTRIES,
    **imported.ENTRIES,
}
# How an entry of each family becomes a spec.
SPECS: dict[str, SpecBuilder] = {
    **rtmpose.SPECS,
    **rtmdet.SPECS,
    **vitpose.SPECS,
    **sapiens.SPECS,
    **fastpose.SPECS,
    **openpose.SPECS,
    **imported.SPECS,
}


def find(name: str) -> CatalogEntry:
    """Return the entry of that name; raises InputError that proposes the nearest names."""
    if name in CATALOG:
        return CATALOG[name]
    near = difflib.get_close_matches(name, CATALOG, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(CATALOG)}"
    raise InputError(f"no model is called {name!r}; {hint}")


def of_hash(sha256: str) -> CatalogEntry | None:
    """Return the entry whose published file has this hash, or None."""
    known = (entry for entry in CATALOG.values() if entry.sha256_prefix)
    return next((entry for entry in known if sha256.startswith(entry.sha256_prefix or "-")), None)


def binding(family: str, size: str) -> CatalogEntry | None:
    """Return an entry whose licence binds every model of that family and size, whoever trained it, or None."""
    same = (e for e in CATALOG.values() if (e.family, e.size) == (family, size))
    return next((entry for entry in same if entry.licence_covers == "model"), None)


def spec_of(entry: CatalogEntry) -> ModelSpec:
    """Return what the model takes and gives, as our own export of it would."""
    return SPECS[entry.family](entry)
