"""Files that hide one of the top-level packages, found before any of these is imported. Standard library only."""

import importlib.util
import re
import sys
from pathlib import Path

PACKAGES = ("edge", "export", "quantize", "runtimes", "devices")
ROOT = Path(__file__).resolve().parents[1]
# The module of `python -m edgepose`, as it may be spelled: `edgepose`, `-medgepose`, `-Bum edgepose` ...
_MODULE = re.compile(r"(-\w*m)?edgepose(\.__main__)?")


class ShadowedPackageError(ImportError):
    """Another file or folder is found under the name of one of our packages."""


def refuse_shadows() -> None:
    """Raise ShadowedPackageError, which names the file, where a package of ours is not what its name imports."""
    for name in PACKAGES:
        found = _location(name)
        if found is None:
            raise ShadowedPackageError(
                f"{ROOT / name} is not on sys.path; install edgepose with pip, or add {ROOT} to PYTHONPATH"
            )
        if found.parent != ROOT / name:
            raise ShadowedPackageError(
                f"{found} hides edgepose's package {name!r}; rename it, or take its folder off sys.path"
            )


def leave_working_directory() -> None:
    """Take the working directory off `sys.path`, unless our packages lie there."""
    try:
        here = Path.cwd()
    except FileNotFoundError:  # deleted: nothing can be imported from it
        return
    if here != ROOT:
        sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != here]


def is_program() -> bool:
    """Return whether this process is `edgepose` or `python -m edgepose`, of which this import is a part."""
    if sys.argv[0] == "-m":  # so it is while the module is located
        return _MODULE.fullmatch(sys.orig_argv[-len(sys.argv)]) is not None
    return Path(sys.argv[0]).name == "edgepose"


def _location(name: str) -> Path | None:
    """Return the file that `import NAME` runs; None where there is none.

    A folder without `__init__.py` hides nothing: a package anywhere on the path goes before it.
    """
    module = sys.modules.get(name)
    spec = module.__spec__ if module else importlib.util.find_spec(name)
    return None if spec is None or spec.origin is None else Path(spec.origin).resolve()
