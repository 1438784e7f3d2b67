"""One row of the catalogue, and what every family's table is written with."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from runtimes.spec import ModelSpec, Runtime, Task


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One published model.

    `schema` names a pose model's keypoints, `classes` what a detector finds. `params_m` is millions of parameters as
    deployed (RTMDet's head once a level), `gmacs` is 1e9 multiply-accumulates at `input_wh`; both are counted on our
    own definition, and are None where there is none. `ap` (0 to 1) is its authors' figure, `figures` holds what else
    they published (AP50, AUC, NME, ...), and `ap_source` says where they were read. `trained_on` names the data.
    `commercial_use` is what the licence permits; the terms of the training images are another matter.
    `licence_covers` says what the licence binds: these "weights", or the "model", whoever trained it.
    `sha256_prefix` is the part of the file's hash that its publisher put in the name.
    `codec` is how the outputs are to be read, where a family's weights do not say; empty for the family's usual way.
    `dataset` is the task that takes this model out of a file which holds several, where it is not the first.
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
        """The keypoint set, the classes or the map, for people to read."""
        if not self.classes:
            return self.schema or self.task
        return "person" if len(self.classes) == 1 else f"{len(self.classes)} classes"

    @property
    def downloadable(self) -> bool:
        """Whether the address is the file itself; Google Drive's leads to a page with a button."""
        return self.url is not None and not self.url.startswith("https://drive.google.com/file/")


SpecBuilder = Callable[[CatalogEntry], ModelSpec]


def by_name(*entries: CatalogEntry) -> dict[str, CatalogEntry]:
    """Return the entries keyed by their names."""
    return {entry.name: entry for entry in entries}


def hash_in(url: str) -> str | None:
    """Return the head of the sha256 that a published name ends in: `-xxxxxxxx.pth`, `-xxxxxxxx_yyyymmdd.pth`.

    One official name holds 7 digits. A date alone (`-20231122.pth`) is no hash.
    """
    found = re.search(r"-([0-9a-f]{7,8})(_\d{8})?\.pth$", url)
    if found is None or (found[2] is None and re.fullmatch(r"20\d{6}", found[1])):
        return None
    return found[1]
