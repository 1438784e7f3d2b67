"""Errors of all layers, one tree. Messages say what to do; each class has the exit code of the command line.

    EdgeposeError                                    exit
    ├── InputError (ValueError)                       2   wrong use, or an input that cannot be used
    │   ├── ArtifactError                             2   artifact.json, sizes, hashes, versions
    │   ├── CheckpointError                           2   unreadable, foreign or unknown weights
    │   ├── DownloadError (OSError)                   2   a download that failed, or is not what was published
    │   ├── OutputError (OSError)                     2   a result that cannot be written, as on a full disk
    │   ├── SourceError (OSError)                     2   an image, video or camera that gives no frame
    │   └── TargetExistsError (FileExistsError)       2   would overwrite without --force
    ├── ConversionError (RuntimeError)                2   a converter failed on the model
    ├── EngineError (RuntimeError)                    2   an engine refused or failed on an artifact
    │   └── DeviceLostError                           2   a board that disappeared while it was used
    ├── TrainingError (RuntimeError)                  2   training stopped; its last good state is kept
    ├── GateError                                     3   converted, but drifted from its reference
    ├── MissingDependencyError (ImportError)          4   a package is not installed
    └── MissingFilesError (FileNotFoundError)         4   files that an installed wheel does not have

Engine exceptions are translated once, in the adapter that called the engine.
"""

import platform
import sys
import warnings

# Packages without wheels for some machines: the (sys.platform, machine) that have them. pyproject.toml has the same.
WHEELS = {"litert-torch": (("linux", "x86_64"), ("darwin", "arm64"))}


class EdgeposeWarning(UserWarning):
    """Something that the user should know and that does not stop the work; the command line prints it as one line."""


def warn(text: str) -> None:
    """Issue an EdgeposeWarning of one line."""
    warnings.warn(text, EdgeposeWarning, stacklevel=3)


class EdgeposeError(Exception):
    """Base of every error that edgepose raises on purpose."""

    exit_code = 2


class InputError(EdgeposeError, ValueError):
    """Wrong use, or an input that cannot be used."""


class ArtifactError(InputError):
    """An artifact directory that is missing, changed, malformed or too new."""


class CheckpointError(InputError):
    """Weights that cannot be read, name code of others, or fit no known model."""


class DownloadError(InputError, OSError):
    """A download that failed, or that is not the file its publisher named."""


class OutputError(InputError, OSError):
    """A result that cannot be written: a full disk, a quota, a limit on file sizes."""


class SourceError(InputError, OSError):
    """An image, video or camera that gives no frame."""


class TargetExistsError(InputError, FileExistsError):
    """A target that exists already, where `--force` was not given."""


class ConversionError(EdgeposeError, RuntimeError):
    """A converter could not turn the model into the wanted format."""


class EngineError(EdgeposeError, RuntimeError):
    """An inference engine refused an artifact, or failed while running it."""


class DeviceLostError(EngineError):
    """A board whose connection was lost."""


class TrainingError(EdgeposeError, RuntimeError):
    """Training that cannot continue; the checkpoints it saved are good."""


class GateError(EdgeposeError):
    """A converted artifact drifted from its reference by more than its limit."""

    exit_code = 3


class MissingDependencyError(EdgeposeError, ImportError):
    """A package that this step needs is not installed."""

    exit_code = 4

    def __init__(self, package: str, extra: str, message: str = "") -> None:
        machine = (sys.platform, platform.machine())
        missing = missing_package(package, extra, machine, sys.version_info[:2])
        super().__init__(message or missing)
        self.package = package
        self.extra = extra


class MissingFilesError(EdgeposeError, FileNotFoundError):
    """Files of the checkout that an installed wheel does not have."""

    exit_code = 4


def missing_package(
    package: str, extra: str, machine: tuple[str, str], python: tuple[int, ...]
) -> str:
    """Return what to do about a package that is not installed on a (sys.platform, machine) and a Python version."""
    wheels = WHEELS.get(package, (machine,))
    if machine in wheels:
        wanted = f"'edgepose[{extra}]'" if extra else package
        return f"{package} is not installed; run: pip install {wanted}"
    elsewhere = " or ".join(" ".join(each) for each in wheels)
    return (
        f"{package} has no build for {' '.join(machine)} with Python {python[0]}.{python[1]};"
        f" run this step on {elsewhere}"
    )
