"""Assembly of part candidates into people: affinity along limbs, greedy matching, people limb by limb.

After OpenPose (arXiv:1812.08008) and two ports of it, lightweight OpenPose (arXiv:1811.12004) and pytorch-openpose.
Coordinates are bins of one map.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edge.codecs.paf_peaks import Peaks
from edge.types import F32, F64, Indices, Mask
from runtimes.codec_spec import PafCodec, PafLimb

SAMPLES = 10  # points sampled along a limb, its ends included
MIN_AGREEING = 9  # of these must agree with the field: more than 80 %
ABSENT = -1


@dataclass(frozen=True, slots=True)
class Connections:
    """Limbs found: `limbs` intp (M,) index the codec's, `ends` intp (M, 2) the candidates, `scores` float64 (M,).

    Ordered by limb, best score first.
    """

    limbs: Indices
    ends: Indices
    scores: F64

    def __getitem__(self, rows: Indices | Mask) -> "Connections":
        return Connections(self.limbs[rows], self.ends[rows], self.scores[rows])


@dataclass(slots=True)
class Person:
    """A person in assembly: a candidate (or ABSENT) a part, their total score, and how many were counted."""

    members: list[int]
    total: float
    count: int


def group_peaks(peaks: Peaks, fields: F32, codec: PafCodec, parts: int) -> list[Person]:
    """Return the people among part candidates; fields float32 (2 L, h, w) in the candidates' bins."""
    connections = match(score_pairs(peaks, fields, codec))
    people = _ASSEMBLIES[codec.assembly](peaks, connections, codec.limbs, parts)
    return [
        person
        for person in people
        if person.count >= codec.min_keypoints and person.total / person.count >= codec.min_score
    ]


def score_pairs(peaks: Peaks, fields: F32, codec: PafCodec) -> Connections:
    """Return every pair of candidates that a limb may join, scored by the field along the line between them."""
    limbs, ends = _pairs(peaks.parts, codec.limbs)
    start, way = peaks.xy[ends[:, 0]], peaks.xy[ends[:, 1]] - peaks.xy[ends[:, 0]]
    length = np.hypot(way[:, 0], way[:, 1])
    direction = way / (length[:, None] + 1e-6)
    points = start[:, None] + way[:, None] * np.linspace(0, 1, SAMPLES)[:, None]
    agreement = _along(
        fields, np.array([limb.channels for limb in codec.limbs]), limbs, points, direction
    )
    agreeing = agreement > codec.alignment
    scores = _SCORES[codec.limb_score](agreement, agreeing, length, fields.shape[1])
    seen = np.flatnonzero((agreeing.sum(axis=1) >= MIN_AGREEING) & (scores > 0))
    order = seen[np.lexsort((-scores[seen], limbs[seen]))]
    return Connections(limbs[order], ends[order], scores[order])


def match(connections: Connections) -> Connections:
    """Keep the best connections, greedily: no candidate ends two connections of one limb."""
    taken: set[tuple[int, int]] = set()
    kept = []
    # a candidate is of one part and a limb's ends are of two, so (limb, candidate) is a key
    for row, (limb, (first, second)) in enumerate(
        zip(connections.limbs.tolist(), connections.ends.tolist(), strict=True)
    ):
        if (limb, first) not in taken and (limb, second) not in taken:
            taken.update(((limb, first), (limb, second)))
            kept.append(row)
    return connections[np.array(kept, np.intp)]


def _pairs(parts: Indices, limbs: Sequence[PafLimb]) -> tuple[Indices, Indices]:
    """Return (limb (M,), candidates (M, 2)) for all pairs of candidates that could be a limb's ends."""
    owners, pairs = [], []
    for index, limb in enumerate(limbs):
        first, second = (
            np.arange(*np.searchsorted(parts, (part, part + 1)), dtype=np.intp)
            for part in limb.ends
        )
        grid = np.stack(np.meshgrid(first, second, indexing="ij"), axis=2).reshape(-1, 2)
        owners.append(np.full(len(grid), index, np.intp))
        pairs.append(grid)
    return np.concatenate(owners), np.concatenate(pairs)


