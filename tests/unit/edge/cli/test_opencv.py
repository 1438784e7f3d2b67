"""OpenCV as it is installed: two distributions at once, none, and a headless one."""

import cv2
import pytest

from edge.cli import opencv
from edge.cli.health.failed_import import failed_import
from edge.cli.opencv import opencv_problem, require_windows
from runtimes.errors import MissingDependencyError


@pytest.mark.parametrize(
    ("machine", "kept"), [("x86_64", "opencv-python"), ("aarch64", "opencv-python-headless")]
)
def test_two_at_once_are_named_with_the_command(monkeypatch, machine, kept) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    said = opencv_problem(["opencv-python", "opencv-python-headless"])
    assert "overwrite each other" in said
    assert said.endswith(
        f"run: pip uninstall -y opencv-python opencv-python-headless && pip install {kept}"
    )


def test_one_is_fine_and_so_is_one_that_no_distribution_brought(monkeypatch) -> None:
    assert opencv_problem(["opencv-contrib-python"]) == ""
    assert opencv_problem([]) == ""  # cv2 can be imported here
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert "pip install opencv-python" in opencv_problem([])


def test_a_headless_build_opens_no_windows(monkeypatch) -> None:
    monkeypatch.setattr(opencv, "installed_opencv", lambda: ["opencv-python-headless"])
    monkeypatch.setattr(
        cv2, "getBuildInformation", lambda: "\n  GUI:                           NONE\n    VTK: NO\n"
    )
    with pytest.raises(MissingDependencyError, match="pip uninstall -y opencv-python-headless"):
        require_windows()
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "\n  GUI:                  QT5\n")
    require_windows()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ModuleNotFoundError("No module named 'cv2'", name="cv2"), "pip install opencv-python"),
        (
            ImportError("libGL.so.1: cannot open shared object file", path="/site/cv2/cv2.abi3.so"),
            "pip install opencv-python-headless",
        ),
        (
            ImportError("OpenCV loader: missing configuration file: ['config.py']"),
            "pip install opencv-python-headless",
        ),
    ],
)
def test_an_opencv_that_cannot_be_imported_has_a_remedy(error, said) -> None:
    assert said in failed_import(error)
    assert "\n" not in failed_import(error)


def test_other_import_errors_are_none_of_opencvs() -> None:
    assert failed_import(ModuleNotFoundError("No module named 'x'", name="x")) == ""
    assert failed_import(ImportError("libx.so: cannot open", path="/site/x/x.so")) == ""
