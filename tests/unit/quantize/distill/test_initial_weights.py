"""Initial weights: the same network's, or the backbone of another family's; and refusals."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from export.bundled import BUNDLED  # noqa: E402
from export.random_weights import random_variant  # noqa: E402
from export.registry import Variant, load_family  # noqa: E402
from quantize.distill.initial_weights import load_backbone, load_init, take_weights  # noqa: E402
from quantize.distill.student import new_student, student_variant  # noqa: E402
from runtimes.errors import InputError  # noqa: E402

WH = (64, 96)
SIZE = "160x1x1x1x1"
DRAWN = str(BUNDLED["rtmpose-t-drawn"].path)


def differing(module, other) -> set[str]:
    theirs = other.state_dict()
    return {
        name
        for name, value in module.state_dict().items()
        if name not in theirs or not torch.equal(value, theirs[name])
    }


@pytest.mark.parametrize("student", ["cspnext-t-fpn", "cspnext-t"])
def test_a_heatmap_student_starts_from_the_shipped_rtmpose(student: str) -> None:
    variant = student_variant(student, (96, 128))
    loaded = load_init(DRAWN, variant)
    module, before = new_student(variant, 0), new_student(variant, 0)
    take_weights(module, loaded, variant)
    assert differing(module.backbone, loaded.module.backbone) == set()
    assert differing(module.head, before.head) == set()


@pytest.mark.parametrize(
    ("source", "student"),
    [
        (Variant("cspnext", f"{SIZE}-fpn", WH, "coco17"), f"rtmpose-{SIZE}"),
        (Variant("cspnext", SIZE, WH, "hand21"), f"rtmpose-{SIZE}"),
        (Variant("rtmpose", SIZE, (192, 256), "coco17"), f"cspnext-{SIZE}-fpn"),
        (Variant("vitpose", "64x2x1", (96, 128), "coco17"), "vitpose-64x2x1-simple"),
    ],
)
def test_the_backbone_of_another_head_is_taken(
    source: Variant, student: str, tmp_path: Path
) -> None:
    made = random_variant(source)
    path = tmp_path / "source.pth"
    torch.save(made.module.state_dict(), path)
    variant = student_variant(student, (96, 128) if source.family == "vitpose" else WH)
    module, before = new_student(variant, 0), new_student(variant, 0)
    take_weights(module, load_init(str(path), variant), variant)
    assert differing(module.backbone, made.module.backbone) == set()
    assert differing(module.head, before.head) == set()
    assert differing(module.backbone, before.backbone)


def test_a_convolutional_head_fits_at_any_input_size(tmp_path: Path) -> None:
    made = random_variant(Variant("cspnext", f"{SIZE}-fpn", (192, 256), "coco17"))
    path = tmp_path / "source.pth"
    torch.save(made.module.state_dict(), path)
    variant = student_variant(f"cspnext-{SIZE}-fpn", WH)
    module = new_student(variant, 0)
    take_weights(module, load_init(str(path), variant), variant)
    assert differing(module, made.module) == set()
    other = student_variant(f"cspnext-{SIZE}-fpn", WH, "ap10k17")  # as many keypoints, but others
    module, before = new_student(other, 0), new_student(other, 0)
    take_weights(module, load_init(str(path), other), other)
    assert differing(module.backbone, made.module.backbone) == set()
    assert differing(module.head, before.head) == set()


def test_a_detector_shares_the_backbone() -> None:
    detector = load_family("rtmdet").build(Variant("rtmdet", "tiny", (64, 64), None, ("person",)))
    loaded = load_init(DRAWN, student_variant("rtmpose-t", (96, 128)))
    load_backbone(detector, loaded, (64, 64))
    assert differing(detector.backbone, loaded.module.backbone) == set()


@pytest.mark.parametrize(
    ("student", "said"),
    [
        (
            "rtmpose-s",
            r"holds rtmpose-t, the student is rtmpose-s: stem.0.conv.weight of its backbone is",
        ),
        (
            "cspnext-384x2x1x1x1-fpn",
            "stage1.1.blocks.1.conv1.conv.weight of its backbone is absent",
        ),
        ("vitpose-48x1x3", "pos_embed of its backbone is absent"),
        ("fastpose-1x1x1x1", "conv1.weight of its backbone is absent"),
    ],
)
def test_another_backbone_is_refused(student: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        load_init(DRAWN, student_variant(student, (96, 128)))
