"""The training loop: it learns, resumes to the bit, and stops at the first NaN."""

import csv
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from lightning_fabric import Fabric  # noqa: E402
from lightning_fabric.plugins.precision.amp import MixedPrecision  # noqa: E402

from edge.schema import load_schema  # noqa: E402
from quantize.distill.data.augment import WEAK  # noqa: E402
from quantize.distill.data.batches import SourceSlice, epoch_order, pose_batches, split_into_batches  # noqa: E402
from quantize.distill.data.instances import drawn_instances  # noqa: E402
from quantize.distill.data.patch_cache import PatchCache  # noqa: E402
from quantize.distill.data.samples import Sampler  # noqa: E402
from quantize.distill.loop.optimizer import LrSchedule  # noqa: E402
from quantize.distill.loop.run_folder import LOG, STATE, trim_log  # noqa: E402
from quantize.distill.loop.train import TrainSettings, train  # noqa: E402
from quantize.distill.loop.train_state import new_train_state  # noqa: E402
from quantize.distill.losses.terms import WeightedLoss, label_loss  # noqa: E402
from quantize.distill.pose_task import PoseTask  # noqa: E402
from quantize.distill.student import new_student, student_spec, student_variant  # noqa: E402
from runtimes.errors import CheckpointError, TrainingError  # noqa: E402

COCO = load_schema("coco17")
WH = (48, 64)
VARIANT = student_variant("vitpose-48x2x3-simple", WH)
SPEC = student_spec(VARIANT, "tiny")
RATES = LrSchedule(lr=2e-3, warmup_steps=3)


@pytest.fixture(scope="module")
def sampler(tmp_path_factory) -> Sampler:
    people = drawn_instances(tmp_path_factory.mktemp("drawn"), 3, 6, COCO)
    return Sampler(PatchCache(people, SPEC.crop.padding), COCO, SPEC.crop, WH, seed=1)


def batches(sampler: Sampler, first: int = 0, size: int = 4):
    """Batch after batch from the first step on, epoch after epoch."""
    per_epoch = len(
        split_into_batches(epoch_order([SourceSlice(0, len(sampler.patch_cache))], 1, 0), size)
    )
    epoch = first // per_epoch
    skip = first % per_epoch
    while True:
        plan = split_into_batches(
            epoch_order([SourceSlice(0, len(sampler.patch_cache))], 1, epoch), size
        )
        yield from pose_batches(sampler, plan[skip:], epoch, WEAK)
        epoch, skip = epoch + 1, 0


def run(sampler, folder: Path, steps: int, *, resume: bool = False, losses=None, fabric=None):
    folder.mkdir(exist_ok=True)
    state = new_train_state(new_student(VARIANT, 0), RATES)
    if resume:
        state.load(folder / STATE)
    settings = TrainSettings(steps, RATES, save_every=4)
    fabric = fabric or Fabric(accelerator="cpu", devices=1)
    reported = []
    source = batches(sampler, state.done)
    task = PoseTask(SPEC.image, losses or {"truth": WeightedLoss(label_loss(SPEC))})
    train(fabric, state, task, source, settings, folder, reported.append)
    return state, reported


def curve(folder: Path) -> list[str]:
    with (folder / LOG).open() as stream:
        return [row["loss"] for row in csv.DictReader(stream)]


def test_it_learns(sampler, tmp_path) -> None:
    _, reported = run(sampler, tmp_path / "a", 60)
    losses = [step.loss for step in reported]
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:3])
    assert reported[0].lr_factor == pytest.approx(1 / 3)
    assert [step.number for step in reported] == list(range(1, 61))


def test_a_resumed_training_is_the_same_to_the_bit(sampler, tmp_path) -> None:
    """Killed after step 6, whose state is that of step 4: steps 5 and 6 are made again."""
    whole, _ = run(sampler, tmp_path / "whole", 12)
    run_cut(sampler, tmp_path / "cut", 6)
    assert len(curve(tmp_path / "cut")) == 6
    resumed, reported = run(sampler, tmp_path / "cut", 12, resume=True)
    assert reported[0].number == 5
    assert curve(tmp_path / "cut") == curve(tmp_path / "whole")
    for name, value in whole.module.state_dict().items():
        assert torch.equal(value, resumed.module.state_dict()[name])
    for name, value in whole.average.state.items():
        assert torch.equal(value, resumed.average.state[name])


def run_cut(sampler, folder: Path, after: int, fabric: Fabric | None = None) -> None:
    folder.mkdir()
    state = new_train_state(new_student(VARIANT, 0), RATES)

    def stop(step) -> None:
        if step.number == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(
            fabric or Fabric(accelerator="cpu", devices=1),
            state,
            PoseTask(SPEC.image, {"truth": WeightedLoss(label_loss(SPEC))}),
            batches(sampler),
            TrainSettings(12, RATES, save_every=4),
            folder,
            stop,
        )


