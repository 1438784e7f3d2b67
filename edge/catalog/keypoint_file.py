"""SCHEMA.json: a keypoint set of the user's own, given as `--keypoints`.

{"name": "gate", "names": ["top_left", "top_right", "bottom_left", "bottom_right"],
 "pairs": [["top_left", "top_right"], [2, 3]], "edges": [[0, 1], [2, 3]], "sigmas": [0.05, 0.05, 0.05, 0.05]}

Only `names` must be there. Pairs (left and right, which change places in a mirrored image) and edges (drawn lines) name
keypoints by name or 0-based index; without `pairs`, names with left and right in them pair up. sigmas: COCO's, one a
keypoint, for AP and duplicate removal. name: by default the file's own name.
"""

from pathlib import Path

from edge.schema import SCHEMAS, KeypointSchema, load_schema, pairs_by_name, plain_name
from runtimes.errors import InputError
from runtimes.record import Record, read_json

End = int | str


class KeypointFile(Record, frozen=True, kw_only=True):
    """The keys of SCHEMA.json."""

    names: tuple[str, ...]
    name: str = ""
    pairs: tuple[tuple[End, End], ...] | None = None
    edges: tuple[tuple[End, End], ...] = ()
    sigmas: tuple[float, ...] = ()


def find_keypoints(text: str) -> KeypointSchema:
    """Return the known set of that name, or read SCHEMA.json; raises InputError, one line, that says what is wrong."""
    if text in SCHEMAS:
        return load_schema(text)
    path = Path(text)
    if path.suffix.lower() != ".json" and not path.is_file():
        raise InputError(
            f"no keypoint set is called {text!r}; known: {', '.join(SCHEMAS)}, or give a SCHEMA.json"
        )
    return read_keypoints(path)


def read_keypoints(path: Path) -> KeypointSchema:
    """Read SCHEMA.json strictly; raises InputError, one line, that says what is wrong."""
    read = read_json(
        path, KeypointFile, "it takes names, and optionally name, pairs, edges, sigmas"
    )
    if not all(0 < sigma <= 1 for sigma in read.sigmas):
        raise InputError(
            f"{path}: sigmas must be positive numbers of at most 1: shares of a person's size (COCO's are .025 to .107)"
        )
    if not all(name.strip() and name.isprintable() for name in read.names):
        raise InputError(f"{path}: keypoint names must be printable text")
    name = plain_name(read.name or path.stem).lstrip(".") or "own"
    pairs = pairs_by_name(read.names) if read.pairs is None else _indices(path, read, read.pairs)
    try:
        return KeypointSchema(
            name, read.names, _indices(path, read, read.edges), pairs, read.sigmas
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _indices(
    path: Path, read: KeypointFile, pairs: tuple[tuple[End, End], ...]
) -> tuple[tuple[int, int], ...]:
    return tuple((_index(path, read, a), _index(path, read, b)) for a, b in pairs)


def _index(path: Path, read: KeypointFile, end: End) -> int:
    if isinstance(end, int):
        return end  # KeypointSchema checks the range
    if end not in read.names:
        raise InputError(f"{path}: a pair or edge names {end!r}, which is none of its names")
    return read.names.index(end)
