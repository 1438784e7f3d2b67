"""Figures of one evaluation, and of a model as `edgepose eval --json` prints them: COCO's ten, or others."""

from typing import Literal

import msgspec

from runtimes.record import Record

IouType = Literal["keypoints", "bbox"]

FIGURES = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")


class Summary(Record, frozen=True, kw_only=True):
    """COCO's ten figures, 0 to 1, None where the ground truth does not define one.

    M and L are people of 32^2 to 96^2 square pixels, and above; `people` counts those with a label to find.
    """

    iou_type: IouType
    AP: float | None
    AP50: float | None
    AP75: float | None
    APM: float | None
    APL: float | None
    AR: float | None
    AR50: float | None
    AR75: float | None
    ARM: float | None
    ARL: float | None
    images: int
    people: int

    def figures(self) -> dict[str, float | None]:
        """Return the ten figures by name."""
        return {name: getattr(self, name) for name in FIGURES}


class EvalResult(Summary, frozen=True, kw_only=True, omit_defaults=True):
    """The figures of one artifact or checkpoint on one set.

    breakdown: the figures of a whole body's parts (body, foot, face, lefthand, righthand), of a crowded set's levels
    (easy, medium, hard), or of the categories whose mean this is; empty elsewhere.
    """

    artifact: str
    breakdown: dict[str, Summary] = msgspec.field(default_factory=dict)

    @property
    def ap_on(self) -> str:
        """The set that the AP was measured on, as far as is known; APs of different sets do not compare."""
        return f"{self.iou_type}, {self.people} people on {self.images} images"


Name = Literal["pckh", "masks", "depth", "normals"]


class ProtocolResult(Record, frozen=True, kw_only=True, omit_defaults=True):
    """The figures of one artifact or checkpoint by a protocol other than COCO's.

    figures: by name, 0 to 1 unless the name has a unit, None where the ground truth does not define one; the first is
    the protocol's main one. breakdown: likewise for each class of a segmentation; empty elsewhere.
    """

    artifact: str
    protocol: Name
    figures: dict[str, float | None]
    images: int
    people: int | None = None
    breakdown: dict[str, dict[str, float | None]] = msgspec.field(default_factory=dict)


# More columns than a terminal of 80 characters shows.
_MOST_COLUMNS = 8


def figure_table(
    result: EvalResult | ProtocolResult,
) -> tuple[list[str], list[list[str | float | None]]]:
    """Return the header and a row for each figure: its value over all, then over each part or level.

    Many parts, such as the classes of a segmentation, are a row each.
    """
    if isinstance(result, EvalResult):
        whole, parts = result.figures(), {k: v.figures() for k, v in result.breakdown.items()}
    else:
        whole, parts = result.figures, result.breakdown
    if not parts:
        return ["figure", "value"], [[name, value] for name, value in whole.items()]
    shared = list(next(iter(parts.values())))
    if shared == list(whole) and len(parts) < _MOST_COLUMNS:
        columns = [whole, *parts.values()]
        return ["figure", "all", *parts], [[name, *(c[name] for c in columns)] for name in whole]
    if shared == list(whole):
        return ["part", *whole], [[k, *v.values()] for k, v in {"all": whole, **parts}.items()]
    blank = [None] * (len(shared) - 1)
    rows: list[list[str | float | None]] = [[k, *v.values()] for k, v in parts.items()]
    return ["figure", *shared], [[k, v, *blank] for k, v in whole.items()] + rows
