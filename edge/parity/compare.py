"""Comparison of one set of outputs with a reference, judged by the limits of the precision that rounded them.

Pure numpy over outputs that were computed elsewhere; it knows neither torch nor engines. The basis of the verdict
follows from the reference alone:
  px     trained pose models: network-input pixels, p95 over decidable keypoints (bottom-up: of people paired up)
  boxes  detectors that find something: reference boxes scoring >= .3, matched by IoU
  raw    everything else (random weights): max|a - b| / max(1, max|ref|) of each sample, the worst counts
Outputs that are not finite never pass.
"""

import math
from collections.abc import Sequence

import msgspec

from edge.codecs import decode_boxes, decode_poses
from edge.parity.boxes import judge_boxes, strong_boxes
from edge.parity.people import people_figures
from edge.parity.pixels import PixelFigures, single_figures
from edge.parity.raw_error import raw_error
from edge.parity.reference import Reference
from runtimes.base import Outputs
from runtimes.codec_spec import BoxesCodec, YoloRowsCodec
from runtimes.parity_spec import BoxesParity, Parity, PxParity, RawParity
from runtimes.spec import ModelSpec, Precision

PX_LIMITS: dict[Precision, float] = {"fp32": 0.1, "fp16": 0.5, "int8": 2.0}
RAW_LIMITS: dict[Precision, float] = {"fp32": 1e-3, "fp16": 3e-2}

# The precision of a file whose weights are rounded as coarsely as this arithmetic rounds each result.
_ROUNDED_LIKE: dict[str, Precision] = {"f32": "fp32", "f16": "fp16", "bf16": "fp16"}
# From the strictest limits to the loosest.
_COARSENESS: tuple[Precision, ...] = ("fp32", "fp16", "int8")

OutputParity = PxParity | BoxesParity | RawParity


def judged_precision(file: Precision, arithmetic: str) -> Precision:
    """Return the precision whose limits apply: the coarser of the file's and the arithmetic's (f32, f16, bf16).

    An fp32 file that is computed in f16 or bf16 is rounded like an fp16 file, and is judged like one; an int8 file is
    judged as int8 in any arithmetic.
    """
    return max(file, _ROUNDED_LIKE[arithmetic], key=_COARSENESS.index)


def compare(
    reference: Reference, outputs: Outputs, spec: ModelSpec, precision: Precision
) -> OutputParity:
    """Compare `outputs` on the reference's images with it and judge by the limits of `precision`.

    Raises InputError where outputs are missing or differ in shape.
    """
    # a graph that runs the NMS itself gives rows in no fixed order or number
    rows = isinstance(spec.codec, (BoxesCodec, YoloRowsCodec))
    raw = None if rows else raw_error(reference, outputs)
    if raw is not None and not math.isfinite(raw):
        return _judge_raw(reference, PixelFigures(), raw, precision)
    if strong := strong_boxes(reference.boxes):
        return judge_boxes(
            strong,
            decode_boxes(outputs, spec),
            precision,
            reference=reference.label,
            samples=len(reference.images),
            raw_error=raw,
        )
    figures = _pixel_figures(reference, outputs, spec)
    if figures.decidable is None or 2 * figures.decidable < max(figures.keypoints or 0, 1):
        return _judge_raw(reference, figures, raw, precision)
    return _judge_px(reference, figures, raw, precision)


def all_passed(records: Sequence[Parity]) -> bool:
    """Return whether something was judged, all that was judged passed, and no sanity check failed.

    Undecided has not passed; a record without a limit had nothing to judge by.
    """
    judged = [record for record in records if record.limit is not None]
    broken = any(record.symptoms for record in records)
    return bool(judged) and all(record.passed for record in judged) and not broken


def with_px_limit(parity: OutputParity, max_px: float | None) -> OutputParity:
    """Return the verdict by another pixel limit, where there is one and pixels are the basis."""
    if max_px is None or not isinstance(parity, PxParity) or parity.px_p95 is None:
        return parity
    return msgspec.structs.replace(parity, limit=max_px, passed=parity.px_p95 <= max_px)


def _pixel_figures(reference: Reference, outputs: Outputs, spec: ModelSpec) -> PixelFigures:
    """Return the figures of a pose model over decidable keypoints; none for other models."""
    if reference.decidable is None:
        return PixelFigures()
    poses = decode_poses(outputs, spec)
    if spec.is_bottom_up:
        return people_figures(reference.poses, poses, reference.decidable)
    return single_figures(reference.poses, poses, reference.decidable, spec)


def _judge_px(
    reference: Reference, figures: PixelFigures, raw: float | None, precision: Precision
) -> PxParity:
    limit = PX_LIMITS[precision]
    return PxParity(
        reference=reference.label,
        passed=figures.p95 is not None and figures.p95 <= limit,
        limit=limit,
        samples=len(reference.images),
        raw_error=raw,
        decidable=figures.decidable,
        keypoints=figures.keypoints,
        px_mean=figures.mean,
        px_p95=figures.p95,
        px_max=figures.max,
        oks_mean=figures.oks_mean,
        people=figures.people,
        matched=figures.matched,
    )


def _judge_raw(
    reference: Reference, figures: PixelFigures, raw: float | None, precision: Precision
) -> RawParity:
    """int8 has no limit here: raw outputs of rounded networks say little, so ground truth has to judge (None)."""
    limit = RAW_LIMITS.get(precision)
    passed: bool | None = raw is not None and math.isfinite(raw)
    if passed and raw is not None:
        passed = None if limit is None else raw <= limit
    return RawParity(
        reference=reference.label,
        passed=passed,
        limit=limit,
        samples=len(reference.images),
        raw_error=raw,
        decidable=figures.decidable,
        keypoints=figures.keypoints,
        px_mean=figures.mean,
        px_p95=figures.p95,
        px_max=figures.max,
        oks_mean=figures.oks_mean,
        people=figures.people,
        matched=figures.matched,
    )
