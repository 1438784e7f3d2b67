"""Versions of the tools that an artifact was made with."""

import importlib.metadata

from runtimes.errors import MissingDependencyError


def versions(*distributions: str) -> dict[str, str]:
    """Return {distribution: version}."""
    return {name: importlib.metadata.version(name) for name in distributions}


def require(distributions: tuple[str, ...], extra: str) -> None:
    """Raise MissingDependencyError for the first distribution that is not installed; imports nothing."""
    installed = {found.metadata["Name"].lower() for found in importlib.metadata.distributions()}
    for name in distributions:
        if name not in installed:
            raise MissingDependencyError(name, extra)
