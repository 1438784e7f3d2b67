"""Unfinished work is removed once its process has ended, and never before; nothing else is touched."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runtimes.artifact import Artifact
from runtimes.errors import ArtifactError, InputError
from runtimes.files import discard, seal
from runtimes.staging import clean, scratch, staging

HOLDER = """
import sys
from pathlib import Path
from runtimes.staging import scratch, staging
with staging(Path(sys.argv[1])) as staged, scratch("work") as temporary:
    for folder in (staged, temporary):
        (folder / "half").write_bytes(b"written")
    print(staged, temporary, flush=True)
    sys.stdin.read()
"""


def names(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


@contextmanager
def holder(parent: Path) -> Iterator[tuple[subprocess.Popen[str], list[Path]]]:
    """Yield a process with unfinished work in `parent` and in the temporary directory, and its folders."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(parent)},
    ) as process:
        try:
            assert process.stdout is not None
            yield process, [Path(each) for each in process.stdout.readline().split()]
        finally:
            process.kill()


def test_a_living_process_keeps_its_folders_and_a_killed_one_does_not(tmp_path) -> None:
    with holder(tmp_path) as (process, folders):
        assert len(folders) == 2
        with staging(tmp_path):
            assert all((each / "half").read_bytes() == b"written" for each in folders)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert all(each.exists() for each in folders)
        with staging(tmp_path) as staged:
            assert names(tmp_path) == [staged.parent.name]
    assert names(tmp_path) == []


def test_a_killed_process_leaves_nothing_in_the_temporary_directory(tmp_path, monkeypatch) -> None:
    with holder(tmp_path) as (process, _):
        process.send_signal(signal.SIGKILL)
        process.wait()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with scratch("export") as folder:
        assert folder.parent.name.startswith("edgepose-export-")
        assert names(tmp_path) == [folder.parent.name]
    assert names(tmp_path) == []


def test_the_end_of_a_process_in_order_leaves_nothing(tmp_path) -> None:
    with holder(tmp_path) as (process, _):
        process.communicate("")
    assert names(tmp_path) == []


def test_nothing_else_is_removed(tmp_path) -> None:
    elsewhere = tmp_path / "elsewhere"
    for folder in (".edgepose-notmine1", ".edgepose-abc", "edgepose-export-", "elsewhere", ".git"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "kept").touch()
    (tmp_path / ".edgepose-abc" / "lock").touch()  # no name of ours
    (elsewhere / "lock").touch()
    (tmp_path / ".edgepose-aaaaaaaa").symlink_to(elsewhere)
    (tmp_path / ".edgepose-bbbbbbbb").touch()
    (tmp_path / ".edgepose-new_one0").mkdir()  # made a moment ago, not locked yet
    os.utime(tmp_path / ".edgepose-notmine1", (0, 0))
    before = sorted(tmp_path.rglob("*"))
    clean(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before
    clean(tmp_path / "absent")


def test_unfinished_work_does_not_open(manifest, tmp_path) -> None:
    with staging(tmp_path) as staged:
        (staged / "model.onnx").write_bytes(b"weights")
        sealed = seal(staged, manifest)
        assert Artifact.open(staged) == sealed
        program = "import sys; from runtimes.artifact import Artifact; Artifact.open(sys.argv[1])"
        for path in (staged, staged.parent):
            opened = subprocess.run(
                [sys.executable, "-c", program, path], capture_output=True, text=True, check=False
            )
            assert "ArtifactError" in opened.stderr
            assert "unfinished" in opened.stderr


@pytest.mark.parametrize("kind", ["artifact", "two-steps", "file"])
def test_a_kill_at_any_point_leaves_the_old_or_the_new(kind, tmp_path) -> None:
    script = Path(__file__).with_name("kill_points.py")
    command = [sys.executable, script, kind, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10


def test_an_old_copy_comes_back_only_while_its_successor_waits(tmp_path) -> None:
    """Kills between the two renames, before the first, after the second, and a target removed later by its user."""
    for left, wanted in (
        ({"draft": "new", "old": "old"}, "old"),
        ({"draft": "new", "target": "old"}, "old"),
        ({"old": "old", "target": "new"}, "new"),
        ({"old": "old"}, None),
    ):
        folder = tmp_path / ".edgepose-abcd0123"
        folder.mkdir()
        (folder / "lock").touch()
        (folder / "note").write_text("draft\n../target")
        for name, content in left.items():
            place = tmp_path / name if name == "target" else folder / name
            place.mkdir()
            (place / "content").write_text(content)
        clean(tmp_path)
        found = tmp_path / "target" / "content"
        assert (found.read_text() if found.exists() else None) == wanted
        assert not folder.exists()
        discard(tmp_path / "target")
    assert names(tmp_path) == []


def test_opening_brings_the_old_copy_back(manifest, tmp_path) -> None:
    folder = tmp_path / ".edgepose-abcd0123"
    for name in ("old", "draft"):
        (folder / name).mkdir(parents=True)
        (folder / name / "model.onnx").write_bytes(name.encode())
        seal(folder / name, manifest)
    (folder / "lock").touch()
    (folder / "note").write_text("draft\n../target")
    assert Artifact.open(tmp_path / "target").file(".onnx").read_bytes() == b"old"
    with pytest.raises(ArtifactError, match="no artifact there"):
        Artifact.open(tmp_path / "other")


def test_a_parent_that_cannot_be_made(tmp_path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="--out"), staging(tmp_path / "file" / "below"):
        pass
