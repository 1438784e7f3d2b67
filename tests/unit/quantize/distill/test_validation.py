"""Validation metrics: perfect for a perfect student, and as computed for one that is off by a known distance."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("faster_coco_eval")

from edge.catalog.specs_vitpose import vitpose_spec
from edge.evaluation.coco import boxes_xyxy, keypoints_xyv, people_by_image
from edge.evaluation.dataset import load_dataset
from edge.image import read_image
from edge.schema import load_schema
from edge.synth import write_dataset
from edge.types import Poses
from quantize.distill.student import new_student, student_spec, student_variant
from quantize.distill.validation import validate, validate_model, validation_set
from runtimes.errors import InputError

COCO = load_schema("coco17")


@pytest.fixture(scope="module")
def annotations(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("set") / "drawn", 11, 4)


class Knowing:
    """A model that reads the answers, and moves them to the right by a share of each box's longer side."""

    def __init__(self, dataset, shift: float) -> None:
        self.spec = vitpose_spec("knowing", (192, 256), "coco17")
        self.schema = COCO
        self.name = "knowing"
        self._shift = shift
        truth = people_by_image(dataset.truth)
        self._by_picture = {
            read_image(path).tobytes(): [each for each in truth[image] if each.labelled]
            for image, path in dataset.paths.items()
        }

    def poses(self, image, boxes) -> Poses:
        people = self._by_picture[image.tobytes()]
        np.testing.assert_allclose(boxes, boxes_xyxy(people))
        xy = keypoints_xyv(people)[..., :2]
        sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
        xy[..., 0] += self._shift * sides[:, None]
        count = len(people)
        ones = np.ones((count, 17), np.float32)
        return Poses(xy, ones, boxes, ones[:, 0], np.full(count, -1, np.int32), COCO)


@pytest.mark.parametrize(("shift", "pck"), [(0.0, 1.0), (0.19, 1.0), (0.21, 0.0)])
def test_pck_counts_a_fifth_of_the_longer_side(annotations, shift, pck) -> None:
    metrics = validate_model(Knowing(load_dataset(annotations), shift), load_dataset(annotations))
    assert metrics.pck == pck
    assert metrics.ap == pytest.approx(1.0) if shift == 0 else metrics.ap < 0.2


def test_px_is_the_median_distance(annotations) -> None:
    dataset = load_dataset(annotations)
    people = [each for found in people_by_image(dataset.truth).values() for each in found]
    sides = [max(each.bbox[2:]) for each in people if each.labelled]
    counts = [sum(v > 0 for v in each.keypoints[2::3]) for each in people if each.labelled]
    wanted = 0.1 * float(np.median(np.repeat(sides, counts)))
    metrics = validate_model(Knowing(dataset, 0.1), dataset)
    assert metrics.px == pytest.approx(wanted, rel=1e-4)
    assert (metrics.people, metrics.keypoints) == (len(sides), sum(counts))


def test_a_network_is_left_in_its_mode(annotations) -> None:
    variant = student_variant("vitpose-48x1x3-simple", (48, 64))
    module = new_student(variant, 0)
    metrics = validate(module, student_spec(variant, "student"), load_dataset(annotations))
    assert module.training
    assert 0 <= metrics.pck <= 1


def test_other_keypoints_are_refused(annotations) -> None:
    with pytest.raises(InputError, match="the keypoints of coco17, the student those of body26"):
        validation_set(str(annotations), "", load_schema("body26"))
