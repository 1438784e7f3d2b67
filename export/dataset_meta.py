"""The `dataset_meta` that mmengine stores in a checkpoint: names, pairs, edges and sigmas of its keypoints, classes.

Written by training frameworks and by hand, so lists, tuples, dicts by index, numpy and torch values are all read, and
parts that are absent or of another kind count as absent.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from edge.schema import KeypointSchema, pairs_by_name, plain_name
from export.unpickle import ArrayRecord
from runtimes.errors import InputError

MOST = 10_000  # entries of a list; sets have some hundreds
Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class DatasetMeta:
    """What a checkpoint says of its data; empty where it is silent.

    keypoints: a set of its own names. problem: why the keypoints that it describes cannot be used.
    """

    name: str = ""
    classes: tuple[str, ...] = ()
    keypoints: KeypointSchema | None = None
    problem: str = ""


NO_META = DatasetMeta()


def dataset_meta(content: Any) -> DatasetMeta:
    """Return what a checkpoint's `meta` says of its data set."""
    meta = content.get("meta") if isinstance(content, Mapping) else None
    if not isinstance(meta, Mapping):
        return DatasetMeta()
    described = meta.get("dataset_meta")
    if not isinstance(described, Mapping):
        # mmdet 2 and mmpose 0.x have the classes in `meta` itself, mmpose 0.x the keypoints in `dataset_info`
        info = meta.get("dataset_info")
        described = {**(info if isinstance(info, Mapping) else {}), "classes": _classes(meta)}
    name = described.get("dataset_name", "")
    name = name if isinstance(name, str) else ""
    classes = _texts(_classes(described))
    try:
        return DatasetMeta(name, classes, _keypoints(name, described))
    except InputError as error:
        return DatasetMeta(name, classes, problem=str(error))


def _classes(meta: Mapping[Any, Any]) -> Any:
    return meta.get("classes", meta.get("CLASSES", ()))


def _keypoints(name: str, meta: Mapping[Any, Any]) -> KeypointSchema | None:
    """Return the set that the names describe; None without names. Raises InputError for names that repeat."""
    info = _by_id(meta.get("keypoint_info"))
    names = _texts(meta.get("keypoint_id2name")) or _texts([_part(each, "name") for each in info])
    if not names:
        names = _texts(_ranked(meta.get("keypoint_name2id")))
    if not names:
        return None
    links = meta.get("skeleton_links")
    if links is None:
        links = [_part(each, "link") for each in _in_order(meta.get("skeleton_info"))]
    swaps = {own: _part(each, "swap") for own, each in zip(names, info, strict=False)}
    sigmas = _numbers(meta.get("sigmas"))
    usable = len(sigmas) == len(names) and all(0 < each <= 1 for each in sigmas)
    return KeypointSchema(
        plain_name(name) or f"{len(names)}keypoints",
        names,
        tuple(dict.fromkeys(_pairs(links, names))),
        _mirrored(meta, names, swaps),
        sigmas if usable else (),
    )


def _mirrored(
    meta: Mapping[Any, Any], names: tuple[str, ...], swaps: Mapping[str, Any]
) -> tuple[Pair, ...]:
    """Return the left/right pairs, each once: of the flip indices, the flip pairs, the swaps, or the names."""
    order = [int(each) for each in _numbers(meta.get("flip_indices"))]
    if sorted(order) == list(range(len(names))):
        return tuple((a, b) for a, b in enumerate(order) if a < b and order[b] == a)
    if meta.get("flip_pairs") is not None:
        return _once(_pairs(meta["flip_pairs"], names))
    if any(swaps.values()):
        return _once(_pairs(list(swaps.items()), names))
    return pairs_by_name(names)


def _once(pairs: Iterable[Pair]) -> tuple[Pair, ...]:
    """Drop repeats, pairs of one keypoint with itself, and a second pair of a keypoint."""
    kept: dict[Pair, None] = {}
    taken: set[int] = set()
    for a, b in pairs:
        if a != b and not {a, b} & taken:
            kept[a, b] = None
            taken |= {a, b}
    return tuple(kept)


