"""The detector learns, goes on exactly where it stopped, and stops at the first number that is none."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from edge.catalog.specs import rtmdet_spec  # noqa: E402
from edge.evaluation.average_precision import evaluate_boxes  # noqa: E402
from edge.evaluation.coco import load_dataset  # noqa: E402
from edge.evaluation.predict import predict  # noqa: E402
from edge.model import Model  # noqa: E402
from export.registry import Variant  # noqa: E402
from export.torch_session import TorchSession  # noqa: E402
from quantize.distill.data.augment import AT_REST  # noqa: E402
from quantize.distill.detector.data import draw_pictures, gallery_of  # noqa: E402
from quantize.distill.detector.train import (  # noqa: E402
    LAST,
    Phase,
    Settings,
    averaged,
    batch_at,
    batches,
    new_learner,
    phase_at,
    train,
)
from quantize.distill.optimizer import Rates  # noqa: E402
from quantize.distill.train import LOG, STATE  # noqa: E402
from runtimes.errors import TrainingError  # noqa: E402

VARIANT = Variant("rtmdet", "nano", (320, 320), classes=("person",))
SPEC = rtmdet_spec("tiny", (128, 128), ("person",))
RATES = Rates(lr=2e-3, warmup_steps=3)
SHORT = Settings(
    6, RATES, batch=2, phases=(Phase(0.5, (64, 96), LAST), Phase(1.0, (96,), LAST)), save_every=2
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    return load_dataset(draw_pictures(folder, 5, 8, lambda *_: None))


def run(dataset, folder: Path, settings: Settings, *, resume: bool = False, after: int = 0):
    folder.mkdir(exist_ok=True)
    learner = new_learner(VARIANT, settings)
    if resume:
        learner.load(folder / STATE)
    heard = []

    def hear(step) -> None:
        heard.append(step)
        if step.number == after:
            raise KeyboardInterrupt

    source = batches(gallery_of(dataset), settings, learner.done)
    train(learner, source, SPEC.image, settings, folder, hear)
    return learner, heard


def curve(folder: Path) -> list[tuple[str, str]]:
    with (folder / LOG).open() as stream:
        return [(row["step"], row["loss"]) for row in csv.DictReader(stream)]


@pytest.mark.slow
def test_it_finds_the_people_it_has_seen(dataset, tmp_path) -> None:
    """Eight pictures, again and again: everybody in them is found, with boxes that fit."""
    settings = Settings(150, RATES, batch=8, phases=(Phase(1.0, (128,), AT_REST),))
    learner, heard = run(dataset, tmp_path / "a", settings)
    assert heard[-1].giou < heard[0].giou / 5
    model = Model(SPEC, TorchSession(averaged(learner, VARIANT), SPEC))
    summary = evaluate_boxes(dataset.truth, predict(model, dataset))
    assert summary.AP50 > 0.9


def test_a_resumed_training_is_the_same_to_the_bit(dataset, tmp_path) -> None:
    """Killed after step 3, whose state is that of step 2: step 3 is made again."""
    whole, _ = run(dataset, tmp_path / "whole", SHORT)
    with pytest.raises(KeyboardInterrupt):
        run(dataset, tmp_path / "cut", SHORT, after=3)
    resumed, heard = run(dataset, tmp_path / "cut", SHORT, resume=True)
    assert [step.number for step in heard] == [3, 4, 5, 6]
    assert curve(tmp_path / "cut") == curve(tmp_path / "whole")
    for name, value in whole.module.state_dict().items():
        assert torch.equal(value, resumed.module.state_dict()[name])
    for name, value in whole.average.state.items():
        assert torch.equal(value, resumed.average.state[name])


def test_a_loss_that_is_no_number_ends_it_and_keeps_the_last_state(dataset, tmp_path) -> None:
    """Weights that left the numbers, here put out by hand before step 4."""
    learner = new_learner(VARIANT, SHORT)

    def hear(step) -> None:
        if step.number == 3:
            torch.nn.init.constant_(learner.module.bbox_head.rtm_cls[0].bias, float("nan"))

    source = batches(gallery_of(dataset), SHORT)
    with pytest.raises(TrainingError, match="the loss of step 4 is no number") as raised:
        train(learner, source, SPEC.image, SHORT, tmp_path, hear)
    assert "the last good state is kept" in str(raised.value)
    fresh = new_learner(VARIANT, SHORT)
    fresh.load(tmp_path / STATE)
    assert fresh.done == 2


def test_phases_follow_each_other(dataset) -> None:
    assert [phase_at(step, SHORT).sides for step in range(6)] == [(64, 96)] * 3 + [(96,)] * 3
    sides = [batch_at(gallery_of(dataset), SHORT, step).images.shape[1:3] for step in range(6)]
    assert all(height == width for height, width in sides)
    assert {height for height, _ in sides[3:]} == {96}


def test_an_epoch_shows_every_picture_once(dataset) -> None:
    settings = replace(SHORT, steps=8)
    rows = [batch_at(gallery_of(dataset), settings, step).rows for step in range(8)]
    for epoch in (rows[:4], rows[4:]):
        assert sorted(row for batch in epoch for row in batch) == list(range(8))
    assert rows[:4] != rows[4:]


def test_batches_begin_where_they_are_told(dataset) -> None:
    gallery = gallery_of(dataset)
    late = next(batches(gallery, SHORT, first=4))
    assert torch.equal(late.images, batch_at(gallery, SHORT, 4).images)


def test_a_fresh_detector_finds_nobody_and_follows_from_the_seed(dataset) -> None:
    first, same = new_learner(VARIANT, SHORT), new_learner(VARIANT, SHORT)
    other = new_learner(VARIANT, replace(SHORT, seed=1))
    key = "backbone.stem.0.conv.weight"
    assert torch.equal(first.module.state_dict()[key], same.module.state_dict()[key])
    assert not torch.equal(first.module.state_dict()[key], other.module.state_dict()[key])
    image = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, 64, 64)))
    scores = [level.sigmoid() for level in first.module(image.float())[:3]]
    assert max(level.max().item() for level in scores) < 0.05
