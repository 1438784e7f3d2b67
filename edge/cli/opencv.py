"""The installed OpenCV: which distributions it comes from, and whether it can open windows."""

import importlib.metadata
import importlib.util
import platform
import re
from collections.abc import Iterable

from runtimes.errors import MissingDependencyError
from runtimes.install.import_errors import known_cause

# They all write the package cv2: two at once overwrite each other's files. pyproject.toml chooses in the same way.
DISTRIBUTIONS = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
NO_WINDOWS = re.compile(r"^\s*GUI:\s+NONE\s*$", re.MULTILINE)


def installed_opencv() -> list[str]:
    """Return the installed distributions of OpenCV; imports nothing."""
    names = {found.metadata["Name"].lower() for found in importlib.metadata.distributions()}
    return [name for name in DISTRIBUTIONS if name in names]


def usual_opencv() -> str:
    """Return the distribution that edgepose depends on here."""
    return "opencv-python-headless" if platform.machine() == "aarch64" else "opencv-python"


def opencv_problem(installed: Iterable[str]) -> str:
    """Return what is wrong with the installed distributions and the command that mends it; "" where nothing is.

    A cv2 that no distribution brought (apt's python3-opencv) is taken as it is.
    """
    names = list(installed)
    if len(names) > 1:
        kept = usual_opencv() if usual_opencv() in names else names[0]
        return (
            f"{' and '.join(names)} are both installed and overwrite each other's files; "
            f"run: pip uninstall -y {' '.join(names)} && pip install {kept}"
        )
    if not names and importlib.util.find_spec("cv2") is None:
        return not_installed()
    return ""


def not_installed() -> str:
    """Return that there is no OpenCV, and the command that installs it."""
    return f"OpenCV is not installed; run: pip install {usual_opencv()}"


def broken_opencv(reason: str, printed: str = "") -> str:
    """Return why an installed OpenCV cannot be imported, and what mends it.

    reason: the exception's message; printed: what was printed before it.
    """
    text = " ".join(reason.split())
    installed = installed_opencv() or [usual_opencv()]
    cause = known_cause(installed[0], text) or known_cause(installed[0], printed)
    headless = (
        f"run: pip uninstall -y {' '.join(installed)} && "
        "pip install opencv-python-headless, which needs no system libraries"
    )
    return f"{cause}; or {headless}" if cause else f"{text}; {headless}"


def require_windows() -> None:
    """Raise MissingDependencyError where this build of OpenCV opens no windows."""
    import cv2

    if NO_WINDOWS.search(cv2.getBuildInformation()):
        installed = installed_opencv()
        remove = f"pip uninstall -y {' '.join(installed)} && " if installed else ""
        raise MissingDependencyError(
            "opencv-python",
            "",
            f"this build of OpenCV is headless: for --show run: {remove}pip install opencv-python; "
            "or leave --show out and use --out FILE.mp4",
        )
