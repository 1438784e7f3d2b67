"""Losses of pose students on real samples: zero for right outputs, and only for those."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edge.catalog.label_sigma import simcc_label_sigma  # noqa: E402
from edge.catalog.specs import rtmpose_spec  # noqa: E402
from edge.catalog.specs_vitpose import vitpose_spec  # noqa: E402
from edge.codecs import decode  # noqa: E402
from edge.schema import load_schema  # noqa: E402
from quantize.distill.data.augment import NO_AUGMENTATION, STRONG  # noqa: E402
from quantize.distill.data.batches import Batch, collate  # noqa: E402
from quantize.distill.data.crop_view import box_view, view_crop  # noqa: E402
from quantize.distill.data.instances import drawn_instances  # noqa: E402
from quantize.distill.data.keypoint_transfer import map_keypoints  # noqa: E402
from quantize.distill.data.packed_maps import pack  # noqa: E402
from quantize.distill.data.patch_cache import PatchCache  # noqa: E402
from quantize.distill.data.samples import Sampler  # noqa: E402
from quantize.distill.data.split_maps import split_maps  # noqa: E402
from quantize.distill.data.targets import (  # noqa: E402
    heatmap_sigma,
    heatmaps,
    simcc_labels,
    strides,
)
from quantize.distill.losses.terms import TeacherMaps, label_loss, teacher_map_loss  # noqa: E402
from quantize.distill.teachers.cache import UDP, TeacherCache, join_records  # noqa: E402

COCO = load_schema("coco17")
WH, MAP = (96, 128), (24, 32)
TEACHER_WH, KEPT = (192, 256), (48, 64)
HEATMAP = vitpose_spec("student", WH, "coco17")
SIMCC = rtmpose_spec("student", WH, "coco17")
INTEGRAL = vitpose_spec("student", WH, "coco17", "integral")


@pytest.fixture(scope="module")
def patch_cache(tmp_path_factory) -> PatchCache:
    return PatchCache(drawn_instances(tmp_path_factory.mktemp("drawn"), 3, 4, COCO), 1.25)


def batch(patch_cache: PatchCache, spec, augmentation=STRONG) -> Batch:
    sampler = Sampler(patch_cache, COCO, spec.crop, WH, seed=7)
    return collate([sampler.sample(row, 0, augmentation) for row in range(len(patch_cache))])


def exact_cache(patch_cache: PatchCache) -> TeacherCache:
    """The cache of a perfect teacher: Gaussians at the true places in its own upright crops."""
    crops = [
        view_crop(box_view(person.box, 1.25), HEATMAP.crop, TEACHER_WH)
        for person in patch_cache.instances
    ]
    stride = strides(TEACHER_WH, KEPT, UDP)
    maps = [
        heatmaps(crop.to_input(person.keypoints[:, :2]) / stride, KEPT, np.array((2.0, 2.0)))
        * (person.keypoints[:, 2] > 0)[:, None, None]
        for crop, person in zip(crops, patch_cache.instances, strict=True)
    ]
    return cache_of(np.stack(maps), np.stack([crop.matrix for crop in crops]), stride)


def cache_of(maps: np.ndarray, crops: np.ndarray, stride: np.ndarray) -> TeacherCache:
    shard = join_records(pack(split_maps(maps, stride, np.array((2.0, 2.0)))))
    return TeacherCache((shard,), len(COCO), KEPT, crops, stride)


def right_heatmaps(made: Batch) -> torch.Tensor:
    """Labels as heatmaps; a Gaussian of 2 bins of 48 is one bin of 24."""
    bins = made.xy.numpy().reshape(-1, 2) / strides(WH, MAP, HEATMAP.codec)
    sigma = heatmap_sigma(WH) / strides(WH, MAP, HEATMAP.codec)
    maps = torch.from_numpy(heatmaps(bins, MAP, sigma))
    return maps.reshape(len(made.rows), 17, *MAP[::-1]) * made.weights[..., None, None]


def right_simcc(made: Batch) -> tuple[torch.Tensor, ...]:
    labels = simcc_labels(made.xy.numpy().reshape(-1, 2), WH, 2.0, np.array(simcc_label_sigma(WH)))
    return tuple(torch.from_numpy(each).reshape(len(made.rows), 17, -1) for each in labels)


def test_a_right_heatmap_costs_nothing(patch_cache) -> None:
    made = batch(patch_cache, HEATMAP)
    term = label_loss(HEATMAP)
    assert term((right_heatmaps(made),), made).item() == pytest.approx(0, abs=1e-10)
    blank = term((torch.zeros(len(made.rows), 17, *MAP[::-1]),), made).item()
    # a Gaussian of height 1 and sigma 1 holds pi of squares, over 768 bins
    share = made.weights.mean().item()
    assert blank == pytest.approx(share * np.pi / 768, rel=0.25)


def test_right_simcc_costs_nothing(patch_cache) -> None:
    made = batch(patch_cache, SIMCC)
    outputs, term = right_simcc(made), label_loss(SIMCC)
    assert term(outputs, made).item() == pytest.approx(0, abs=1e-7)
    assert term(tuple(each.flip(-1) for each in outputs), made).item() > 0.01


@pytest.mark.parametrize("augmentation", [NO_AUGMENTATION, STRONG], ids=["upright", "strong"])
def test_teacher_maps_are_warped_to_the_students_crop(patch_cache, augmentation) -> None:
    """However the crop is turned and mirrored, a faultless teacher asks for peaks where the labels are."""
    made = batch(patch_cache, HEATMAP, augmentation)
    taught = TeacherMaps(exact_cache(patch_cache), map_keypoints(COCO, COCO), COCO)
    stride = strides(WH, MAP, HEATMAP.codec)
    wanted, weights = taught.of(made, MAP, stride, heatmap_sigma(WH) / stride)
    checked = 0
    for person, point in np.argwhere(made.weights.numpy() > 0):
        column, row = made.xy[person, point].numpy() / stride
        if weights[person, point, round(float(row)), round(float(column))] == 0:
            continue  # the upright crop did not reach so far
        peak = wanted[person, point].argmax().item()
        found = np.array((peak % MAP[0], peak // MAP[0]))
        assert np.abs(found - (column, row)).max() <= 1.5
        checked += 1
    assert checked > 20
    term = teacher_map_loss(HEATMAP, taught)
    right, blank = (
        term((maps,), made).item() for maps in (right_heatmaps(made), torch.zeros_like(wanted))
    )
    assert right < 0.05 * blank


def test_a_simcc_student_learns_from_heatmaps(patch_cache) -> None:
    """The loss of a right student is lower than that of a mirrored one."""
    made = batch(patch_cache, SIMCC)
    taught = TeacherMaps(exact_cache(patch_cache), map_keypoints(COCO, COCO), COCO)
    term = teacher_map_loss(SIMCC, taught)
    outputs = right_simcc(made)
    right = term(outputs, made).item()
    assert right < 0.3 * term(tuple(each.flip(-1) for each in outputs), made).item()


def test_keypoints_the_teacher_lacks_are_masked(patch_cache) -> None:
    """AIC's teacher has no face: whatever the student says of noses costs nothing."""
    made = batch(patch_cache, HEATMAP)
    teacher_cache = exact_cache(patch_cache)
    term = teacher_map_loss(
        HEATMAP, TeacherMaps(teacher_cache, map_keypoints(load_schema("aic14"), COCO), COCO)
    )
    maps = right_heatmaps(made)
    wild = maps.clone()
    wild[:, 0] = 100
    assert term((wild,), made).item() == pytest.approx(term((maps,), made).item())
    wild[:, 9] = 100
    assert term((wild,), made).item() > 10