def test_accumulated_gradients_are_those_of_a_larger_batch(sampler, tmp_path) -> None:
    """Two batches of 4, or one of 8: the same step but for rounding."""
    made = []
    for size, accumulate in ((8, 1), (4, 2)):
        folder = tmp_path / str(size)
        folder.mkdir()
        state = new_train_state(new_student(VARIANT, 0), RATES)
        plan = [list(range(8))] if size == 8 else [[0, 1, 2, 3], [4, 5, 6, 7]]
        source = pose_batches(sampler, plan, 0, WEAK)
        settings = TrainSettings(1, RATES, accumulate=accumulate)
        steps: list = []
        train(
            Fabric(accelerator="cpu", devices=1),
            state,
            PoseTask(SPEC.image, {"truth": WeightedLoss(label_loss(SPEC))}),
            source,
            settings,
            folder,
            steps.append,
        )
        made.append((steps[0].loss, state.module.state_dict()))
    assert made[0][0] == pytest.approx(made[1][0], rel=1e-5)
    for name, value in made[0][1].items():
        np.testing.assert_allclose(value, made[1][1][name], atol=2e-4)


def test_a_nan_loss_ends_it_and_keeps_the_last_state(sampler, tmp_path) -> None:
    calls = []

    def broken(outputs, batch) -> torch.Tensor:
        calls.append(batch.rows)
        return outputs[0].mean() * (float("nan") if len(calls) == 6 else 1.0)

    with pytest.raises(TrainingError, match=r"the broken loss of step 6 is NaN") as raised:
        run(sampler, tmp_path / "a", 12, losses={"broken": WeightedLoss(broken)})
    assert ", ".join(map(str, calls[5])) in str(raised.value)
    state = new_train_state(new_student(VARIANT, 0), RATES)
    state.load(tmp_path / "a" / STATE)
    assert state.done == 4
    assert all(torch.isfinite(value).all() for value in state.module.state_dict().values())


def test_a_state_file_keeps_its_keys(sampler, tmp_path) -> None:
    """Those of the first version, so that its runs are resumed."""
    run(sampler, tmp_path / "a", 4)
    content = torch.load(tmp_path / "a" / STATE, weights_only=True)
    assert set(content) == {"module", "optimiser", "average", "done", "precision"}
    assert set(content["average"]) == {"steps", "state"}
    assert content["average"]["steps"] == content["done"] == 4
    assert content["average"]["state"].keys() == content["module"].keys()


def test_a_damaged_state_is_refused(sampler, tmp_path) -> None:
    run(sampler, tmp_path / "a", 4)
    path = tmp_path / "a" / STATE
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="cannot be resumed from"):
        run(sampler, tmp_path / "a", 8, resume=True)


def test_a_weight_fades_linearly(sampler, tmp_path) -> None:
    """Twice the weight, twice the loss; a part that ends at 0 is at half its start half way."""

    def three(outputs, batch) -> torch.Tensor:
        return outputs[0].mean() * 0 + 3.0

    losses = {"constant": WeightedLoss(three), "fading": WeightedLoss(three, start=2.0, end=0.0)}
    _, reported = run(sampler, tmp_path / "a", 4, losses=losses)
    assert [step.losses["constant"] for step in reported] == pytest.approx([3.0] * 4)
    assert [step.losses["fading"] for step in reported] == pytest.approx([6.0, 4.5, 3.0, 1.5])
    assert reported[1].loss == pytest.approx(7.5)


