"""Parity records in words, as tables and messages show them; messages without a place to go."""

import math
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from edge.cli.console import command_line, describe
from runtimes.parity_spec import ApParity, BoxesParity, Parity, PxParity, RawParity

SHARED = {"reference": "PyTorch float32", "passed": True}


@pytest.mark.parametrize(
    ("parity", "words"),
    [
        (
            PxParity(**SHARED, limit=0.5, px_p95=0.123456, decidable=40, keypoints=51),
            "p95 0.1235 px (limit 0.5), 40/51 decidable",
        ),
        (
            PxParity(**SHARED, limit=2.0, px_p95=math.inf, decidable=4, keypoints=5),
            "p95 inf px (limit 2), 4/5 decidable",
        ),
        (
            BoxesParity(**SHARED, limit=0.99, boxes=83, matched=1.0),
            "100.0% of 83 boxes matched (limit 99%)",
        ),
        (
            BoxesParity(
                **SHARED, limit=0.95, boxes=400, matched=0.9575, matched_interval=(0.933, 0.9733)
            ),
            "95.8% of 400 boxes matched, 93.3% to 97.3% (limit 95%)",
        ),
        (
            BoxesParity(**SHARED, limit=0.95, boxes=83, matched=1.0, score_shift=-0.0123),
            "100.0% of 83 boxes matched (limit 95%), score shift -0.012",
        ),
        (BoxesParity(**SHARED, boxes=4, matched=0.5), "50.0% of 4 boxes matched"),
        (RawParity(**SHARED, limit=1e-3, raw_error=2e-6), "raw error 2e-06 (limit 0.001)"),
        (RawParity(**SHARED), "raw error - (limit -)"),
        (
            ApParity(
                **SHARED,
                limit=0.005,
                ap=0.5,
                ap_reference=0.5025,
                ap_drop=0.0025,
                ap_interval=(-0.001, 0.004),
            ),
            "AP 0.5, drop 0.0025 (-0.001, 0.004) (limit 0.005)",
        ),
    ],
)
def test_a_record_shows_the_figure_that_decided_it(parity: Parity, words: str) -> None:
    assert describe(parity) == words


@pytest.mark.parametrize("closing", ["2>&-", "2>/dev/full", "0<&- 1>&- 2>&-"])
def test_a_lost_stderr_ends_no_program(tmp_path: Path, closing: str) -> None:
    """Nor does a file take the place of a closed one, and get what libraries print."""
    code = (
        "from edge.cli.console import guard_streams, say; guard_streams(); "
        "file = open('kept', 'w'); say('unread'); assert file.fileno() > 2"
    )
    command = f"exec {shlex.quote(sys.executable)} -c {shlex.quote(code)} {closing}"
    run = subprocess.run(command, shell=True, cwd=tmp_path, env=os.environ, check=False)  # noqa: S602 closes streams
    assert run.returncode == 0
    assert (tmp_path / "kept").read_text() == ""


def test_a_command_to_paste_is_read_by_a_shell_as_it_was_meant() -> None:
    words = ["verify", Path("my artifacts/a$b.ncnn-fp32"), "--threads", 4, "it's"]
    read = subprocess.run(
        ["/bin/sh", "-c", f'printf "%s\\n" {command_line(*words)}'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert read.stdout.splitlines() == ["edgepose", *map(str, words)]
