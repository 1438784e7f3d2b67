"""SimCC distillation: no loss against oneself, bins of other sizes and split ratios, keypoints by name."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edge.catalog.label_sigma import simcc_label_sigma  # noqa: E402
from edge.catalog.specs import rtmpose_spec  # noqa: E402
from edge.catalog.specs_vitpose import vitpose_spec  # noqa: E402
from edge.codecs import decode  # noqa: E402
from edge.schema import load_schema  # noqa: E402
from export.torch_session import normalise  # noqa: E402
from quantize.distill.data.targets import simcc_labels  # noqa: E402
from quantize.distill.losses.functional import simcc_kl  # noqa: E402
from quantize.distill.losses.simcc import resample_logits, simcc_losses, teacher_bins  # noqa: E402
from quantize.distill.teachers.online import OnlineTeacher  # noqa: E402
from runtimes.codec_spec import SimCCCodec  # noqa: E402
from runtimes.errors import InputError  # noqa: E402

COCO = load_schema("coco17")
WH = (64, 64)
SPLIT = SimCCCodec(split_ratio=2.0)


def said(teacher, batch) -> tuple[torch.Tensor, ...]:
    with torch.no_grad():
        return teacher.module(normalise(batch.images, teacher.spec.image))


def test_nothing_is_learnt_from_oneself(teacher_of, batch_of) -> None:
    """No keypoint of these crops is labelled: the teacher's outputs count all the same."""
    teacher, batch = teacher_of("rtmpose-t", WH), batch_of(WH)
    (part,) = simcc_losses(teacher, teacher.spec, COCO).values()
    outputs = said(teacher, batch)
    assert part.loss(outputs, batch).item() == pytest.approx(0, abs=1e-9)
    assert (part.weight_at(0), part.weight_at(1)) == (1, 1)
    moved = tuple(each.roll(5, -1) for each in outputs)
    wanted = simcc_kl(moved, outputs, torch.ones(2, 17)).item()
    assert wanted > 0
    assert part.loss(moved, batch).item() == pytest.approx(wanted, rel=1e-4)


def test_logits_up_to_a_constant_are_the_same(teacher_of, batch_of) -> None:
    """A softmax does not see it."""
    teacher, batch = teacher_of("rtmpose-t", WH), batch_of(WH)
    term = simcc_losses(teacher, teacher.spec, COCO)["simcc"].loss
    x, y = said(teacher, batch)
    assert term((x + 3, y - 2), batch).item() == pytest.approx(0, abs=1e-7)


def test_gradients_go_to_the_student_alone(teacher_of, batch_of) -> None:
    teacher, student = teacher_of("rtmpose-t", WH), teacher_of("rtmpose-t", WH, seed=1)
    batch = batch_of(WH)
    term = simcc_losses(teacher, student.spec, COCO)["simcc"].loss
    student.module.train()
    outputs = student.module(normalise(batch.images, student.spec.image))
    term(outputs, batch).backward()
    assert all(each.grad is not None for each in student.module.parameters())
    assert all(each.grad is None for each in teacher.module.parameters())


@pytest.mark.parametrize(
    ("teacher_wh", "teacher_split", "wh", "split"),
    [
        ((288, 384), 2.0, (192, 256), 2.0),
        ((96, 128), 2.0, (192, 256), 2.0),
        ((192, 256), 3.0, (192, 256), 2.0),
    ],
)
def test_a_bin_is_the_same_place_for_both_decoders(teacher_wh, teacher_split, wh, split) -> None:
    """Labels of the teacher, read at the student's bins, are decoded to the same part of the crop."""
    theirs, ours = (
        rtmpose_spec(name, size, "coco17")
        for name, size in (("teacher", teacher_wh), ("student", wh))
    )
    xy = np.random.default_rng(0).uniform(20, np.array(wh) - 20, (17, 2))
    ratio = np.array(teacher_wh) / wh
    labels = simcc_labels(
        xy * ratio, teacher_wh, teacher_split, np.array(simcc_label_sigma(teacher_wh))
    )
    places = teacher_bins(
        ours, SimCCCodec(split_ratio=split), theirs, SimCCCodec(split_ratio=teacher_split)
    )
    x, y = (
        resample_logits(torch.from_numpy(each)[None], where)
        for each, where in zip(labels, places, strict=True)
    )
    assert x.shape == (1, 17, wh[0] * split)
    assert y.shape == (1, 17, wh[1] * split)
    (found,) = decode({"simcc_x": x.numpy(), "simcc_y": y.numpy()}, ours)
    # half a bin of the teacher, where its label was rounded, and half a bin of the student's
    limit = 0.5 / teacher_split / ratio.min() + 0.5 / split + 1e-6
    assert np.abs(found.xy[0] - xy).max() <= limit


