"""runtimes: an artifact on disk -> tensors in, tensors out. Loads no engine until a session is opened."""

from runtimes.artifact import Artifact
from runtimes.base import Effective, RunOptions, Session
from runtimes.errors import EdgeposeError
from runtimes.registry import open_session

__all__ = ["Artifact", "EdgeposeError", "Effective", "RunOptions", "Session", "open_session"]
