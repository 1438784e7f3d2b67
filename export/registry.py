"""The registry of model families: the module of each and their common interface.

Adding a family is one file and one line here.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from edge.catalog.lookup import CATALOG, CatalogEntry
from edge.schema import KeypointSchema, KeypointSet, schema_of
from runtimes.errors import CheckpointError
from runtimes.spec import DENSE_TASKS, ModelSpec, Task

FAMILIES = {
    "rtmpose": "export.models.rtmpose",
    "rtmdet": "export.models.rtmdet",
    "cspnext": "export.models.cspnext",
    "fastpose": "export.models.fastpose",
    "sapiens": "export.models.sapiens",
    "vitpose": "export.models.vitpose",
    "openpose": "export.models.openpose",
    "openpose_body25": "export.models.openpose",
    "openpose_light": "export.models.openpose",
}

Module = Any  # torch.nn.Module: this file does not import torch
State = Mapping[str, Any]  # names to torch tensors
# Families whose tensors do not show the number of attention heads.
TRANSFORMERS = ("vitpose", "sapiens")


@dataclass(frozen=True, slots=True)
class Variant:
    """One network of a family: everything needed to build it.

    schema: keypoints of a pose model, a known set's name or a set of the user's own. classes: of a detector or a
    segmentation. codec: how the outputs are decoded, where one network is trained for several codecs and its tensors do
    not say which; empty for the usual one. dense: the task of a model that outputs one map. simcc_sigma: (x, y) of the
    labels it learned, in bins, where the file records other ones than the family's.
    """

    family: str
    size: str
    input_wh: tuple[int, int]
    schema: KeypointSet | None = None
    classes: tuple[str, ...] = ()
    codec: str = ""
    dense: Task | None = None
    simcc_sigma: tuple[float, float] | None = None

    @property
    def keypoint_count(self) -> int:
        """Number of keypoints; 0 for a detector."""
        return len(schema_of(self.schema)) if self.schema else 0


@dataclass(frozen=True, slots=True)
class Hints:
    """Facts about a checkpoint that its tensors do not show.

    heads: attention heads, as the user gives them. config_heads, exponent: heads and RTMDet's `exp_on_reg` as a config
    in or beside the file gives them; None where it is silent. input_wh: as the user or that config gives it.
    size: the whole size of a transformer, as the user spells it ("" where not given). stride: pixels from patch to
    patch, by a config. keypoint_count: of the set that the user or the file names.
    """

    heads: int | None = None
    config_heads: int | None = None
    exponent: bool | None = None
    input_wh: tuple[int, int] | None = None
    size: str = ""
    stride: int | None = None
    keypoint_count: int | None = None


NO_HINTS = Hints()


class Family(Protocol):
    """The interface of every module in FAMILIES."""

    def canonical(self, state: State, task: str | None) -> State | None:
        """Return the tensors of any published layout under the names of our definition; None where they are another's.

        task: selects one of several heads or experts, where a file has them.
        """
        ...

    def recognise(self, state: State, hints: Hints = NO_HINTS) -> Variant | None:
        """Return the variant of canonical tensors, or None where they are not this family's."""
        ...

    def build(self, variant: Variant) -> Module:
        """Return the network, initialised on torch's current device."""
        ...

    def spec(self, variant: Variant, model: str) -> ModelSpec:
        """Return inputs, outputs and preprocessing; `model` is the name."""
        ...

    def resize(self, variant: Variant, input_wh: tuple[int, int]) -> Variant:
        """Return the variant at another input size; raises CheckpointError where its weights do not allow it."""
        ...

    def candidates(self) -> tuple[Variant, ...]:
        """Return one variant a published size, to name the nearest of an unrecognised checkpoint."""
        ...


def load_families() -> tuple[Family, ...]:
    """Import every family module, once each."""
    modules = dict.fromkeys(FAMILIES.values())
    return tuple(cast("Family", importlib.import_module(module)) for module in modules)


def load_family(name: str) -> Family:
    """Import the family's module (and with it torch)."""
    return cast("Family", importlib.import_module(FAMILIES[name]))


def variant_of(entry: CatalogEntry) -> Variant:
    """Return the variant of a catalogue entry; raises CheckpointError for one without a PyTorch definition."""
    if entry.family not in FAMILIES:
        raise CheckpointError(
            f"{entry.name} has no PyTorch definition here; import a converted file with "
            f"`edgepose import FILE --like {entry.name}`"
        )
    return Variant(
        entry.family,
        entry.size,
        entry.input_wh,
        entry.schema,
        entry.classes,
        entry.codec,
        entry.task if entry.task in DENSE_TASKS else None,
    )


def model_name(variant: Variant, task: str = "") -> str:
    """Return the catalogue name of a variant, or a name of the same form where the catalogue has none.

    Of several entries of the same network it is the one trained for `task`, else the first.
    """
    same = [e for e in CATALOG.values() if e.family in FAMILIES and variant_of(e) == variant]
    if same:
        return next((entry for entry in same if entry.dataset == task), same[0]).name
    width, height = variant.input_wh
    classes = f"{len(variant.classes)}classes" if variant.classes else variant.dense
    schema = variant.schema
    what = (schema.name if isinstance(schema, KeypointSchema) else schema) or classes
    return f"{variant.family}-{variant.size}-{what}-{height}x{width}"
