"""An artifact on disk becomes a session: tensors in, tensors out. Loads no engine until a session is opened."""

from typing import TYPE_CHECKING

from runtimes.lazy import lazy_exports

if TYPE_CHECKING:
    from runtimes.artifact import Artifact
    from runtimes.base import Effective, RunOptions, Session
    from runtimes.errors import EdgeposeError
    from runtimes.registry import open_session
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "runtimes.artifact": ("Artifact",),
            "runtimes.base": ("Effective", "RunOptions", "Session"),
            "runtimes.errors": ("EdgeposeError",),
            "runtimes.registry": ("open_session",),
        },
    )

__all__ = ["Artifact", "EdgeposeError", "Effective", "RunOptions", "Session", "open_session"]
