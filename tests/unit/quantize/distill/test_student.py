"""Students: names, initial weights that follow from a seed, and refusals."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from quantize.distill.student import (  # noqa: E402
    new_student,
    student_spec,
    student_variant,
)
from runtimes.codec_spec import HeatmapCodec, IntegralCodec  # noqa: E402
from runtimes.errors import EdgeposeError  # noqa: E402


@pytest.mark.parametrize(
    ("name", "wh", "found"),
    [
        ("vitpose-96x2x3-simple", (96, 128), ("vitpose", "96x2x3-simple", (96, 128), "coco17")),
        ("vitpose-s", None, ("vitpose", "s", (192, 256), "coco17")),
        ("rtmpose-t", None, ("rtmpose", "t", (192, 256), "coco17")),
        ("cspnext-t-fpn", (96, 160), ("cspnext", "t-fpn", (96, 160), "coco17")),
        ("cspnext-614x1x2x2x1-fpn", None, ("cspnext", "614x1x2x2x1-fpn", (192, 256), "coco17")),
        ("fastpose-res50", (96, 128), ("fastpose", "res50", (96, 128), "coco17")),
        ("fastpose-1x2x1x1-wide", None, ("fastpose", "1x2x1x1-wide", (192, 256), "coco17")),
        ("rtmpose-s-halpe26", (96, 128), ("rtmpose", "s", (96, 128), "body26")),
    ],
)
def test_names_mean_networks(name, wh, found) -> None:
    variant = student_variant(name, wh)
    assert (variant.family, variant.size, variant.input_wh, variant.schema) == found


@pytest.mark.parametrize(
    ("name", "size"),
    [("vitpose-96x2x3-simple-integral", "96x2x3-simple"), ("vitpose-s-integral", "s")],
)
def test_integral_students_are_the_same_networks(name, size) -> None:
    """Their maps are read otherwise: by their mean, and the crop stays ViTPose's."""
    variant = student_variant(name, (96, 128))
    assert (variant.family, variant.size, variant.codec) == ("vitpose", size, "integral")
    spec, plain = (student_spec(each, name) for each in (variant, replace(variant, codec="")))
    assert spec.codec == IntegralCodec(norm="sigmoid", shift_flip=True)
    assert isinstance(plain.codec, HeatmapCodec)
    assert msgspec.structs.replace(spec, codec=plain.codec) == plain


@pytest.mark.parametrize(
    ("name", "size", "schema"),
    [
        ("fastpose-res50-integral", "res50", "coco17"),
        ("fastpose-res50-wholebody-integral", "res50", "coco133"),  # of the catalogue
        ("fastpose-2x1x1x1-integral", "2x1x1x1", "coco17"),
    ],
)
def test_fastpose_learns_by_integral_regression(name, size, schema) -> None:
    variant = student_variant(name)
    assert (variant.size, variant.codec, variant.schema) == (size, "integral", schema)
    assert student_spec(variant, name).codec == IntegralCodec(norm="sigmoid", shift_flip=True)


@pytest.mark.parametrize(
    ("name", "wh", "said"),
    [
        ("rtmpose-t-integral", None, "integral regression is for vitpose and fastpose"),
        ("cspnext-t-fpn-integral", None, "integral regression is for vitpose and fastpose"),
        ("cspnext-t-fpn", (100, 128), "multiples of 32"),
        ("cspnext-xxl", None, "cspnext has no size 'xxl'"),
        ("fastpose-3x4x6", None, "fastpose has no size '3x4x6'"),
        ("fastpose-3x4x0x3", None, "fastpose has no size '3x4x0x3'"),
        ("vitpose-integral", None, "cannot be a student"),
        ("rtmdet-nano", None, "'rtmdet-nano' cannot be a student"),
        ("vitpose", None, "cannot be a student"),
        ("vitpose-s", (100, 128), "multiples of 16"),
        ("rtmpose-t", (100, 128), "multiples of 32"),
        ("rtmpose-xxl", None, "rtmpose has no size 'xxl'"),
        ("vitpose-97x2x3", None, "vitpose has no size '97x2x3'"),
    ],
)
def test_networks_that_cannot_be_trained_are_refused(name, wh, said) -> None:
    with pytest.raises(EdgeposeError, match=said):
        student_variant(name, wh)


@pytest.mark.parametrize("name", ["vitpose-32x2x2-simple", "rtmpose-t", "cspnext-t-fpn"])
def test_fresh_weights_follow_from_the_seed(name) -> None:
    variant = student_variant(name, (64, 64))
    torch.rand(1)
    first, again, other = (new_student(variant, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize(
    "name", ["vitpose-32x2x2", "cspnext-160x1x1x1x1", "cspnext-160x1x1x1x1-fpn", "fastpose-1x1x1x1"]
)
def test_a_new_students_heatmaps_are_nearly_empty(name) -> None:
    """Most bins of a heatmap are zero: learning starts from there."""
    variant = student_variant(name, (64, 64))
    module = new_student(variant, 0)
    assert module.training
    with torch.no_grad():
        (maps,) = module.eval()(torch.randn(2, 3, 64, 64))
    assert maps.abs().max() < 0.1
    assert student_spec(variant, "new").model == "new"


def test_a_fresh_transformer_knows_where_its_patches_lie() -> None:
    """Positions are waves: 0 and 1 at the origin, and two of them agree by their distance alone (cos a - b)."""
    module = new_student(student_variant("vitpose-48x1x3-simple", (96, 128)), 0)
    positions = module.backbone.pos_embed.detach()[0].double().numpy()
    assert positions.shape == (48, 48)
    np.testing.assert_allclose(positions[0], np.tile(np.repeat([0, 1], 12), 2), atol=1e-7)
    frequencies = 10000.0 ** (-np.arange(12) / 12)
    rows, columns = np.divmod(np.arange(48), 6)
    apart = [each[:, None] - each for each in (rows, columns)]
    wanted = sum(np.cos(each[..., None] * frequencies).sum(axis=-1) for each in apart)
    np.testing.assert_allclose(positions @ positions.T, wanted, atol=1e-4)