def _pairs(value: Any, names: tuple[str, ...]) -> tuple[Pair, ...]:
    """Return the pairs of keypoints, given by index or by name, that lie in the set."""
    places = {name: place for place, name in enumerate(names)}
    found = []
    for pair in _in_order(value):
        ends = [
            places.get(end, -1) if isinstance(end, str) else int(_number(end, -1))
            for end in _in_order(pair)
        ]
        if len(ends) == 2 and all(0 <= end < len(names) for end in ends):
            found.append((ends[0], ends[1]))
    return tuple(found)


def _texts(value: Any) -> tuple[str, ...]:
    """Return a list, a tuple, a dict by index or one text as texts; nothing where any item is another kind."""
    items = [value] if isinstance(value, str) else _in_order(value)
    return tuple(items) if all(isinstance(item, str) and item for item in items) else ()


def _numbers(value: Any) -> tuple[float, ...]:
    items = [_number(item, math.nan) for item in _in_order(value)]
    return () if any(math.isnan(item) for item in items) else tuple(items)


def _number(value: Any, otherwise: float) -> float:
    value = _plain(value)
    whole = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if whole and math.isfinite(value) else otherwise


def _in_order(value: Any) -> list[Any]:
    """Return the items of a list, a tuple, an array or a dict by index; nothing of anything else."""
    value = _plain(value)
    if isinstance(value, Mapping):
        value = [value[key] for key in sorted(value, key=int)] if _by_index(value) else []
    return list(value)[:MOST] if isinstance(value, (list, tuple)) else []


def _by_index(value: Mapping[Any, Any]) -> bool:
    """Return whether all keys are whole numbers, or texts of them as JSON has them."""
    return all(
        isinstance(key, int) or (isinstance(key, str) and re.fullmatch("[0-9]{1,9}", key))
        for key in value
    )


def _by_id(value: Any) -> list[Any]:
    """Return keypoint infos in order; a list whose items have ids is sorted by them."""
    infos = _in_order(value)
    ids = [_part(each, "id") for each in infos]
    ranked = not isinstance(value, Mapping) and all(isinstance(each, int) for each in ids)
    return [infos[at] for at in sorted(range(len(ids)), key=ids.__getitem__)] if ranked else infos


def _ranked(value: Any) -> list[Any]:
    """Return the keys of a dict from names to indices, in the order of the indices."""
    if not isinstance(value, Mapping) or not all(isinstance(each, int) for each in value.values()):
        return []
    return sorted(value, key=lambda name: value[name])


def _part(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, Mapping) else None


def _plain(value: Any) -> Any:
    """Return a torch tensor or a pickled numpy value as Python's own; other values as they are."""
    if isinstance(value, torch.Tensor):
        return value.tolist() if value.numel() <= MOST and not value.is_meta else None
    return _from_numpy(value) if isinstance(value, ArrayRecord) else value


def _from_numpy(record: ArrayRecord) -> Any:
    """Return the numbers of a numpy array or scalar from its pickled bytes; None where it is something else.

    An array's parts are class, shape, type and then (version, shape, dtype, Fortran order, bytes); a scalar's are
    dtype and bytes; a dtype's begin with its code, such as "f4".
    """
    match record.parts:
        case (*_, (_, tuple() as shape, ArrayRecord() as dtype, False | 0, bytes() as data)):
            pass
        case (ArrayRecord() as dtype, bytes() as data):
            shape = ()
        case _:
            return None
    code = dtype.parts[0] if dtype.parts else None
    if code not in {"f4", "f8", "i4", "i8"} or len(data) > 8 * MOST:
        return None
    kind = np.dtype(f"<{code}")
    whole = all(isinstance(side, int) and side >= 0 for side in shape)
    if not whole or math.prod(shape) * kind.itemsize != len(data):
        return None
    return np.frombuffer(data, kind).reshape(shape).tolist()
