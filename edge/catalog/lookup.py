"""Catalogue of published models: lookup by name and hash, and the spec of an entry.

Names follow the field's habits: `rtmpose-m` is COCO's 17 keypoints at 256x192 (HxW); another keypoint set, then another
input size, are suffixes, as in `rtmpose-l-wholebody-384x288`. `rtmdet-nano` and `rtmdet-m` detect people only;
`rtmdet-tiny` and `rtmdet-s` COCO's 80 classes. Entries are in this folder, one module a family.
"""

import difflib
from dataclasses import replace

from edge.catalog import (
    cspnext,
    fastpose,
    imported,
    openpose,
    rtmdet,
    rtmpose,
    sapiens,
    vitpose,
    yolo,
)
from edge.catalog.entry import CatalogEntry, SpecBuilder
from edge.catalog.user import UserModel, user_models
from runtimes.errors import InputError
from runtimes.spec import ModelSpec

__all__ = [
    "CATALOG",
    "SPECS",
    "CatalogEntry",
    "find",
    "find_by_hash",
    "licence_of_family",
    "spec_of",
]

CATALOG: dict[str, CatalogEntry] = {
    **rtmpose.ENTRIES,
    **cspnext.ENTRIES,
    **rtmdet.ENTRIES,
    **vitpose.ENTRIES,
    **sapiens.ENTRIES,
    **fastpose.ENTRIES,
    **openpose.ENTRIES,
    **imported.ENTRIES,
    **yolo.ENTRIES,
}
# By family: the function from an entry to its spec.
SPECS: dict[str, SpecBuilder] = {
    **rtmpose.SPECS,
    **cspnext.SPECS,
    **rtmdet.SPECS,
    **vitpose.SPECS,
    **sapiens.SPECS,
    **fastpose.SPECS,
    **openpose.SPECS,
    **imported.SPECS,
    **yolo.SPECS,
}


def find(name: str) -> CatalogEntry:
    """Return the entry of that name; raises InputError with the nearest names.

    Ultralytics' own names (yolov8n-pose, yolo11s) mean `yolo-pose` and `yolo-detect`, and stay the model's name.
    """
    if name in CATALOG:
        return CATALOG[name]
    if same := yolo.ultralytics_entry(name):
        return replace(CATALOG[same], name=name.lower())
    near = difflib.get_close_matches(name, [*CATALOG, *user_models()], n=3, cutoff=0.5)
    some = f"known: {', '.join([*CATALOG][:4])} ...; `edgepose models` lists all {len(CATALOG)}"
    hint = f"did you mean {' or '.join(near)}?" if near else some
    raise InputError(f"no model is called {name!r}; {hint}")


def find_by_hash(sha256: str) -> CatalogEntry | None:
    """Return the entry whose published file has this hash, or None."""
    known = (entry for entry in CATALOG.values() if entry.sha256_prefix)
    return next((entry for entry in known if sha256.startswith(entry.sha256_prefix or "-")), None)


def licence_of_family(family: str, size: str) -> CatalogEntry | None:
    """Return an entry whose licence covers all models of that family and size, with any weights, or None."""
    same = (e for e in CATALOG.values() if (e.family, e.size) == (family, size))
    return next((entry for entry in same if entry.licence_covers == "model"), None)


def terms_of(model: UserModel) -> CatalogEntry | None:
    """Return the entry whose licence holds for a user's model, as far as hash and `like` tell; None where unknown."""
    sha256 = model.sha256.lower()
    for entry in CATALOG.values():
        known = entry.sha256_prefix or "-"
        if sha256.startswith(known) or known.startswith(sha256):
            return entry
    like = CATALOG.get(model.like or model.name)
    return licence_of_family(like.family, like.size) if like else None


def spec_of(entry: CatalogEntry) -> ModelSpec:
    """Return the spec of the model as we export it."""
    return SPECS[entry.family](entry)
