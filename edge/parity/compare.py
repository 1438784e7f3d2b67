"""The gate's arithmetic: how far one set of outputs is from a reference, in decoded keypoints or boxes.

Pure numpy over outputs that somebody else computed; it knows neither torch nor engines. What is judged, and how,
follows from the reference alone:
  px     trained pose models: network-input pixels, p95 over decidable keypoints (bottom-up: of people paired up)
  boxes  detectors that find something: reference boxes scoring >= .3, matched by IoU
  raw    everything else (random weights): max|a - b| / max(1, max|ref|), the worst output
Outputs that are not finite never pass.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.codecs import decode
from edge.codecs.integral import mean_bins, normalise
from edge.nms.overlap import keypoint_similarity
from edge.parity.boxes import box_numbers, strong_boxes
from edge.parity.people import MARGIN, NEIGHBOURS, clear_keypoints, people_numbers
from edge.types import DenseMap, Detections, Keypoints
from runtimes.base import Array, Outputs
from runtimes.codec_spec import (
    BoxesCodec,
    HeatmapCodec,
    IntegralCodec,
    SimCCCodec,
    YxsCodec,
)
from runtimes.errors import InputError
from runtimes.spec import ModelSpec, Parity, Precision

PX_LIMITS: dict[Precision, float] = {"fp32": 0.1, "fp16": 0.5, "int8": 2.0}
RAW_LIMITS: dict[Precision, float] = {"fp32": 1e-3, "fp16": 3e-2}


@dataclass(frozen=True, slots=True)
class Reference:
    """What the reference model said of `images` uint8 (S, H, W, 3): raw outputs, decoded items, decidable keypoints.

    `decidable` bool (S, K) for pose models, (sum N, K) for bottom-up ones, with N people in an image; else None.
    `sample` holds, for an output too large to store whole, the flat indices that were kept; `outputs` then has just
    those values.
    """

    images: NDArray[np.uint8]
    outputs: Outputs
    decoded: list[Keypoints] | list[Detections] | list[DenseMap]
    decidable: NDArray[np.bool_] | None
    sample: Mapping[str, NDArray[np.int64]]
    label: str


def make_reference(
    images: NDArray[np.uint8], outputs: Outputs, spec: ModelSpec, label: str
) -> Reference:
    """Decode a reference's outputs and judge, on them alone, which keypoints can be decided."""
    decoded = decode(outputs, spec)
    people = [item for item in decoded if isinstance(item, Keypoints)]
    if spec.is_bottom_up:
        # the heatmaps come first, whether the fields are an output of their own or not
        decidable = clear_keypoints(people, outputs[spec.outputs[0].name], spec.image.wh)
        return Reference(images, outputs, decoded, decidable, {}, label)
    return Reference(images, outputs, decoded, decidable_keypoints(outputs, spec), {}, label)


def decidable_keypoints(outputs: Outputs, spec: ModelSpec) -> NDArray[np.bool_] | None:
    """Say for which keypoints the best bin beats every bin outside its 5-bin neighbourhood by 10 %; bool (B, K).

    Integral regression: so it is for the normalised map, and the map's mean lies in the best bin's neighbourhood too.
    Regressed keypoints have no bins: theirs must score the model's own threshold. None for what gives no keypoints.
    """
    maps = [outputs[tensor.name] for tensor in spec.outputs]
    if isinstance(spec.codec, SimCCCodec):
        return _clear_peak(maps[0][:, :, None]) & _clear_peak(maps[1][:, :, None])
    if isinstance(spec.codec, HeatmapCodec):
        return _clear_peak(maps[0])
    if isinstance(spec.codec, IntegralCodec):
        return _clear_mean(normalise(maps[0], spec.codec))
    if isinstance(spec.codec, YxsCodec):
        sure: NDArray[np.bool_] = maps[0][:, 0, :, 2] >= spec.thresholds.keypoint
        return sure
    return None


def compare(
    reference: Reference, outputs: Outputs, spec: ModelSpec, precision: Precision
) -> Parity:
    """Compare `outputs` on the reference's images with it and judge by the limits of `precision`.

    Raises InputError where outputs are missing or differ in shape.
    """
    # a graph that runs the NMS itself gives rows in no fixed order or number
    raw = None if isinstance(spec.codec, BoxesCodec) else raw_error(reference, outputs)
    if raw is not None and not math.isfinite(raw):
        return _judge_raw(reference, raw, precision)
    decoded = decode(outputs, spec)
    wanted = strong_boxes(reference.decoded) if spec.is_detector else {}
    if wanted:
        return Parity(
            reference=reference.label,
            samples=len(reference.images),
            raw_error=raw,
            **box_numbers(wanted, decoded, precision),
        )
    numbers = _px_numbers(reference, decoded, spec)
    if numbers and 2 * numbers["decidable"] >= max(numbers["keypoints"], 1):
        return _judge_px(reference, numbers, raw, precision)
    return msgspec.structs.replace(_judge_raw(reference, raw, precision), **numbers)


def all_passed(records: Sequence[Parity]) -> bool:
    """Whether something was judged and all that was judged passed, and nothing is broken outright.

    Undecided has not passed; a record without a limit had nothing to judge by.
    """
    judged = [record for record in records if record.limit is not None]
    broken = any(record.symptoms for record in records)
    return bool(judged) and all(record.passed for record in judged) and not broken


