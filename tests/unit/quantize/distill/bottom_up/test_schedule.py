"""Bottom-up training: batches follow from seed and step, a run is resumed to the bit; names and defaults."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from lightning_fabric import Fabric  # noqa: E402

from edge.evaluation.dataset import load_dataset  # noqa: E402
from edge.schema import load_schema  # noqa: E402
from edge.synth import write_dataset  # noqa: E402
from quantize.distill.bottom_up.config import BottomUpConfig, is_bottom_up  # noqa: E402
from quantize.distill.bottom_up.data import PeopleSet, people_set  # noqa: E402
from quantize.distill.bottom_up.network import bottom_up_variant, new_bottom_up  # noqa: E402
from quantize.distill.bottom_up.runner import bottom_up_schedule, with_defaults  # noqa: E402
from quantize.distill.bottom_up.schedule import BottomUpSchedule  # noqa: E402
from quantize.distill.bottom_up.task import BottomUpTask  # noqa: E402
from quantize.distill.bottom_up.validation import validate_bottom_up  # noqa: E402
from quantize.distill.loop.optimizer import LrSchedule, average_of  # noqa: E402
from quantize.distill.loop.run_folder import LOG, STATE  # noqa: E402
from quantize.distill.loop.train import TrainSettings, train  # noqa: E402
from quantize.distill.loop.train_state import TrainState, new_train_state  # noqa: E402
from quantize.distill.student import student_spec, student_variant  # noqa: E402
from runtimes.errors import InputError  # noqa: E402

NAME = "cspnext-64x1x1x1x1-fpn-ae"
VARIANT = bottom_up_variant(NAME, (96, 64))
SPEC = student_spec(VARIANT, NAME)
RATES = LrSchedule(lr=2e-3, warmup_steps=3)
FABRIC = Fabric(accelerator="cpu", devices=1)
COCO = load_schema("coco17")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return load_dataset(write_dataset(tmp_path_factory.mktemp("drawn") / "d", 61, 8, (160, 120)))


@pytest.fixture(scope="module")
def people(dataset) -> PeopleSet:
    return people_set([(dataset, 1.0)], COCO)


@pytest.fixture(scope="module")
def short(people) -> BottomUpSchedule:
    config = BottomUpConfig(student=NAME, batch=2, steps=4)
    return bottom_up_schedule(config, VARIANT, people)


def run(schedule: BottomUpSchedule, folder: Path, *, resume: bool = False, after: int = 0):
    folder.mkdir(exist_ok=True)
    module, _ = new_bottom_up(VARIANT, schedule.seed)
    state: TrainState = new_train_state(module, RATES, average_of(module, schedule.steps, 0.05))
    if resume:
        state.load(folder / STATE)
    reported = []

    def on_step(step) -> None:
        reported.append(step)
        if step.number == after:
            raise KeyboardInterrupt

    settings = TrainSettings(schedule.steps, RATES, save_every=2)
    batches = schedule.batches(state.done, FABRIC, workers=1)
    train(FABRIC, state, BottomUpTask(SPEC.image), batches, settings, folder, on_step)
    return state, reported


def curve(folder: Path) -> list[tuple[str, ...]]:
    with (folder / LOG).open() as stream:
        rows = csv.DictReader(stream)
        return [
            tuple(row[name] for name in ("step", "loss", "heatmap", "pull", "push")) for row in rows
        ]


def test_a_resumed_training_is_the_same_to_the_bit(short, tmp_path) -> None:
    """Killed after step 3, whose state is that of step 2: step 3 is made again."""
    whole, reported = run(short, tmp_path / "whole")
    assert len(reported) == 4
    assert all(np.isfinite(step.loss) for step in reported)
    with pytest.raises(KeyboardInterrupt):
        run(short, tmp_path / "cut", after=3)
    resumed, rest = run(short, tmp_path / "cut", resume=True)
    assert [step.number for step in rest] == [3, 4]
    assert curve(tmp_path / "cut") == curve(tmp_path / "whole")
    for name, value in whole.average.state.items():
        assert torch.equal(value, resumed.average.state[name])


def test_batches_begin_at_any_step_and_show_every_picture_once(short) -> None:
    short = replace(short, steps=10)
    whole = list(short.batches(0, FABRIC, workers=1))
    for epoch in (whole[:4], whole[4:8]):
        assert sorted(row for batch in epoch for row in batch.rows) == list(range(8))
    late = next(short.batches(8, FABRIC, workers=2))
    assert torch.equal(late.images, whole[8].images)
    assert torch.equal(late.heatmaps, whole[8].heatmaps)
    assert all(
        torch.equal(a.bins, b.bins) and torch.equal(a.seen, b.seen)
        for a, b in zip(late.places, whole[8].places, strict=True)
    )


def test_the_last_steps_see_pictures_nearly_as_at_inference(short) -> None:
    short = replace(short, steps=10)
    scales = [short.phase_at(step).augmentation.scale for step in range(10)]
    assert scales == [(0.75, 1.5)] * 8 + [(0.9, 1.15)] * 2


def test_a_fresh_model_finds_nobody(dataset) -> None:
    network, taken = new_bottom_up(VARIANT, 0)
    assert taken is None
    metrics = validate_bottom_up(network, SPEC, dataset)
    assert (metrics.ap, metrics.ar) == (0, 0)
    assert metrics.to_dict()["images"] == 8


def test_names_of_bottom_up_models() -> None:
    assert bottom_up_variant("vitpose-32x2x2-stride8-ae").input_wh == (512, 512)
    assert is_bottom_up("vitpose-32x2x2-stride8-ae")
    assert not is_bottom_up("cspnext-t-fpn")
    assert VARIANT.size == "64x1x1x1x1-fpn-ae"
    for name in ("cspnext-t-fpn", "vitpose-32x2x2-ae-integral"):
        with pytest.raises(InputError, match="is no bottom-up model; give cspnext-t-fpn-ae"):
            bottom_up_variant(name, (96, 64))
    with pytest.raises(InputError, match=r"leave -ae out, or train it without a teacher"):
        student_variant(NAME)


def test_defaults_are_the_familys() -> None:
    tiny = with_defaults(
        BottomUpConfig(student="cspnext-t-fpn-ae"), bottom_up_variant("cspnext-t-fpn-ae")
    )
    assert (tiny.lr, tiny.weight_decay, tiny.ema) == (1e-3, 0.0, 0.0)
    big = BottomUpConfig(student="vitpose-b-ae", batch=64, weight_decay=0.3, ema=0.2)
    filled = with_defaults(big, bottom_up_variant("vitpose-b-ae"))
    assert (filled.lr, filled.weight_decay, filled.ema) == (1e-3, 0.3, 0.2)  # the ViTPose limit
    medium = BottomUpConfig(student="cspnext-m-ae", batch=32, accumulate=2)
    assert with_defaults(medium, bottom_up_variant("cspnext-m-ae")).lr == 2e-3
