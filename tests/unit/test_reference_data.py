"""Reference data: a clone alone finds what is committed and counts what it lacks, which may be required."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

TESTS = Path(__file__).resolve().parents[1]
COMMITTED = TESTS / "data" / "oracles"
ASKING = """
def test_committed(oracles):
    assert oracles("oks.npz").is_file()

def test_absent(oracles):
    assert oracles("rtmpose-t.npz").is_file()
"""


@pytest.mark.parametrize(
    ("required", "ended"), [("0", "1 passed, 1 skipped"), ("1", "1 failed, 1 passed")]
)
def test_a_clone_alone_counts_what_it_lacks(tmp_path: Path, required: str, ended: str) -> None:
    clone = tmp_path / "clone" / "tests"
    (clone / "data").mkdir(parents=True)
    shutil.copy(TESTS / "conftest.py", clone)
    shutil.copytree(COMMITTED, clone / "data" / "oracles")
    (clone / "test_asking.py").write_text(ASKING)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", clone],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(TESTS.parent),
            "EDGEPOSE_REQUIRE_ORACLES": required,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended in done.stdout, done.stdout + done.stderr
    assert ("1 tests did not run" in done.stdout) == (required == "0")


def test_what_is_committed_is_small_and_what_the_references_wrote(oracles) -> None:
    paths = sorted(COMMITTED.iterdir())
    assert sum(path.stat().st_size for path in paths) < 8_000_000
    beside = oracles("regen.py").parent
    for path in paths:
        # of the crops' file the matrices alone are committed: its pixels are a photograph's
        other = beside / path.name.replace("-matrices", "")
        with np.load(path) as ours, np.load(other) as theirs:
            for name in ours.files:
                np.testing.assert_array_equal(ours[name], theirs[name])
