"""Training curves as a picture: it is drawn, and its points are means of neighbouring steps."""

import cv2
import pytest

pytest.importorskip("matplotlib")

from quantize.distill.loop.plots import _smoothed, plot_curves, read_log


def test_a_log_becomes_columns(tmp_path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("step,ap,pck\n1,,0.5\n2,0.25,0.75\n")
    assert read_log(path) == {"step": [1, 2], "ap": [0.25], "pck": [0.5, 0.75]}


def test_points_are_means_and_none_is_made_up() -> None:
    steps, means = _smoothed(list(range(1, 121)), [float(n) for n in range(1, 121)])
    assert steps == list(range(3, 121, 3))
    assert means == [step - 1.0 for step in steps]
    assert _smoothed([1, 2], [5.0, 7.0]) == ([1, 2], [5.0, 7.0])


def test_a_picture_is_drawn(tmp_path) -> None:
    log = {"step": [1.0, 2.0], "loss": [2.0, 1.0], "truth": [2.0, 1.0], "rate": [1.0, 1.0]}
    plot_curves(log, {"step": [2.0], "ap": [], "pck": [0.5]}, "a", tmp_path / "a.png")
    assert cv2.imread(str(tmp_path / "a.png")).std() > 10
