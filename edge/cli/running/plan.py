"""Sources of a run, and whether they run one by one as files, or at the same time."""

import glob
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge.cli.console import say
from edge.cli.running.names import NamedSource, named_sources
from edge.cli.running.shard import Shard
from edge.media.image_files import is_image
from edge.media.paths import exists, is_folder, require_utf8, without_login
from edge.types import counted
from runtimes.errors import InputError, SourceError

VIDEO_FILES = (
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv", ".3gp",
    ".ogv", ".mjpeg", ".mjpg", ".y4m",
)  # fmt: skip

Way = Literal["one", "together", "batch"]


@dataclass(frozen=True, slots=True)
class Plan:
    """Sources, in order, and the way they run.

    one: results go where the options say. together: all at the same time, a file each. batch: video files, one after
    another, finished ones skipped.
    """

    sources: list[NamedSource]
    way: Way


def plan_run(asked: Sequence[str], shard: Shard | None) -> Plan:
    """Return the sources that are asked for: a folder or a pattern of videos is each of its files.

    A folder with images is one source, as a pattern of images is; with a shard, its videos are taken. Raises InputError
    for a shard of other sources than video files, and for an empty or repeated source.
    """
    found: list[tuple[str, str]] = []
    batch = shard is not None
    for source in asked:
        require_utf8(source)
        if not source:
            raise InputError("a source's name is empty; . is this directory")
        videos = _videos(source, images_too=shard is None)
        if videos is None:
            found.append((source, source))
            continue
        batch = True
        root = _root_of(source)
        found += [(str(path), path.relative_to(root).as_posix()) for path in videos]
    sources = named_sources(_below_common_folder(found))
    if not batch:
        return Plan(sources, "one" if len(sources) == 1 else "together")
    for each in sources:
        if Path(each.source).suffix.lower() not in VIDEO_FILES:
            raise InputError(
                f"{without_login(each.source)} is no video file; --shard and folders of videos run files only: "
                "run it by itself"
            )
    sources.sort(key=lambda each: each.key)
    share = [each for each in sources if shard is None or shard.has(each.key)]
    if not share:
        say(f"none of {counted(len(sources), 'video')} belongs to this shard")
    return Plan(share, "batch")


def _below_common_folder(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the same with files that are named one by one keyed by their place below the folder that holds them."""
    files = [
        source
        for source, key in found
        if source == key and Path(source).suffix and "://" not in source
    ]
    if not files:
        return found
    places = {each: os.path.abspath(each) for each in files}  # noqa: PTH100 removes .. and keeps links
    root = os.path.commonpath([os.path.dirname(each) for each in places.values()])  # noqa: PTH120
    below = {each: Path(place).relative_to(root).as_posix() for each, place in places.items()}
    return [(source, below.get(source, key)) for source, key in found]


def _videos(source: str, *, images_too: bool) -> list[Path] | None:
    """Return the videos of a folder or pattern; None for any other source, and where its images are run instead.

    Raises SourceError where there is no video, and images are not asked for.
    """
    files = _files_of(source)
    if files is None:
        return None
    videos = [path for path in files if path.suffix.lower() in VIDEO_FILES]
    others = (path for path in files if path.suffix.lower() not in VIDEO_FILES)
    if images_too and any(is_image(path) for path in others):
        if videos:
            say(
                f"warning: {source}: its images are run, and {counted(len(videos), 'video')} beside them left out; "
                "put videos into a folder of their own"
            )
        return None
    if not videos and not images_too:
        raise SourceError(f"no videos in {source}; looked for {', '.join(VIDEO_FILES)}")
    return videos or None


def _files_of(source: str) -> list[Path] | None:
    """Return the files of a folder or pattern, hidden ones left out; None for any other source."""
    path = Path(source)
    if is_folder(path):
        found = list(path.iterdir())
    elif glob.has_magic(source) and "://" not in source and not exists(path):
        found = [Path(each) for each in glob.glob(source, recursive=True)]  # noqa: PTH207 Path.glob takes no absolute one
    else:
        return None
    return [each for each in found if not each.name.startswith(".") and each.is_file()]


def _root_of(source: str) -> Path:
    """Return the folder, or the folders of a pattern before its first wildcard."""
    path = Path(source)
    if is_folder(path):
        return path
    parts = itertools.takewhile(lambda part: not glob.has_magic(part), path.parts[:-1])
    return Path(*parts)
