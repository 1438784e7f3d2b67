"""Figures of a dense model on images with ground-truth maps, by its task."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from edge.evaluation.dense.depth import Align, depth_figures
from edge.evaluation.dense.ground_truth import find_maps, read_depth, read_mask, read_normals
from edge.evaluation.dense.masks import confusion, mask_figures
from edge.evaluation.dense.normals import AngularErrors, angular_errors
from edge.evaluation.summary import ProtocolResult
from edge.image import read_image
from edge.model import Model
from edge.types import F32, DenseMap, Mask
from runtimes.errors import InputError

Advance = Callable[[], object]
Pair = tuple[Path, Path]


def evaluate_maps(
    model: Model,
    images: Sequence[Path],
    folder: Path,
    *,
    align: Align = "scale-shift",
    advance: Advance = lambda: None,
) -> ProtocolResult:
    """Run a dense model on every image and compare with the map of its name in `folder`, as `ground_truth` reads it.

    Masks and normals: over all pixels together. Depth: means of each image's figures; align as `depth_figures`.
    Raises InputError for a model without a map, a missing map, one of another size, and a class that the model lacks.
    """
    if model.spec.task not in _TASKS:
        raise InputError(
            f"{model.name} gives no map (task {model.spec.task}): --annotations DIR is for dense models"
        )
    pairs = list(zip(images, find_maps(images, folder), strict=True))
    return _TASKS[model.spec.task](model, pairs, align, advance)


def _masks(model: Model, pairs: Sequence[Pair], _align: Align, advance: Advance) -> ProtocolResult:
    names = model.spec.classes or ()
    pixels = np.zeros((len(names), len(names)), np.int64)
    for image, path in pairs:
        truth, counts = read_mask(path, len(names))
        found = _map_of(model, image, path, counts)
        pixels += confusion(found.labels(), truth, counts, len(names))
        advance()
    figures, classes = mask_figures(pixels, names)
    return ProtocolResult(
        artifact=model.name,
        protocol="masks",
        figures=figures,
        images=len(pairs),
        breakdown=classes,
    )


def _depth(model: Model, pairs: Sequence[Pair], align: Align, advance: Advance) -> ProtocolResult:
    each = []
    for depth, truth, counts in _vectors(model, pairs, _read_depth, advance):
        found = depth_figures(depth[0], truth[0], counts, align)
        if found is not None:
            each.append(found)
    figures = {
        name: float(np.mean([one[name] for one in each])) if each else None
        for name in ("RMSE", "AbsRel", "delta1")
    }
    return ProtocolResult(artifact=model.name, protocol="depth", figures=figures, images=len(each))


def _normals(
    model: Model, pairs: Sequence[Pair], _align: Align, advance: Advance
) -> ProtocolResult:
    errors = AngularErrors()
    for normals, truth, counts in _vectors(model, pairs, read_normals, advance):
        errors.add(angular_errors(normals, truth, counts))
    return ProtocolResult(
        artifact=model.name, protocol="normals", figures=errors.figures(), images=len(pairs)
    )


def _vectors(
    model: Model,
    pairs: Sequence[Pair],
    read: Callable[[Path], tuple[F32, Mask]],
    advance: Advance,
) -> Iterator[tuple[F32, F32, Mask]]:
    """Yield the model's values (C, H, W), the truth's (C, H, W), and which pixels count."""
    for image, path in pairs:
        truth, counts = read(path)
        yield _map_of(model, image, path, counts).values, truth, counts
        advance()


def _read_depth(path: Path) -> tuple[F32, Mask]:
    depth, counts = read_depth(path)
    return depth[None], counts


def _map_of(model: Model, image: Path, path: Path, counts: Mask) -> DenseMap:
    frame = read_image(image)
    if frame.shape[:2] != counts.shape:
        (height, width), (rows, columns) = frame.shape[:2], counts.shape
        raise InputError(
            f"{path} is {columns}x{rows}, its image {image.name} {width}x{height}; maps have their image's size"
        )
    return model.dense(frame)


_TASKS: dict[str, Callable[[Model, Sequence[Pair], Align, Advance], ProtocolResult]] = {
    "segment": _masks,
    "depth": _depth,
    "normal": _normals,
}