def test_straight_lines_stay_straight() -> None:
    """Between bins on a line, beyond the last as at it; the same bins change nothing."""
    theirs, ours = rtmpose_spec("a", (288, 384), "coco17"), rtmpose_spec("b", (192, 256), "coco17")
    x, _ = teacher_bins(ours, SPLIT, theirs, SPLIT)
    np.testing.assert_allclose(x[:4], [0, 1.5, 3, 4.5])
    line = torch.arange(576, dtype=torch.float32)[None, None]
    np.testing.assert_allclose(resample_logits(line, x)[0, 0], np.minimum(x, 575), rtol=1e-6)
    same, _ = teacher_bins(theirs, SPLIT, theirs, SPLIT)
    logits = torch.rand(2, 17, 576)
    assert torch.equal(resample_logits(logits, same), logits)
    assert resample_logits(line, np.array((575.0, 600.0)))[0, 0].tolist() == [575, 575]


def test_keypoints_are_matched_by_name_and_unknown_ones_are_masked(teacher_of, batch_of) -> None:
    """AIC's teacher has no nose; its left wrist has another index than COCO's."""
    aic = load_schema("aic14")
    teacher, batch = teacher_of("rtmpose-t", WH, "aic14"), batch_of(WH)
    student = rtmpose_spec("student", WH, "coco17")
    term = simcc_losses(teacher, student, COCO)["simcc"].loss
    found = [torch.zeros(2, 17, each.shape[-1]) for each in said(teacher, batch)]
    for each, logits in zip(found, said(teacher, batch), strict=True):
        for place, name in enumerate(COCO.names):
            if name in aic.names:
                each[:, place] = logits[:, aic.names.index(name)]
    assert term(tuple(found), batch).item() == pytest.approx(0, abs=1e-9)
    found[0][:, COCO.names.index("nose"), 3] += 5
    assert term(tuple(found), batch).item() == pytest.approx(0, abs=1e-9)
    found[0][:, COCO.names.index("left_wrist"), 3] += 5
    assert term(tuple(found), batch).item() > 1e-3


def test_a_larger_teacher_sees_the_crop_larger(teacher_of, batch_of) -> None:
    teacher, batch = teacher_of("rtmpose-t", (128, 128)), batch_of(WH)
    student = rtmpose_spec("student", WH, "coco17")
    term = simcc_losses(teacher, student, COCO)["simcc"].loss
    x, y = OnlineTeacher(teacher, student).outputs(batch, torch.device("cpu"))
    assert x.shape == (2, 17, 256)
    # twice the pixels and as many bins a pixel: every second bin
    assert term((x[..., ::2], y[..., ::2]), batch).item() == pytest.approx(0, abs=1e-9)


def test_unsuitable_pairs_are_refused(teacher_of) -> None:
    simcc, maps = teacher_of("rtmpose-t", WH), teacher_of("vitpose-32x2x2-simple", WH)
    with pytest.raises(InputError, match="vitpose-32x2x2-simple gives no SimCC logits"):
        simcc_losses(maps, rtmpose_spec("student", WH, "coco17"), COCO)
    with pytest.raises(InputError, match="the student has no SimCC outputs"):
        simcc_losses(simcc, vitpose_spec("student", WH, "coco17"), COCO)
    with pytest.raises(InputError, match="takes 64x64 and the student 96x128"):
        simcc_losses(simcc, rtmpose_spec("student", (96, 128), "coco17"), COCO)
    hands = teacher_of("rtmpose-t", WH, "hand21")
    with pytest.raises(InputError, match="share no keypoint"):
        simcc_losses(hands, rtmpose_spec("student", WH, "coco17"), COCO)
