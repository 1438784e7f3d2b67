"""Sources of a run on a board: files of this machine, which are sent, and what the board itself reads."""

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from edge.bench.remote.target import BOARD, refuse_target
from edge.media.image_files import image_files, images_like, images_numbered, is_numbered
from edge.media.live.camera import parse_camera
from edge.media.live.gstreamer import is_gstreamer
from edge.media.paths import exists, is_file, is_folder, without_login
from edge.media.sources import STREAM_SCHEMES
from runtimes.errors import InputError, SourceError

DRAWN = "synth"


def on_this_machine(source: str) -> str:
    """Return a source of a run without a board; raises InputError for one that names a board."""
    if not exists(source):
        refuse_target(source)
    return source


def on_board(source: str) -> str:
    """Return what the board opens for a source; raises InputError for one that only this machine could open."""
    if source.startswith(BOARD):
        return _of_the_board(source.removeprefix(BOARD))
    if source == "-" or source.startswith("raw:"):
        raise InputError("--remote sends files; stdin is not sent: write the frames to a file")
    if _is_live(source):
        shown = without_login(source)
        raise InputError(
            f"with --remote, say where {shown} is read: write {BOARD}{shown} for the board"
        )
    return on_this_machine(source)


def files_of(sources: Sequence[str]) -> list[Path]:
    """Return the files that these sources read here; raises SourceError for one that names none."""
    return [path for each in sources if not each.startswith(BOARD) for path in _read_by(each)]


def neighbours_of(sources: Sequence[str]) -> list[Path]:
    """Return all files of the folders and patterns: what is in a folder, read or not, decides how it is run."""
    listed = (_listed(each) for each in sources if not each.startswith(BOARD) and each != DRAWN)
    return [path for paths in listed for path in paths if is_file(path)]


def _read_by(source: str) -> list[Path]:
    path = Path(source)
    if source == DRAWN:
        return []
    if is_file(path):
        return [path]
    if is_folder(path):
        return image_files(path)
    if is_numbered(source):
        return images_numbered(source)[0]
    if glob.has_magic(source):
        return images_like(source)
    if exists(source):
        raise SourceError(f"{source} is neither a file nor a directory; --remote sends files")
    raise SourceError(
        f"no such file or directory: {source}; what the board reads itself is spelled {BOARD}{source}"
    )


def _listed(source: str) -> list[Path]:
    if is_folder(source):
        return list(Path(source).iterdir())
    if glob.has_magic(source) and not exists(source):
        return [Path(each) for each in glob.glob(source, recursive=True)]  # noqa: PTH207 Path.glob takes no absolute one
    return []


def _of_the_board(source: str) -> str:
    if source == DRAWN or _is_live(source) or os.path.isabs(source):  # noqa: PTH117 a pattern is no Path
        return source
    raise InputError(
        f"{BOARD}{source}: name a camera or stream of the board, or a file there from / on,"
        f" such as {BOARD}/home/pi/clip.mp4"
    )


def _is_live(source: str) -> bool:
    named = source.startswith(STREAM_SCHEMES) or is_gstreamer(source)
    return named or parse_camera(source) is not None
