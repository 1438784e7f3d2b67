"""Detector training: batches follow from seed and step, and a run is resumed to the bit and stopped by NaN."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from lightning_fabric import Fabric  # noqa: E402

from edge.catalog.specs import rtmdet_spec  # noqa: E402
from edge.evaluation.average_precision import evaluate_boxes  # noqa: E402
from edge.evaluation.dataset import load_dataset  # noqa: E402
from edge.evaluation.predict import predict  # noqa: E402
from edge.model import Model  # noqa: E402
from export.torch_session import TorchSession  # noqa: E402
from quantize.distill.data.augment import NO_AUGMENTATION  # noqa: E402
from quantize.distill.data.picture_schedule import Phase  # noqa: E402
from quantize.distill.detector.data import DetectionSet, detection_set  # noqa: E402
from quantize.distill.detector.network import (  # noqa: E402
    detector_variant,
    new_detector,
)
from quantize.distill.detector.scenes import draw_pictures  # noqa: E402
from quantize.distill.detector.schedule import (  # noqa: E402
    LATE,
    DetectorSchedule,
    default_phases,
)
from quantize.distill.detector.task import DetectorTask  # noqa: E402
from quantize.distill.loop.optimizer import LrSchedule, average_of  # noqa: E402
from quantize.distill.loop.run_folder import LOG, STATE  # noqa: E402
from quantize.distill.loop.train import TrainSettings, train  # noqa: E402
from quantize.distill.loop.train_state import TrainState, new_train_state  # noqa: E402
from runtimes.errors import CheckpointError, InputError, TrainingError  # noqa: E402

VARIANT = detector_variant("rtmdet-nano")
SPEC = rtmdet_spec("tiny", (128, 128), ("person",))
RATES = LrSchedule(lr=2e-3, warmup_steps=3)
PHASES = (Phase(0.5, ((64, 64), (96, 96)), LATE), Phase(1.0, ((96, 96),), LATE))
FABRIC = Fabric(accelerator="cpu", devices=1)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    return load_dataset(draw_pictures(folder, 5, 8, lambda *_: None))


@pytest.fixture(scope="module")
def images(dataset) -> DetectionSet:
    return detection_set([(dataset, 1.0)])


@pytest.fixture(scope="module")
def short(images) -> DetectorSchedule:
    return DetectorSchedule(images, PHASES, batch=2, accumulate=1, steps=6, seed=0)


def new_state(schedule: DetectorSchedule) -> TrainState:
    module = new_detector(VARIANT, schedule.seed)
    return new_train_state(module, RATES, average_of(module, schedule.steps, 0.05))


def run(schedule: DetectorSchedule, folder: Path, *, resume: bool = False, after: int = 0):
    folder.mkdir(exist_ok=True)
    state = new_state(schedule)
    if resume:
        state.load(folder / STATE)
    reported = []

    def on_step(step) -> None:
        reported.append(step)
        if step.number == after:
            raise KeyboardInterrupt

    settings = TrainSettings(schedule.steps, RATES, clip_norm=10.0, save_every=2)
    batches = schedule.batches(state.done, FABRIC, workers=1)
    train(FABRIC, state, DetectorTask(SPEC.image, FABRIC), batches, settings, folder, on_step)
    return state, reported


def curve(folder: Path) -> list[tuple[str, str]]:
    with (folder / LOG).open() as stream:
        return [(row["step"], row["loss"]) for row in csv.DictReader(stream)]


def batch_at(schedule: DetectorSchedule, step: int):
    return next(schedule.batches(step, FABRIC, workers=1))


@pytest.mark.slow
def test_it_finds_the_people_it_was_trained_on(dataset, images, tmp_path) -> None:
    """Eight pictures, again and again: every person in them is found, with boxes that fit."""
    phases = (Phase(1.0, ((128, 128),), NO_AUGMENTATION),)
    schedule = DetectorSchedule(images, phases, batch=8, accumulate=1, steps=150, seed=0)
    state, reported = run(schedule, tmp_path / "a")
    assert reported[-1].losses["giou"] < reported[0].losses["giou"] / 5
    network = new_detector(VARIANT, 0)
    network.load_state_dict(state.average.state)
    model = Model(SPEC, TorchSession(network, SPEC))
    summary = evaluate_boxes(dataset.truth, predict(model, dataset))
    # 30 of 33 people are found so early: one more or less is .03, and which depends on the CPU's rounding.
    assert summary.AP50 > 0.8


@pytest.mark.slow
def test_a_resumed_training_is_the_same_to_the_bit(short, tmp_path) -> None:
    """Killed after step 3, whose state is that of step 2: step 3 is made again."""
    whole, _ = run(short, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(short, tmp_path / "cut", after=3)
    resumed, reported = run(short, tmp_path / "cut", resume=True)
    assert [step.number for step in reported] == [3, 4, 5, 6]
    assert curve(tmp_path / "cut") == curve(tmp_path / "whole")
    for name, value in whole.module.state_dict().items():
        assert torch.equal(value, resumed.module.state_dict()[name])
    for name, value in whole.average.state.items():
        assert torch.equal(value, resumed.average.state[name])


def test_a_nan_loss_ends_it_and_keeps_the_last_state(short, tmp_path) -> None:
    """Weights that left the numbers, here put out by hand before step 4."""
    state = new_state(short)

    def on_step(step) -> None:
        if step.number == 3:
            torch.nn.init.constant_(state.module.bbox_head.rtm_cls[0].bias, float("nan"))

    settings = TrainSettings(6, RATES, save_every=2)
    batches = short.batches(0, FABRIC, workers=1)
    task = DetectorTask(SPEC.image, FABRIC)
    with pytest.raises(TrainingError, match="the quality loss of step 4 is NaN") as raised:
        train(FABRIC, state, task, batches, settings, tmp_path, on_step)
    assert "the last good state is kept" in str(raised.value)
    fresh = new_state(short)
    fresh.load(tmp_path / STATE)
    assert fresh.done == 2


def test_phases_follow_each_other(short) -> None:
    sizes = [short.phase_at(step).sizes for step in range(6)]
    assert sizes == [((64, 64), (96, 96))] * 3 + [((96, 96),)] * 3
    sides = [batch_at(short, step).images.shape[1:3] for step in range(6)]
    assert all(height == width for height, width in sides)
    assert {height for height, _ in sides[3:]} == {96}


def test_the_shipped_detectors_phases() -> None:
    """192 and 224 for 77 % of the steps, then 320; other inputs in proportion, in multiples of 32."""
    early, late = default_phases((320, 320))
    assert (early.until, early.sizes) == (0.77, ((192, 192), (224, 224)))
    assert (late.until, late.sizes) == (1.0, ((320, 320),))
    assert default_phases((640, 384))[0].sizes == ((384, 224), (448, 256))
    assert default_phases((32, 32))[0].sizes == ((32, 32), (32, 32))


def test_an_epoch_shows_every_picture_once(short) -> None:
    schedule = replace(short, steps=8)
    rows = [batch_at(schedule, step).rows for step in range(8)]
    for epoch in (rows[:4], rows[4:]):
        assert sorted(row for batch in epoch for row in batch) == list(range(8))
    assert rows[:4] != rows[4:]


def test_batches_begin_at_any_step(short) -> None:
    late = next(short.batches(4, FABRIC, workers=2))
    whole = list(short.batches(0, FABRIC, workers=1))
    assert torch.equal(late.images, whole[4].images)
    assert all(a.equal(b) for a, b in zip(late.boxes, whole[4].boxes, strict=True))


def test_a_step_has_the_same_samples_in_smaller_batches(short) -> None:
    """Half the batch, twice accumulated: what helps where memory runs out changes no picture."""
    whole = batch_at(replace(short, batch=4), 1)
    halves = list(replace(short, accumulate=2).batches(1, FABRIC, workers=1))[:2]
    assert torch.equal(torch.cat([half.images for half in halves]), whole.images)
    assert halves[0].rows + halves[1].rows == whole.rows


def test_a_fresh_detector_finds_nobody_and_follows_from_the_seed() -> None:
    first, same, other = (new_detector(VARIANT, seed) for seed in (0, 0, 1))
    key = "backbone.stem.0.conv.weight"
    assert torch.equal(first.state_dict()[key], same.state_dict()[key])
    assert not torch.equal(first.state_dict()[key], other.state_dict()[key])
    image = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, 64, 64)))
    scores = [level.sigmoid() for level in first(image.float())[:3]]
    assert max(level.max().item() for level in scores) < 0.05


def test_names_of_detectors() -> None:
    assert detector_variant("rtmdet-tiny", (416, 256)).input_wh == (416, 256)
    assert VARIANT.classes == ("person",)
    with pytest.raises(InputError, match=r"'rtmdet-huge' is no detector .*known: rtmdet-nano"):
        detector_variant("rtmdet-huge")
    with pytest.raises(CheckpointError, match="multiples of 32"):
        detector_variant("rtmdet-nano", (100, 100))
