"""Parity records of artifact.json: how an artifact compares with its reference, one struct per basis of the verdict."""

from typing import Any, Literal, cast, get_args

import msgspec

from runtimes.record import Record

Basis = Literal["px", "boxes", "raw", "ap"]


class _Verdict(Record, frozen=True, kw_only=True):
    """Fields of every basis.

    `reference` names the other side. `passed`: None is undecided, or unjudged where there was nothing to judge against
    (artifacts converted by others). `limit` is in the unit of the basis; None: there was no limit to judge by.
    `inputs` says where the `samples` pictures came from. `symptoms`: sanity checks that failed, in words; with any of
    them a record does not pass, whatever its figures. `arithmetic` and `isa` say what computed the outputs; so do
    `accelerator`, `engine` and `placement` (nodes by backend) where more than the CPU was asked for.
    """

    reference: str
    passed: bool | None
    limit: float | None = None
    samples: int = 0
    inputs: str = ""
    symptoms: tuple[str, ...] = ()
    arithmetic: str = "f32"
    isa: tuple[str, ...] = ()
    accelerator: str = "cpu"
    engine: str = ""
    placement: dict[str, int] | None = None

    @property
    def where(self) -> str:
        """What computed the outputs, in words, such as `gpu f16, TensorRT 148, CPU 2`; "" for the CPU alone."""
        if not self.engine:
            return ""
        nodes = [f"{name} {count}" for name, count in (self.placement or {}).items()]
        return ", ".join([f"{self.accelerator} {self.arithmetic}", *(nodes or [self.engine])])

    @property
    def basis(self) -> Basis:
        """The tag of the record on disk."""
        return cast("Basis", self.__struct_config__.tag)


class _Outputs(_Verdict, frozen=True, kw_only=True):
    """Records that compare outputs; `raw_error` as in `edge.parity.raw_error`, None where outputs have no fixed order.

    JSON has no infinity: a figure that is infinite in memory (outputs that are not finite, people not found) is null on
    disk.
    """

    raw_error: float | None = None


class _Pixels(_Outputs, frozen=True, kw_only=True):
    """Records that may hold pose figures: distances in network-input pixels over the `decidable` of all `keypoints`.

    `people` (on disk: boxes) and `matched`, the share of them with a partner, are set for bottom-up models.
    """

    decidable: int | None = None
    keypoints: int | None = None
    px_mean: float | None = None
    px_p95: float | None = None
    px_max: float | None = None
    oks_mean: float | None = None
    people: int | None = msgspec.field(default=None, name="boxes")
    matched: float | None = None


class PxParity(_Pixels, frozen=True, kw_only=True, tag="px", tag_field="basis"):
    """Pose models that decide at least half of their keypoints; the limit is on `px_p95`."""


class RawParity(_Pixels, frozen=True, kw_only=True, tag="raw", tag_field="basis"):
    """Everything else; the limit is on `raw_error`. Pose figures are there to be looked at, and are not judged."""


class BoxesParity(_Outputs, frozen=True, kw_only=True, tag="boxes", tag_field="basis"):
    """Detectors that find something; the limit is on `matched`, the share of the reference's `boxes` found again.

    `matched_interval`: the Wilson 95 % interval of `matched`, where it decided the verdict. `score_shift`: the mean
    change of the matched boxes' scores, None where no box is matched.
    """

    boxes: int
    matched: float
    matched_interval: tuple[float, float] | None = None
    score_shift: float | None = None


class ApParity(_Verdict, frozen=True, kw_only=True, tag="ap", tag_field="basis"):
    """Average precision against ground truth, 0 to 1; the limit is on the drop from the reference's.

    `ap_interval`: the paired bootstrap 95 % interval of the drop.
    """

    ap: float | None
    ap_reference: float | None
    ap_drop: float | None
    ap_interval: tuple[float, float] | None


Parity = PxParity | RawParity | BoxesParity | ApParity

_OWN_FIELDS = {
    struct.__struct_config__.tag: frozenset(struct.__struct_encode_fields__)
    for struct in get_args(Parity)
}
_ALL_FIELDS = frozenset().union(*_OWN_FIELDS.values())


def without_foreign_nulls(document: Any) -> Any:
    """Return decoded JSON whose parity records, at any depth, lack the null fields of other bases.

    The first artifacts of format 1 wrote the fields of all bases in every record, null where they were not its own. All
    else is left as it is, for strict decoding to refuse.
    """
    if isinstance(document, list):
        return [without_foreign_nulls(item) for item in document]
    if not isinstance(document, dict):
        return document
    basis = document.get("basis")
    own = _OWN_FIELDS.get(basis, _ALL_FIELDS) if isinstance(basis, str) else _ALL_FIELDS
    return {
        key: without_foreign_nulls(value)
        for key, value in document.items()
        if value is not None or key in own or key not in _ALL_FIELDS
    }
