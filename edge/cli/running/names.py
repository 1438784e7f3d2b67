"""Names of sources, in results and of their files."""

import glob
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.media.paths import require_utf8, without_login
from runtimes.errors import InputError

_SCHEME = re.compile(r"^[a-z]+://")
_LONGEST, _MOST_BYTES = 120, 200  # letters and bytes; a file's name has at most 255 bytes
_UNUSUAL = re.compile(r"[^\w.-]+")


@dataclass(frozen=True, slots=True)
class NamedSource:
    """A source as `open_source` takes it; name: of its files; key: by which shards share it out."""

    source: str
    name: str
    key: str


def named_sources(found: Sequence[tuple[str, str]]) -> list[NamedSource]:
    """Return sources with names of their own: the stem where one source has it, else with suffix or folders.

    found: source and key: a file's path below the folder that holds all, or what else it is asked for by. Raises
    InputError for a source that is named twice, two that read from stdin, and a name that is no UTF-8.
    """
    for source, _ in found:
        require_utf8(source)
    if sum(source == "-" or source.startswith("raw:") for source, _ in found) > 1:
        raise InputError("two sources read from stdin; name one of them")
    twice = [
        source for source, count in Counter(source for source, _ in found).items() if count > 1
    ]
    if twice:
        raise InputError(f"{without_login(twice[0])} is named twice; name each source once")
    names = _unique([key for _, key in found], (_stem, _file_name, _path, _whole))
    return [
        NamedSource(source, name, key) for (source, key), name in zip(found, names, strict=True)
    ]


def _unique(keys: Sequence[str], ways: Sequence[Callable[[str], str]]) -> list[str]:
    """Return for each key the first of the ways to name it that gives a name of its own; a number is the last."""
    names: dict[int, str] = {}
    for way in ways:
        rest = [number for number in range(len(keys)) if number not in names]
        counts = Counter([*names.values(), *(way(keys[number]) for number in rest)])
        names |= {number: way(keys[number]) for number in rest if counts[way(keys[number])] == 1}
    rest = [number for number in range(len(keys)) if number not in names]
    names |= {number: f"{_whole(keys[number])}_{place}" for place, number in enumerate(rest, 1)}
    return [names[number] for number in range(len(keys))]


def _stem(key: str) -> str:
    if key.isdecimal():
        return f"camera{key}"
    return _whole(key) if _is_no_file(key) else _plain(Path(key).stem)


def _file_name(key: str) -> str:
    return _whole(key) if _is_no_file(key) else _plain(Path(key).name)


def _path(key: str) -> str:
    return _whole(key) if _is_no_file(key) else _plain(Path(key).with_suffix("").as_posix())


def _whole(key: str) -> str:
    return _plain(_SCHEME.sub("", without_login(key)))


def _is_no_file(key: str) -> bool:
    return bool(_SCHEME.match(key)) or glob.has_magic(key) or not Path(key).name


def _plain(text: str) -> str:
    """Return a text as a file name: letters, digits, dots, dashes and underscores, not hidden, not too long."""
    short = _UNUSUAL.sub("_", text).strip("._")[:_LONGEST]
    return short.encode()[:_MOST_BYTES].decode(errors="ignore") or "source"
