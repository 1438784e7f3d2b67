"""An online teacher sees the student's own crop: the same region, pixel by pixel, at any input size."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from edge.catalog.specs import rtmpose_spec  # noqa: E402
from edge.catalog.specs_vitpose import vitpose_spec  # noqa: E402
from export.torch_session import TorchSession, normalise  # noqa: E402
from quantize.distill.backbone_head import backbone_of, last_map, map_channels  # noqa: E402
from quantize.distill.data.crop_view import CropView, crop_to_crop, view_crop  # noqa: E402
from quantize.distill.student import new_student, student_variant  # noqa: E402
from quantize.distill.teachers.online import OnlineTeacher, input_scale, resize_crops  # noqa: E402
from quantize.distill.teachers.teacher import Teacher  # noqa: E402
from runtimes.errors import InputError  # noqa: E402

CPU = torch.device("cpu")
VIEW = CropView((100.0, 80.0), (90.0, 120.0), 30.0, flipped=True)


@pytest.mark.parametrize(
    ("build", "wanted"),
    [(rtmpose_spec, (1.5, 1.5)), (vitpose_spec, (287 / 191, 383 / 255))],
    ids=["plain", "udp"],
)
def test_a_pixel_of_the_student_is_so_many_of_the_teacher(build, wanted) -> None:
    """However the region is turned, the crops of it differ by that factor, and pixel 0 is pixel 0."""
    student, teacher = build("a", (192, 256), "coco17"), build("b", (288, 384), "coco17")
    stretch = input_scale(student, teacher)
    np.testing.assert_allclose(stretch, wanted)
    crops = [view_crop(VIEW, spec.crop, spec.image.wh) for spec in (student, teacher)]
    found = crop_to_crop(crops[0], crops[1])
    np.testing.assert_allclose(found, np.diag((*wanted, 1))[:2], atol=1e-4)


def test_a_resized_crop_shows_the_same_places() -> None:
    """A ramp stays a ramp: at pixel p it has the value of pixel p / 1.5."""
    x, y = np.meshgrid(np.arange(64), np.arange(96))
    image = np.stack([3 * x, 2 * y, np.full_like(x, 7)], axis=-1).astype(np.uint8)
    found = resize_crops(torch.from_numpy(image)[None], (96, 144), np.array((1.5, 1.5))).numpy()[0]
    assert found.shape == (144, 96, 3)
    assert found.dtype == np.uint8
    inner = found[:142, :94].astype(float)  # the last pixels lie beyond the first crop's last
    columns, rows = np.meshgrid(np.arange(94), np.arange(142))
    assert np.abs(inner[..., 0] - 3 * columns / 1.5).max() <= 0.5 + 1e-3
    assert np.abs(inner[..., 1] - 2 * rows / 1.5).max() <= 0.5 + 1e-3
    assert (inner[..., 2] == 7).all()


def test_outputs_and_features_are_the_networks(teacher_of, batch_of) -> None:
    """Outputs and features are the module's own, of the pixels as its session feeds them."""
    teacher = teacher_of("rtmpose-t", (64, 64))
    batch = batch_of((64, 64))
    online = OnlineTeacher(teacher, teacher.spec)
    wanted = teacher.session.run({"image": batch.images.numpy()})
    for found, name in zip(online.outputs(batch, CPU), ("simcc_x", "simcc_y"), strict=True):
        np.testing.assert_allclose(found.numpy(), wanted[name], atol=1e-6)
        assert not found.requires_grad
    pixels = normalise(batch.images, teacher.spec.image)
    with torch.no_grad():
        features = teacher.module.backbone(pixels)[2]
    assert torch.equal(online.features(batch, CPU), features)


def test_outputs_are_kept_for_one_batch(teacher_of, batch_of) -> None:
    teacher = teacher_of("vitpose-32x2x2-simple", (64, 64))
    first, second = batch_of((64, 64), 0), batch_of((64, 64), 1)
    online = OnlineTeacher(teacher, teacher.spec)
    here, there, again = (online.outputs(each, CPU)[0] for each in (first, second, first))
    assert not torch.equal(here, there)
    assert torch.equal(here, again)
    assert online.outputs(first, CPU)[0] is again  # said once, kept for the next term


@pytest.mark.slow
def test_an_artifact_answers_as_its_network_does(exported, loaded_model, batch_of) -> None:
    from quantize.distill.teachers.teacher import open_teacher

    artifact = open_teacher(str(exported("random:rtmpose-t", "onnxruntime")["fp32"].path))
    loaded = loaded_model("random:rtmpose-t")
    session = TorchSession(loaded.module, loaded.spec)
    network = Teacher(session, loaded.spec, "", loaded.lineage, loaded.module)
    student, batch = rtmpose_spec("small", (96, 128), "coco17"), batch_of((96, 128))
    ours, theirs = (
        OnlineTeacher(each, student).outputs(batch, CPU) for each in (artifact, network)
    )
    for found, wanted in zip(ours, theirs, strict=True):
        assert (found - wanted).abs().max().item() <= 5e-3 * max(1.0, wanted.abs().max().item())


def test_another_aspect_is_refused(teacher_of) -> None:
    teacher = teacher_of("vitpose-32x2x2-simple", (64, 64))
    with pytest.raises(
        InputError, match=r"vitpose-32x2x2-simple takes 64x64 and the student 48x64"
    ):
        OnlineTeacher(teacher, rtmpose_spec("narrow", (48, 64), "coco17"))


@pytest.mark.parametrize(("name", "channels"), [("rtmpose-t", 384), ("vitpose-32x2x2", 32)])
def test_channels_are_known_without_computing(name, channels) -> None:
    module = new_student(student_variant(name, (64, 64)), 0)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    assert map_channels(module.backbone, (64, 64))[-1] == channels
    assert last_map(module.backbone(torch.rand(1, 3, 64, 64))).shape[1] == channels
    after = new_student(student_variant(name, (64, 64)), 0).state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert backbone_of(nn.Identity()) is None
