"""COCO's ten figures: of one evaluation, and of a model as `edgepose eval --json` prints them."""

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