def test_outputs_without_a_loss_are_refused() -> None:
    from edge.catalog.specs import movenet_spec
    from runtimes.errors import InputError

    with pytest.raises(InputError, match="cannot be trained"):
        label_loss(movenet_spec())


@pytest.mark.parametrize("augmentation", [NO_AUGMENTATION, STRONG], ids=["upright", "strong"])
def test_a_mean_at_the_keypoint_costs_nothing(patch_cache, augmentation) -> None:
    """And the decoder finds the keypoint there: one convention for both."""
    made = batch(patch_cache, INTEGRAL, augmentation)
    maps = right_integral(made)
    cost = label_loss(INTEGRAL)((maps,), made).item()
    assert cost == pytest.approx(0, abs=1e-4)
    people = decode({"heatmap": maps.numpy()}, INTEGRAL)
    found = np.concatenate([each.xy for each in people])
    counted = reachable(made) & (made.weights.numpy() > 0)
    assert counted.sum() > 20
    assert np.abs(found - made.xy.numpy())[counted].max() < 0.02  # pixels
    inner = counted & (made.xy.numpy()[..., 0] < 80)  # the others would leave the map
    some = replace(made, weights=torch.from_numpy(inner.astype(np.float32)))
    moved = label_loss(INTEGRAL)((maps.roll(3, -1),), some).item()
    assert moved == pytest.approx(3 / MAP[0] * inner.mean(), rel=1e-3)


def test_an_integral_student_learns_from_heatmaps(patch_cache) -> None:
    """A faultless teacher asks for the keypoints' places; where it sees nothing it asks for nothing."""
    made = batch(patch_cache, INTEGRAL, NO_AUGMENTATION)
    teacher_cache = exact_cache(patch_cache)
    term = teacher_map_loss(INTEGRAL, TeacherMaps(teacher_cache, map_keypoints(COCO, COCO), COCO))
    maps = right_integral(made)
    # a Gaussian cut at a tenth of its peak and laid on whole bins keeps its mean within a twentieth of a bin
    assert term((maps,), made).item() < 0.1 / MAP[0]
    assert term((maps.roll(3, -1),), made).item() > 2 / MAP[0] * 0.8
    blank = np.zeros((len(patch_cache), 17, *KEPT[::-1]), np.float32)
    silent = cache_of(blank, teacher_cache.crops, teacher_cache.stride)
    term = teacher_map_loss(INTEGRAL, TeacherMaps(silent, map_keypoints(COCO, COCO), COCO))
    assert term((maps,), made).item() == 0


def reachable(made: Batch) -> np.ndarray:
    """A mean lies between the first and the last bin."""
    return (made.xy.numpy() <= (np.array(MAP) - 1) * 4).all(axis=2)


def right_integral(made: Batch) -> torch.Tensor:
    """Logits whose sigmoid is all in the four bins around the keypoint, each as near as its share."""
    bins = np.clip(made.xy.numpy() / 4, 0, np.array(MAP) - 1)
    tents = [
        np.clip(1 - np.abs(np.arange(count) - bins[..., axis, None]), 0, 1)
        for axis, count in enumerate(MAP)
    ]
    shares = tents[1][..., :, None] * tents[0][..., None, :]
    probable = torch.from_numpy(0.5 * shares).clamp(min=1e-9)
    return torch.logit(probable).float()