def _along(fields: F32, channels: Indices, limbs: Indices, points: F64, direction: F64) -> F64:
    """Return field times direction at the bins nearest to points (M, SAMPLES, 2), float64 (M, SAMPLES)."""
    _, height, width = fields.shape
    columns = np.rint(points[..., 0]).astype(np.intp).clip(0, width - 1)
    lines = np.rint(points[..., 1]).astype(np.intp).clip(0, height - 1)
    flat = fields.reshape(-1)
    bins = lines * width + columns
    x, y = (flat[channels[limbs, axis, None] * (height * width) + bins] for axis in (0, 1))
    agreement: F64 = x * direction[:, :1] + y * direction[:, 1:]
    return agreement


def _mean_agreeing(agreement: F64, agreeing: Mask, _length: F64, _height: int) -> F64:
    total = np.where(agreeing, agreement, 0).sum(axis=1)
    mean: F64 = total / np.maximum(agreeing.sum(axis=1), 1)
    return mean


def _mean_of_all(agreement: F64, _agreeing: Mask, length: F64, height: int) -> F64:
    scores: F64 = agreement.mean(axis=1) + np.minimum(
        0.5 * height / np.maximum(length, 1e-6) - 1, 0
    )
    return scores


def _attach(peaks: Peaks, seen: Connections, limbs: Sequence[PafLimb], parts: int) -> list[Person]:
    """Add each limb to every person that owns its first end, or else start a new person with it."""
    people: list[Person] = []
    for limb, first, second, score in _walk(seen, limbs):
        a, b = limb.ends
        if not limb.starts:
            _complete(people, limb, first, second)
            continue
        owners = [person for person in people if person.members[a] == first]
        for person in owners:
            _extend(person, b, second, peaks.scores[second] + score)
        if not owners:
            people.append(_newcomer(peaks, limb, first, second, score, parts))
    return people


def _merge(peaks: Peaks, seen: Connections, limbs: Sequence[PafLimb], parts: int) -> list[Person]:
    """Add each limb to the person that owns either end; two people that own one each and share no part are merged."""
    people: list[Person] = []
    for limb, first, second, score in _walk(seen, limbs):
        a, b = limb.ends
        owners = [p for p in people if p.members[a] == first or p.members[b] == second]
        if not owners:
            if limb.starts:
                people.append(_newcomer(peaks, limb, first, second, score, parts))
        elif len(owners) == 1:
            if owners[0].members[b] != second:
                _extend(owners[0], b, second, peaks.scores[second] + score)
        elif _disjoint(*owners[:2]):
            kept, gone = owners[:2]
            kept.members = [max(pair) for pair in zip(kept.members, gone.members, strict=True)]
            kept.total += gone.total + score
            kept.count += gone.count
            people = [person for person in people if person is not gone]
        else:
            _extend(owners[0], b, second, peaks.scores[second] + score)
    return people


def _walk(seen: Connections, limbs: Sequence[PafLimb]) -> Iterator[tuple[PafLimb, int, int, float]]:
    """Yield each connection as (limb, first candidate, second candidate, score)."""
    rows = zip(seen.limbs.tolist(), seen.ends.tolist(), seen.scores.tolist(), strict=True)
    for limb, (first, second), score in rows:
        yield limbs[limb], first, second, score


def _newcomer(
    peaks: Peaks, limb: PafLimb, first: int, second: int, score: float, parts: int
) -> Person:
    members = [ABSENT] * parts
    members[limb.ends[0]], members[limb.ends[1]] = first, second
    return Person(members, float(peaks.scores[[first, second]].sum()) + score, 2)


def _extend(person: Person, part: int, candidate: int, gain: float) -> None:
    person.members[part] = candidate
    person.total += gain
    person.count += 1


def _complete(people: Sequence[Person], limb: PafLimb, first: int, second: int) -> None:
    """Fill in the end that an owner of the other end lacks; as in OpenPose, without counting it."""
    a, b = limb.ends
    for person in people:
        if person.members[a] == first and person.members[b] == ABSENT:
            person.members[b] = second
        elif person.members[b] == second and person.members[a] == ABSENT:
            person.members[a] = first


def _disjoint(one: Person, other: Person) -> bool:
    return all(ABSENT in pair for pair in zip(one.members, other.members, strict=True))


_SCORES: dict[str, Callable[[F64, Mask, F64, int], F64]] = {
    "agreeing": _mean_agreeing,
    "all": _mean_of_all,
}
_ASSEMBLIES: dict[str, Callable[[Peaks, Connections, Sequence[PafLimb], int], list[Person]]] = {
    "attach": _attach,
    "merge": _merge,
}
