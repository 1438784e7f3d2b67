"""A source's frames, its scene, and what becomes of frames that arrive faster than they are done."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from edge.media.frames import Frames
from edge.pipeline.scene import Scene
from runtimes.errors import InputError

Drop = Literal["none", "oldest"]


@dataclass(frozen=True, slots=True)
class Feed:
    """One source of an engine: frames, its scene, and its name in results.

    drop: "oldest" keeps the newest frame only, "none" makes the source wait; None: "oldest" where the source is live.
    """

    frames: Frames
    scene: Scene
    source: int | str = 0
    drop: Drop | None = None

    def __post_init__(self) -> None:
        if self.drop is not None and self.drop not in get_args(Drop):
            raise InputError(f"unknown drop {self.drop!r}; known: {', '.join(get_args(Drop))}")


def feeds_of(
    sources: Sequence[Frames] | Mapping[str, Frames],
    new_scene: Callable[[], Scene],
    drop: Drop | None,
) -> list[Feed]:
    """Return a feed for each of several sources, each with a scene of its own."""
    if isinstance(sources, (str, Path, int)):
        raise InputError(
            "stream_many takes several sources, as a list or by name; for one call stream"
        )
    named = sources.items() if isinstance(sources, Mapping) else enumerate(sources)
    feeds = [Feed(frames, new_scene(), source, drop) for source, frames in named]
    if not feeds:
        raise InputError("stream_many got no source; name at least one")
    return feeds
