"""Figures that keep an artifact from passing, in words, each with its limit."""

import math

from edge.parity.boxes import BOX_LIMITS, SCORE_SHIFT, allowed_misses, scores_hold
from runtimes.parity_spec import ApParity, BoxesParity, Parity, PxParity, RawParity
from runtimes.spec import Precision


def find_refusals(parity: Parity) -> list[str]:
    """Return every figure of a record that did not hold its limit, and the sanity checks that failed.

    A figure whose interval spans the limit is said to be undecided. Empty for a record that passed, and for one that
    nothing was to judge (artifacts converted by others).
    """
    if parity.passed:
        return []
    where = f"on {parity.where}: " if parity.where else ""
    return [f"{where}{each}" for each in (*parity.symptoms, *_figures(parity))]


def _figures(parity: Parity) -> list[str]:
    match parity:
        case PxParity():
            return _over("keypoints p95", parity.px_p95, parity.limit, " px")
        case BoxesParity():
            return _box_figures(parity)
        case ApParity():
            return _drop(parity)
        case RawParity() if parity.limit is None and parity.keypoints:
            share = f"{parity.decidable}/{parity.keypoints}"
            return [f"{share} keypoints decidable, under half: no limit in pixels can judge"]
        case RawParity():
            return _over("raw error", parity.raw_error, parity.limit)


def _over(what: str, value: float | None, limit: float | None, unit: str = "") -> list[str]:
    """Return the figure where it is over its limit, or is none at all; infinity is null on disk."""
    if limit is None or (value is not None and value <= limit):
        return []
    figure = math.inf if value is None else value
    return [f"{what} {figure:.4g}{unit} (limit {limit:.4g}{unit})"]


def _box_figures(parity: BoxesParity) -> list[str]:
    found = []
    if parity.limit is not None:
        share = f"{parity.matched:.1%} of {parity.boxes} boxes matched"
        if parity.matched_interval is None:
            if round((1 - parity.matched) * parity.boxes) > _allowed(parity.boxes, parity.limit):
                found.append(f"{share} (limit {parity.limit:.0%})")
        else:
            low, high = parity.matched_interval
            state = "undecided, " if low < parity.limit <= high else ""
            if low < parity.limit:
                found.append(f"{share}, {state}{low:.1%} to {high:.1%} (limit {parity.limit:.0%})")
    if parity.score_shift is not None and not scores_hold(parity.score_shift):
        found.append(f"mean score shift {parity.score_shift:+.4f} (limit {SCORE_SHIFT})")
    return found


def _allowed(boxes: int, limit: float) -> int:
    """Return the misses allowed of so many boxes, by the precision that has this limit."""
    kinds = (name for name, each in BOX_LIMITS.items() if each.share == limit)
    precision: Precision = next(kinds, "fp32")
    return allowed_misses(boxes, precision)


def _drop(parity: ApParity) -> list[str]:
    if parity.limit is None or parity.ap_drop is None or parity.ap_interval is None:
        return ["AP is undefined: the ground truth has no people"]
    low, high = parity.ap_interval
    if high <= parity.limit:
        return []
    state = "" if low > parity.limit else "undecided, "
    return [
        f"AP {parity.ap:.4f}, drop {parity.ap_drop:.4f}, {state}{low:.4f} to {high:.4f} (limit {parity.limit:.4g})"
    ]
