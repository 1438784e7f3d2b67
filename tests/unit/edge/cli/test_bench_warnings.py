"""What `bench` says of rows that are not valid."""

from pathlib import Path

import msgspec
import pytest

from edge.bench.record import read_run
from edge.cli.benching.warnings import warn_of_noise

RUN = read_run(Path(__file__).parents[3] / "data/run.json")
STARVED = {"cpu_wall": 0.5, "others": 0.1}
CROWDED = {"cpu_wall": 0.96, "others": 1.04}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([CROWDED], "1 of 1 rows are not valid: others used up to 1.0 of the 2 cores meanwhile"),
        (
            [STARVED, {"cpu_wall": 0.62, "others": None}],
            "2 of 2 rows are not valid: other processes used their cores (cpu/wall down to 0.50)",
        ),
        (
            [STARVED, CROWDED, {**CROWDED, "others": 1.5}],
            "(cpu/wall down to 0.50), and others used up to 1.5 of the 2 cores meanwhile",
        ),
    ],
)
def test_rows_that_are_not_valid_are_counted_with_the_reasons(rows, said, capsys) -> None:
    bad = tuple(
        msgspec.structs.replace(RUN.rows[0], valid=False, cpus=2, **fields) for fields in rows
    )
    warn_of_noise(msgspec.structs.replace(RUN, rows=bad))
    assert said in capsys.readouterr().err


def test_nothing_is_said_of_valid_rows(capsys) -> None:
    row = msgspec.structs.replace(RUN.rows[0], valid=True, cpu_wall=0.99, others=0.1, cpus=2)
    warn_of_noise(msgspec.structs.replace(RUN, rows=(row,)))
    assert capsys.readouterr().err == ""
