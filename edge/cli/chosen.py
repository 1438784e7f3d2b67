"""Models that `edgepose run` takes from the cache where none are named."""

from pathlib import Path

from edge.cli.console import say
from runtimes.cache.names import latest
from runtimes.errors import InputError

FIRST_MODELS = "edgepose get rtmpose-s rtmdet-nano"


def choose_models(pose: Path | None, detector: Path | None) -> tuple[Path, Path | None]:
    """Return the pose model and the detector: those named; without a pose model, the last that came into the cache.

    The cached detector that came last goes with a top-down pose model of the cache, unless another is named. Says what
    was taken. Raises InputError where the cache has no pose model, MissingDependencyError where its engine is missing.
    """
    if pose is not None:
        return pose, detector
    found = latest(lambda manifest: manifest.gives_keypoints)
    if found is None:
        raise InputError(
            f"no pose model yet: run `{FIRST_MODELS}`, or name an artifact with --pose ARTIFACT"
        )
    top_down = found.manifest.is_top_down
    taken = latest(lambda manifest: manifest.is_detector) if top_down and not detector else None
    names = f"pose {found.path.name}" + (f", detector {taken.path.name}" if taken else "")
    missing = (
        ""
        if taken or detector or not top_down
        else "; without a detector, one person fills the frame"
    )
    say(f"from the cache: {names}{missing}")
    return found.path, taken.path if taken else detector
