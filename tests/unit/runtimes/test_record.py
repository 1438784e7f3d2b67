"""JSON that is nested without end is one error, whatever file it is in."""

from collections.abc import Callable
from pathlib import Path

import pytest

from edge.bench.record import read_run
from edge.bench.report.results import read_results
from edge.catalog.keypoint_file import read_keypoints
from edge.catalog.user import VARIABLE, user_models
from runtimes.artifact import read_manifest
from runtimes.errors import InputError

READERS: dict[str, Callable[[Path], object]] = {
    "artifact.json": read_manifest,
    "RUN.json": read_run,
    "results": lambda path: read_results(path, "label"),
    "SCHEMA.json": read_keypoints,
    "catalogue": lambda _path: user_models(),
}


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_json_nested_without_end(tmp_path, monkeypatch, kind, opening) -> None:
    path = tmp_path / "deep.json"
    key = b'{"format":1,"unknown":'
    path.write_bytes((b"" if kind == "catalogue" else key) + opening * 100_000)
    monkeypatch.setenv(VARIABLE, str(path))
    with pytest.raises(InputError, match=r"deep\.json"):
        READERS[kind](path)
