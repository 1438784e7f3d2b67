"""A perfect teacher, whose maps are its labels, asks of the student what the student's own labels ask, in any view."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edge.catalog.label_sigma import simcc_label_sigma  # noqa: E402
from edge.catalog.specs import rtmpose_spec  # noqa: E402
from edge.catalog.specs_vitpose import vitpose_spec  # noqa: E402
from edge.schema import load_schema  # noqa: E402
from quantize.distill.data.augment import GENTLE, STRONG, WEAK, jitter_box, random_view  # noqa: E402
from quantize.distill.data.batches import Batch  # noqa: E402
from quantize.distill.data.crop_view import box_view, view_crop  # noqa: E402
from quantize.distill.data.keypoint_transfer import map_keypoints  # noqa: E402
from quantize.distill.data.targets import (  # noqa: E402
    heatmap_sigma,
    heatmaps,
    inside,
    simcc_labels,
    strides,
)
from quantize.distill.losses.terms import MarginalDistillLoss, TeacherMaps  # noqa: E402
from quantize.distill.methods.deep_supervision import MIN_SIGMA  # noqa: E402
from quantize.distill.teachers.cache import UDP, TeacherCache, cache_records, join_records  # noqa: E402
from quantize.distill.teachers.teacher import PredictedMaps, simcc_to_heatmaps  # noqa: E402

COCO = load_schema("coco17")
SAME = map_keypoints(COCO, COCO)
PEOPLE = 10
LIMIT = 0.3e-4  # mean squared error; a blank map has 30e-4 and more
VIEWS = {
    "gentle": GENTLE,
    "weak": WEAK,
    "strong": STRONG,
    "detector": replace(STRONG, jitter="detector"),
}
# Input and map size of heatmap teachers: large, as small as the student, of another aspect ratio.
TEACHERS = {
    "large": ((192, 256), (48, 64)),
    "small": ((96, 128), (24, 32)),
    "square": ((128, 128), (32, 32)),
}


def people() -> tuple[np.ndarray, np.ndarray]:
    """Boxes (N, 4) and keypoints (N, 17, 2) in them, two in corners of the box."""
    rng = np.random.default_rng(1)
    corners = rng.uniform(0, 200, (PEOPLE, 2))
    sides = rng.uniform((30, 60), (120, 240), (PEOPLE, 2))
    xy = corners[:, None] + rng.uniform(0, 1, (PEOPLE, 17, 2)) * sides[:, None]
    xy[:, :2] = np.stack([corners, corners + sides], axis=1)
    boxes = np.concatenate([corners, corners + sides], axis=1)
    return boxes.astype(np.float32), xy.astype(np.float32)


@pytest.fixture(scope="module", params=[*TEACHERS, "simcc"])
def taught(request) -> TeacherMaps:
    """The maps of a perfect teacher, cached no finer than a student's."""
    simcc = request.param == "simcc"
    wh, map_wh = ((96, 128), (192, 256)) if simcc else TEACHERS[request.param]
    spec = (rtmpose_spec if simcc else vitpose_spec)("teacher", wh, "coco17")
    boxes, xy = people()
    crops = [view_crop(box_view(box, 1.25), spec.crop, wh) for box in boxes]
    points = np.concatenate([crop.to_input(each) for crop, each in zip(crops, xy, strict=True)])
    stride = np.full(2, 0.5) if simcc else strides(wh, map_wh, spec.codec)
    sigma = np.array(spec.codec.sigma)
    if simcc:  # as a network's, its logits peak between bins, where labels are rounded
        x = heatmaps(points / stride * (1, 0), (map_wh[0], 1), sigma)[None, :, 0]
        y = heatmaps(points / stride * (0, 1), (1, map_wh[1]), sigma)[None, :, :, 0]
        maps = simcc_to_heatmaps(x - 3, y + 1)[0]
    else:
        maps = heatmaps(points / stride, map_wh, sigma)
    predicted = PredictedMaps(maps.reshape(PEOPLE, 17, *maps.shape[1:]), stride, sigma)
    stored = strides(wh, (24, 32), UDP)
    shard = join_records(cache_records(predicted, SAME, stored, (24, 32)))
    matrices = np.stack([crop.matrix for crop in crops])
    return TeacherMaps(TeacherCache((shard,), 17, (24, 32), matrices, stored), SAME, COCO)


def batch(spec, wh: tuple[int, int], view: str) -> Batch:
    """Augmented crops of everybody, without pixels."""
    boxes, xy = people()
    crops, flipped, places = [], [], []
    for row, (box, each) in enumerate(zip(boxes, xy, strict=True)):
        rng = np.random.default_rng(row)
        seen = jitter_box(box, rng) if VIEWS[view].jitter == "detector" else box
        xyv = np.concatenate([each, np.full((17, 1), 2, np.float32)], axis=1)
        drawn = random_view(box_view(seen, 1.25), xyv, COCO, VIEWS[view], rng)
        crops.append(view_crop(drawn, spec.crop, wh))
        flipped.append(drawn.flipped)
        places.append(crops[-1].to_input(each[COCO.flip_order] if drawn.flipped else each))
    placed = np.stack(places).astype(np.float32)
    weights = inside(placed, wh).astype(np.float32)
    return Batch(
        torch.zeros(PEOPLE, 1, 1, 3, dtype=torch.uint8),
        torch.from_numpy(placed),
        torch.from_numpy(weights),
        tuple(crops),
        tuple(range(PEOPLE)),
        tuple(flipped),
    )


@pytest.mark.parametrize("wh", [(96, 128), (128, 128)], ids=["3:4", "square"])
@pytest.mark.parametrize("view", VIEWS)
def test_heatmaps_are_the_labels(taught, view, wh) -> None:
    """At every grid: the student's own maps, and the coarser ones of deep supervision."""
    spec = vitpose_spec("student", wh, "coco17")
    made = batch(spec, wh, view)
    for cell in (4, 8, 16):
        map_wh = (wh[0] // cell, wh[1] // cell)
        stride = strides(wh, map_wh, spec.codec)
        sigma = np.maximum(heatmap_sigma(wh) / stride, MIN_SIGMA)
        found, weights = taught.of(made, map_wh, stride, sigma)
        labels = heatmaps(made.xy.numpy().reshape(-1, 2) / stride, map_wh, sigma)
        error = (found.numpy() - labels.reshape(found.shape)) ** 2 * weights.numpy()
        assert error.mean() <= LIMIT
        assert weights.mean() > 0.5


@pytest.mark.parametrize("wh", [(96, 128), (128, 128)], ids=["3:4", "square"])
@pytest.mark.parametrize("view", VIEWS)
def test_marginals_are_the_labels(taught, view, wh) -> None:
    spec = rtmpose_spec("student", wh, "coco17")
    made = batch(spec, wh, view)
    targets, weights = MarginalDistillLoss(spec, spec.codec, taught).targets(made)
    np.testing.assert_allclose(weights, made.weights, atol=2e-3)
    sigma = np.array(simcc_label_sigma(wh))
    labels = simcc_labels(made.xy.numpy().reshape(-1, 2), wh, 2.0, sigma)
    for found, wanted in zip(targets, labels, strict=True):
        error = (found - wanted) ** 2 * made.weights.numpy().reshape(-1, 1)
        assert error.mean() <= LIMIT
