"""TensorBoard events: written where the package is installed, refused in one line where it is not."""

import sys

import pytest

pytest.importorskip("torch")

from quantize.distill.loop.tensorboard import Events, open_events
from runtimes.errors import MissingDependencyError


def test_without_the_package_it_says_what_to_install(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingDependencyError, match=r"edgepose\[train\]"):
        open_events(tmp_path, 0)


def test_values_are_written_by_group_and_step(tmp_path) -> None:
    """Events after the resumed step are superseded; an undefined metric is left out."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for done, losses in ((0, (4.0, 3.0, 2.0)), (1, (3.5,))):
        events = open_events(tmp_path, done)
        for step, loss in enumerate(losses, done + 1):
            events.add("loss", {"total": loss, "none": None}, step)
        events.close()
    found = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert found.Tags()["scalars"] == ["loss/total"]
    assert [(each.step, each.value) for each in found.Scalars("loss/total")] == [(1, 4.0), (2, 3.5)]


def test_without_a_writer_nothing_is_written(tmp_path) -> None:
    Events().add("loss", {"total": 1.0}, 1)
    Events().close()
    assert not list(tmp_path.iterdir())