def with_px_limit(parity: Parity, max_px: float | None) -> Parity:
    """Judge by another pixel limit, where there is one and pixels are the basis."""
    if max_px is None or parity.basis != "px" or parity.px_p95 is None:
        return parity
    return msgspec.structs.replace(parity, limit=max_px, passed=parity.px_p95 <= max_px)


def raw_error(reference: Reference, outputs: Outputs) -> float:
    """Return max|a - b| / max(1, max|ref|), the worst output; NaN counts as infinite."""
    worst = 0.0
    for name, expected in reference.outputs.items():
        if name not in outputs:
            raise InputError(f"output {name!r} is missing, got {sorted(outputs)}")
        got = outputs[name]
        if name in reference.sample:
            got = got.reshape(-1)[reference.sample[name]]
        if got.shape != expected.shape:
            raise InputError(
                f"output {name!r} has shape {got.shape}, the reference {expected.shape}"
            )
        worst = max(worst, tensor_error(expected, got))
    return worst


def tensor_error(expected: Array, got: Array) -> float:
    """Return max|a - b| / max(1, max|ref|) of two arrays of one shape; NaN counts as infinite."""
    error = float(np.abs(got.astype(np.float64) - expected).max(initial=0.0))
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    return error / scale if math.isfinite(error) else math.inf


def _clear_peak(maps: NDArray[Any]) -> NDArray[np.bool_]:
    """(B, K, h, w) -> bool (B, K): the best value beats all outside its neighbourhood by MARGIN."""
    batch, points, height, width = maps.shape
    flat = maps.reshape(batch, points, -1)
    best_index = flat.argmax(axis=2)
    best = flat.max(axis=2)
    rows, columns = np.divmod(best_index, width)
    near_row = np.abs(np.arange(height) - rows[..., None]) <= NEIGHBOURS
    near_column = np.abs(np.arange(width) - columns[..., None]) <= NEIGHBOURS
    near = near_row[..., :, None] & near_column[..., None, :]
    rival = np.where(near, -np.inf, maps).max(axis=(2, 3))
    clear: NDArray[np.bool_] = (best > 0) & (best - rival >= MARGIN * np.abs(best))
    return clear


def _clear_mean(positive: NDArray[Any]) -> NDArray[np.bool_]:
    """(B, K, h, w), normalised -> bool (B, K): the peak is clear, and the mean lies in its neighbourhood.

    A mean elsewhere is drawn there by the background: it would hardly move, whatever became of the peak.
    """
    batch, points, _, width = positive.shape
    rows, columns = np.divmod(positive.reshape(batch, points, -1).argmax(axis=2), width)
    away = np.abs(mean_bins(positive) - np.stack([columns, rows], axis=2)).max(axis=2)
    clear: NDArray[np.bool_] = _clear_peak(positive) & (away <= NEIGHBOURS)
    return clear


def _distances(reference: Reference, decoded: list[Any]) -> NDArray[np.float64]:
    """Pixel distances (S, K) between the one person of each sample."""
    ours = np.stack([item.xy[0] for item in decoded]).astype(np.float64)
    theirs = np.stack([item.xy[0] for item in reference.decoded if isinstance(item, Keypoints)])
    distance: NDArray[np.float64] = np.linalg.norm(ours - theirs, axis=2)
    return np.where(np.isfinite(distance), distance, np.inf)


def _px_numbers(reference: Reference, decoded: list[Any], spec: ModelSpec) -> dict[str, Any]:
    """The pixel figures of a pose model, over decidable keypoints; nothing for other tasks."""
    if reference.decidable is None:
        return {}
    if spec.is_bottom_up:
        people = [item for item in reference.decoded if isinstance(item, Keypoints)]
        return people_numbers(people, decoded, reference.decidable)
    numbers: dict[str, Any] = {
        "decidable": int(reference.decidable.sum()),
        "keypoints": int(reference.decidable.size),
    }
    if not reference.decidable.any():
        return numbers
    distance = _distances(reference, decoded)
    chosen = distance[reference.decidable]
    width, height = spec.image.wh
    area = width * height / spec.crop.padding**2
    sigmas = np.asarray(spec.keypoints.sigmas if spec.keypoints else ())
    if sigmas.size:
        oks = keypoint_similarity(distance**2, np.asarray(area), sigmas)
        numbers["oks_mean"] = float(oks[reference.decidable].mean())
    return {
        **numbers,
        "px_mean": float(chosen.mean()),
        "px_p95": float(np.percentile(chosen, 95)),
        "px_max": float(chosen.max()),
    }


def _judge_px(
    reference: Reference, numbers: dict[str, Any], raw: float | None, precision: Precision
) -> Parity:
    return Parity(
        basis="px",
        reference=reference.label,
        passed=bool(numbers["px_p95"] <= PX_LIMITS[precision]),
        limit=PX_LIMITS[precision],
        samples=len(reference.images),
        raw_error=raw,
        **numbers,
    )


def _judge_raw(reference: Reference, raw: float | None, precision: Precision) -> Parity:
    """int8 has no limit here: raw outputs of rounded networks say little, so ground truth has to judge (None)."""
    limit = RAW_LIMITS.get(precision)
    passed: bool | None = raw is not None and math.isfinite(raw)
    if passed and raw is not None:
        passed = None if limit is None else raw <= limit
    return Parity(
        basis="raw",
        reference=reference.label,
        passed=passed,
        limit=limit,
        samples=len(reference.images),
        raw_error=raw,
    )
