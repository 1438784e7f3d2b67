"""Catalogue entry, and helpers of the families' tables."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from runtimes.spec import ModelSpec, Runtime, Task


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One published model.

    schema: a pose model's keypoint set; classes: a detector's or segmentation's. params_m: millions of parameters as
    deployed (RTMDet's head once a level), gmacs: 1e9 multiply-accumulates at `input_wh`; both are counted on our own
    definition, None without one. ap: the authors' figure, 0 to 1; figures: all that they published (AP50, AUC, NME,
    ...); ap_source: the source of both. commercial_use: whether the licence permits it; terms of the training images
    are not considered. licence_covers: these "weights", or the "model" with any weights. sha256_prefix: the part of
    the file's hash in its published name. codec: the decoding, where the weights do not show it; empty for the
    family's default. dataset: the `--task` that selects this model in a file with several, where it is not the first.
    """

    name: str
    family: str
    size: str
    task: Task
    input_wh: tuple[int, int]
    schema: str | None = None
    classes: tuple[str, ...] = ()
    params_m: float | None = None
    gmacs: float | None = None
    ap: float | None = None
    ap_source: str | None = None
    licence: str = "Apache-2.0"
    commercial_use: bool = True
    url: str | None = None
    sha256_prefix: str | None = None
    importable_runtimes: tuple[Runtime, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    trained_on: str | None = None
    licence_covers: Literal["weights", "model"] = "weights"
    codec: str = ""
    dataset: str = ""

    @property
    def keypoints(self) -> str:
        """The keypoint set, the classes or the map, as shown in tables."""
        if not self.classes:
            return self.schema or self.task
        return "person" if len(self.classes) == 1 else f"{len(self.classes)} classes"

    @property
    def downloadable(self) -> bool:
        """Whether the URL is the file itself; Google Drive's leads to a web page."""
        return self.url is not None and not self.url.startswith("https://drive.google.com/file/")


SpecBuilder = Callable[[CatalogEntry], ModelSpec]


def by_name(*entries: CatalogEntry) -> dict[str, CatalogEntry]:
    """Return the entries keyed by their names."""
    return {entry.name: entry for entry in entries}


def hash_in(url: str) -> str | None:
    """Return the sha256 prefix at the end of a published name: `-xxxxxxxx.pth`, `-xxxxxxxx_yyyymmdd.pth`.

    One official name has 7 digits. A date alone (`-20231122.pth`) is no hash.
    """
    found = re.search(r"-([0-9a-f]{7,8})(_\d{8})?\.pth$", url)
    if found is None or (found[2] is None and re.fullmatch(r"20\d{6}", found[1])):
        return None
    return found[1]