def half_fabric() -> Fabric:
    """float16 with scaled gradients, on the CPU: the scale doubles every third step."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=3)
    return Fabric(accelerator="cpu", plugins=MixedPrecision("16-mixed", "cpu", scaler))


def brain_fabric() -> Fabric:
    return Fabric(accelerator="cpu", plugins=MixedPrecision("bf16-mixed", "cpu"))


@pytest.mark.parametrize("fabric_of", [half_fabric, brain_fabric])
def test_narrow_precision_resumes_to_the_bit(sampler, tmp_path, fabric_of) -> None:
    whole, _ = run(sampler, tmp_path / "whole", 12, fabric=fabric_of())
    folder = tmp_path / "cut"
    run_cut(sampler, folder, 6, fabric_of())
    resumed, reported = run(sampler, folder, 12, resume=True, fabric=fabric_of())
    assert reported[0].number == 5
    assert resumed.precision == whole.precision
    assert curve(folder) == curve(tmp_path / "whole")
    for name, value in whole.average.state.items():
        assert torch.equal(value, resumed.average.state[name])


def test_the_scale_of_gradients_is_kept(sampler, tmp_path) -> None:
    """Twice doubled after 8 steps, and two steps on the way to the third."""
    state, _ = run(sampler, tmp_path / "a", 8, fabric=half_fabric())
    assert (state.precision["scale"], state.precision["_growth_tracker"]) == (2.0**12, 2)
    again = new_train_state(new_student(VARIANT, 0), RATES)
    again.load(tmp_path / "a" / STATE)
    assert again.precision == state.precision


def test_a_nan_gradient_ends_it(sampler, tmp_path) -> None:
    """The root of 0 is 0, and its slope is none: weights would be lost though the loss is a number."""

    def steep(outputs, batch) -> torch.Tensor:
        return (outputs[0].mean() * 0).sqrt()

    with pytest.raises(TrainingError, match="the gradient of step 1 is NaN"):
        run(sampler, tmp_path / "a", 4, losses={"steep": WeightedLoss(steep)})


def test_out_of_memory_ends_it(sampler, tmp_path) -> None:
    def greedy(outputs, batch) -> torch.Tensor:
        return outputs[0].mean() + torch.empty(1 << 50).sum()

    with pytest.raises(TrainingError, match="halve --batch and double --accumulate"):
        run(sampler, tmp_path / "a", 4, losses={"greedy": WeightedLoss(greedy)})


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system that has room for one state, and not for two."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a file system")
    yield place
    subprocess.run(["umount", place], check=True)  # noqa: S607


def test_a_full_disk_ends_it_and_keeps_the_state(sampler, small_disk) -> None:
    with pytest.raises(TrainingError, match="the disk is full") as raised:
        run(sampler, small_disk, 8)
    assert str(small_disk) in str(raised.value)
    _assert_state_of_step_4(small_disk)


def test_a_refused_write_ends_it_and_keeps_the_state(sampler, tmp_path) -> None:
    run(sampler, tmp_path, 4)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(TrainingError, match=r"cannot be written .*File too large"):
            run(sampler, tmp_path, 8, resume=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    _assert_state_of_step_4(tmp_path)


def _assert_state_of_step_4(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {STATE, LOG}
    state = new_train_state(new_student(VARIANT, 0), RATES)
    state.load(folder / STATE)
    assert state.done == 4


@pytest.mark.parametrize("cut", [1, 12, 40])
def test_a_line_that_was_cut_short_is_dropped(tmp_path, cut) -> None:
    """However much of it was written; the lines before it stay."""
    head, lines = "step,loss,rate\r\n", [f"{step},0.123456789,0.5\r\n" for step in range(1, 4)]
    text = "".join([head, *lines])
    (tmp_path / LOG).write_bytes(text[:-cut].encode())
    trim_log(tmp_path / LOG, 3)
    whole = (len(text) - cut - len(head)) // len(lines[0])
    assert (tmp_path / LOG).read_bytes().decode() == "".join([head, *lines[:whole]])


def test_a_validation_follows_a_save_and_may_stop_it(sampler, tmp_path) -> None:
    """Every third step, but for the last; the state on disk is then that of the step."""
    found = []

    def validate() -> bool:
        saved = torch.load(tmp_path / STATE, weights_only=True)["done"]
        found.append(saved)
        return saved < 9

    state = new_train_state(new_student(VARIANT, 0), RATES)
    task = PoseTask(SPEC.image, {"truth": WeightedLoss(label_loss(SPEC))})
    settings = TrainSettings(12, RATES, save_every=100, validate_every=3)
    fabric = Fabric(accelerator="cpu", devices=1)
    train(fabric, state, task, batches(sampler), settings, tmp_path, [].append, validate)
    assert found == [3, 6, 9]
    assert state.done == 9


def test_what_the_network_draws_is_drawn_again(sampler, tmp_path) -> None:
    """Random numbers of a step follow from the step: the same in a resumed run, others in the next step."""

    def noisy(outputs, batch) -> torch.Tensor:
        return outputs[0].mean() * 0 + torch.rand(())

    def drawn(folder: Path, *, resume: bool = False) -> list[float]:
        _, reported = run(sampler, folder, 8, losses={"noisy": WeightedLoss(noisy)}, resume=resume)
        return [step.loss for step in reported]

    first = drawn(tmp_path / "a")
    torch.rand(3)
    (tmp_path / "b").mkdir()
    run(sampler, tmp_path / "b", 4, losses={"noisy": WeightedLoss(noisy)})
    assert drawn(tmp_path / "b", resume=True) == first[4:]
    assert len(set(first)) == 8
