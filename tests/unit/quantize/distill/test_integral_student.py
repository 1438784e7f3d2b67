"""An integral regression student from its first step to an artifact: trained, written, read and exported."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from lightning_fabric import Fabric  # noqa: E402

from edge.codecs import decode  # noqa: E402
from edge.parity.verify import run_batches  # noqa: E402
from edge.schema import load_schema  # noqa: E402
from export import Target, export_model, load_checkpoint  # noqa: E402
from export.inputs import GateInputs  # noqa: E402
from export.student_file import Card, write_student  # noqa: E402
from quantize.distill.data.augment import NO_AUGMENTATION  # noqa: E402
from quantize.distill.data.batches import Batch, collate  # noqa: E402
from quantize.distill.data.instances import drawn_instances  # noqa: E402
from quantize.distill.data.patch_cache import PatchCache  # noqa: E402
from quantize.distill.data.samples import Sampler  # noqa: E402
from quantize.distill.loop.optimizer import LrSchedule  # noqa: E402
from quantize.distill.loop.train import TrainSettings, train  # noqa: E402
from quantize.distill.loop.train_state import new_train_state  # noqa: E402
from quantize.distill.losses.terms import WeightedLoss, label_loss  # noqa: E402
from quantize.distill.pose_task import PoseTask  # noqa: E402
from quantize.distill.student import new_student, student_spec, student_variant  # noqa: E402
from runtimes.artifact import Artifact  # noqa: E402
from runtimes.codec_spec import IntegralCodec  # noqa: E402
from runtimes.registry import installed_engine, open_session  # noqa: E402

COCO = load_schema("coco17")
VARIANT = student_variant("vitpose-48x2x3-simple-integral", (48, 64))
SPEC = student_spec(VARIANT, "means")
RATES = LrSchedule(lr=2e-3, warmup_steps=10)
STEPS = 150


@pytest.fixture(scope="module")
def crops(tmp_path_factory) -> Batch:
    people = drawn_instances(tmp_path_factory.mktemp("drawn"), 3, 4, COCO)
    sampler = Sampler(PatchCache(people, SPEC.crop.padding), COCO, SPEC.crop, SPEC.image.wh)
    return collate([sampler.sample(row, 0, NO_AUGMENTATION) for row in range(4)])


@pytest.fixture(scope="module")
def learnt(crops, tmp_path_factory):
    """A student that has seen four crops until it knows them, and what each step cost."""
    state = new_train_state(new_student(VARIANT, 0), RATES)
    reported: list = []
    train(
        Fabric(accelerator="cpu", devices=1),
        state,
        PoseTask(SPEC.image, {"truth": WeightedLoss(label_loss(SPEC))}),
        [crops] * STEPS,
        TrainSettings(STEPS, RATES, save_every=STEPS),
        tmp_path_factory.mktemp("run"),
        reported.append,
    )
    return state.module.eval(), [step.loss for step in reported]


def test_it_learns(learnt) -> None:
    _, losses = learnt
    assert np.mean(losses[-5:]) < 0.5 * losses[0]


def test_it_is_written_read_and_exported(learnt, crops, tmp_path: Path) -> None:
    """The card says how its maps are read; ONNX Runtime's keypoints are those of PyTorch."""
    module, _ = learnt
    card = Card(
        model="means",
        family=VARIANT.family,
        size=VARIANT.size,
        input_wh=VARIANT.input_wh,
        schema=VARIANT.schema,
        codec=VARIANT.codec,
    )
    write_student(tmp_path / "student.safetensors", module, card)
    loaded = load_checkpoint(tmp_path / "student.safetensors")
    assert loaded.variant == VARIANT
    assert loaded.spec == SPEC
    for name, value in module.state_dict().items():
        assert torch.equal(loaded.module.state_dict()[name], value)
    if installed_engine("onnxruntime") is None:
        pytest.skip("onnxruntime is not installed")
    images = crops.images.numpy()
    inputs = GateInputs(images, "drawn people")
    targets = [Target("onnxruntime", "fp32")]
    (made,) = export_model(loaded, targets, tmp_path / "out", inputs=inputs)
    assert all(parity.passed for parity in made.parity), made.parity
    artifact = Artifact.open(made.path)
    assert artifact.manifest.codec == IntegralCodec(norm="sigmoid", shift_flip=True)
    session = open_session(artifact)
    people = decode(run_batches(session, "image", images), artifact.manifest)
    session.close()
    found = np.concatenate([each.xy for each in people])
    labelled = crops.weights.numpy() > 0
    away = np.linalg.norm(found - crops.xy.numpy(), axis=2)[labelled]
    assert np.median(away) < 8  # two bins: what it learnt is what is decoded
