"""Assembly: the labels that a SimCC student learns, and the weights it starts from."""

from dataclasses import replace

import msgspec
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from export.bundled import BUNDLED  # noqa: E402
from export.checkpoint import load_checkpoint  # noqa: E402
from quantize.distill.assembly import initial_student, with_label_sigma  # noqa: E402
from quantize.distill.config import DistillConfig  # noqa: E402
from quantize.distill.student import student_variant  # noqa: E402

WH = (96, 128)
DRAWN = BUNDLED["rtmpose-t-drawn"].path


def test_simcc_students_learn_labels_of_the_papers_width(teacher_of) -> None:
    """But for runs that an earlier release began, and a new head, whose labels are the old one's outputs."""
    variant = student_variant("rtmpose-t", WH)
    new, old = (DistillConfig(student="rtmpose-t", format=number) for number in (2, 1))
    assert with_label_sigma(variant, new, None).simcc_sigma == (3.46, 4.0)
    assert with_label_sigma(variant, old, None).simcc_sigma == (2.45, 2.83)
    head = DistillConfig(student="rtmpose-t", methods=("head",))
    spec = load_checkpoint(DRAWN).spec
    spec = msgspec.structs.replace(
        spec, codec=msgspec.structs.replace(spec.codec, sigma=(2.1, 2.2))
    )
    teacher = replace(teacher_of("rtmpose-t", WH), spec=spec)
    assert with_label_sigma(variant, head, teacher).simcc_sigma == (2.1, 2.2)
    maps = student_variant("vitpose-32x2x2-simple", WH)
    assert with_label_sigma(maps, new, None) == maps


def test_a_student_begins_with_the_head_of_the_same_network() -> None:
    """Whatever the width of the labels that it learned."""
    variant = with_label_sigma(
        student_variant("rtmpose-t", WH), DistillConfig(student="rtmpose-t"), None
    )
    config = DistillConfig(student="rtmpose-t", input_wh=WH, init=str(DRAWN))
    begun = initial_student(config, variant).state_dict()
    for name, value in load_checkpoint(DRAWN).module.state_dict().items():
        assert torch.equal(begun[name], value), name
