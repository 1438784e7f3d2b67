"""Targets computed ahead: the same loss to the bit, in the loader's thread."""

import threading

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from edge.schema import load_schema  # noqa: E402
from quantize.distill.data.augment import STRONG  # noqa: E402
from quantize.distill.data.batches import Batch, leave_unprepared, pose_batches  # noqa: E402
from quantize.distill.data.instances import drawn_instances  # noqa: E402
from quantize.distill.data.keypoint_transfer import map_keypoints  # noqa: E402
from quantize.distill.data.patch_cache import PatchCache  # noqa: E402
from quantize.distill.data.samples import Sampler  # noqa: E402
from quantize.distill.losses.terms import TeacherMaps, WeightedLoss, label_loss, teacher_map_loss  # noqa: E402
from quantize.distill.methods.deep_supervision import deep_supervision_losses  # noqa: E402
from quantize.distill.methods.feature import FirstOutputsLoss  # noqa: E402
from quantize.distill.pose_task import PoseTask  # noqa: E402
from quantize.distill.student import student_spec, student_variant  # noqa: E402
from quantize.distill.teachers.cache import build_teacher_cache  # noqa: E402

COCO = load_schema("coco17")
WH = (64, 96)
INNER = [(8, 12), (4, 6), (2, 3)]
STUDENTS = ("vitpose-48x1x3-simple", "vitpose-48x1x3-simple-integral", "rtmpose-t")


@pytest.fixture(scope="module")
def sampler(tmp_path_factory) -> Sampler:
    people = drawn_instances(tmp_path_factory.mktemp("drawn"), 5, 3, COCO)
    crop = student_spec(student_variant("rtmpose-t", WH), "-").crop
    return Sampler(PatchCache(people, crop.padding), COCO, crop, WH, seed=1)


@pytest.fixture
def losses_of(sampler, teacher_of, tmp_path):
    """The losses of a student, of labels and of a teacher's cached heatmaps."""

    def make(name: str) -> tuple[dict[str, WeightedLoss], tuple[torch.Tensor, ...]]:
        spec = student_spec(student_variant(name, WH), name)
        cache = build_teacher_cache(
            tmp_path,
            teacher_of("vitpose-48x1x3-simple", WH),
            sampler.patch_cache,
            COCO,
            (16, 24),
            lambda *_: None,
        )
        maps = TeacherMaps(cache, map_keypoints(COCO, COCO), COCO)
        own = len(spec.outputs)
        losses = {"truth": label_loss(spec), "heatmap": teacher_map_loss(spec, maps)}
        weighted = {n: WeightedLoss(FirstOutputsLoss(loss, own)) for n, loss in losses.items()}
        rng = torch.Generator().manual_seed(0)
        shapes = [each.shape[1:] for each in spec.outputs] + [(17, h, w) for w, h in INNER]
        outputs = tuple(torch.rand((4, *shape), generator=rng) for shape in shapes)
        return weighted | deep_supervision_losses(spec, 0.1, maps, labelled=True), outputs

    return make


@pytest.mark.parametrize("student", STUDENTS)
def test_prepared_or_not_the_losses_are_the_same(sampler, losses_of, student) -> None:
    weighted, outputs = losses_of(student)
    task = PoseTask(student_spec(student_variant(student, WH), "-").image, weighted)
    plain, ahead = (
        next(pose_batches(sampler, [[0, 1, 2, 3]], 0, STRONG, 1, prepare))
        for prepare in (leave_unprepared, task.prepare)
    )
    assert not plain.prepared
    assert (
        len(ahead.prepared) > len(weighted) - 1
    )  # but for labels of integral regression, which cost nothing
    for name, each in weighted.items():
        found, wanted = each.loss(outputs, ahead), each.loss(outputs, plain)
        assert torch.equal(found, wanted), name
        assert wanted > 0


def test_targets_are_computed_in_the_loaders_threads(sampler) -> None:
    threads: list[str] = []

    def prepare(batch: Batch) -> None:
        threads.append(threading.current_thread().name)

    count = torch.get_num_threads()
    made = list(pose_batches(sampler, [[0, 1], [2, 3], [1, 0]], 0, STRONG, 2, prepare))
    assert [batch.rows for batch in made] == [(0, 1), (2, 3), (1, 0)]
    assert len(threads) == 3
    assert threading.main_thread().name not in threads
    assert torch.get_num_threads() == count


def test_what_fails_ahead_is_raised_here(sampler) -> None:
    def prepare(batch: Batch) -> None:
        raise ValueError(str(np.asarray(batch.rows)))

    with pytest.raises(ValueError, match=r"\[0 1\]"):
        list(pose_batches(sampler, [[0, 1]], 0, STRONG, 1, prepare))
