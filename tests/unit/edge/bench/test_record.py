"""Rows of a benchmark: validity, speedup, and reading RUN.json back, older and newer ones too."""

from pathlib import Path

import msgspec
import pytest

from edge.bench.record import (
    FORMAT,
    BenchRow,
    BenchRun,
    gate_passed,
    is_valid,
    read_run,
    why_not_valid,
    with_speedup,
)
from runtimes.errors import InputError

RUN = read_run(Path(__file__).parents[3] / "data/run.json")


def row(**fields: object) -> BenchRow:
    """A row as it could be measured."""
    plain = msgspec.structs.replace(RUN.rows[0], round_p50_ms=(2.0, 2.0, 2.0))
    return msgspec.structs.replace(plain, **fields)


def run(*rows: BenchRow) -> BenchRun:
    return msgspec.structs.replace(RUN, rows=rows)


@pytest.mark.parametrize(
    ("cpu_wall", "accelerator", "valid"),
    [
        (1.0, "cpu", True),
        (0.9, "cpu", True),
        (0.89, "cpu", False),
        (0.5, "cpu", False),  # two threads on one core
        (0.05, "gpu", None),  # the CPU waits there by design
        (0.05, "npu", None),
    ],
)
def test_a_row_is_valid_where_the_process_had_its_cores(cpu_wall, accelerator, valid) -> None:
    assert is_valid(cpu_wall, accelerator) is valid


@pytest.mark.parametrize(
    ("others", "cpus", "valid"),
    [
        (0.0, 2, True),
        (0.4, 2, True),  # a fifth of both
        (0.41, 2, False),
        (1.0, 2, False),  # the other core is busy
        (1.0, 4, False),
        (1.0, 8, True),
        (2.0, 8, False),
        (0.2, 1, True),
        (12.8, 64, True),
        (None, 2, True),  # not known
        (1.0, None, True),
    ],
)
def test_a_row_is_valid_where_other_processes_leave_room(others, cpus, valid) -> None:
    assert is_valid(0.96, "cpu", others, cpus) is valid
    assert is_valid(0.5, "cpu", others, cpus) is False
    assert is_valid(0.96, "gpu", others, cpus) is None


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"cpu_wall": 0.96, "others": 1.02}, "other processes used 1.0 of 2 cores"),
        ({"cpu_wall": 0.51, "others": 0.03}, "cpu/wall 0.51"),
        ({"cpu_wall": 0.51, "others": 0.5}, "cpu/wall 0.51, other processes used 0.5 of 2 cores"),
        ({"cpu_wall": 0.51, "others": None}, "cpu/wall 0.51"),
        ({"cpu_wall": None, "others": None}, ""),
    ],
)
def test_why_a_row_is_not_valid_is_said(fields, words) -> None:
    assert why_not_valid(row(valid=False, cpus=2, **fields)) == words
    assert why_not_valid(row(valid=True, cpus=2, **fields)) == ""
    assert why_not_valid(row(valid=None, cpus=2, **fields)) == ""


def test_speedup_is_the_median_of_the_rounds_ratios() -> None:
    parent = row(round_p50_ms=(2.0, 4.0, 6.0))
    int8 = row(artifact="small.onnxruntime-int8", precision="int8", round_p50_ms=(1.0, 1.0, 12.0))
    alone = row(artifact="small.ncnn-fp16", runtime="ncnn", precision="fp16")
    first, second, third = with_speedup([int8, parent, alone])
    assert first.speedup == 2.0  # of 2, 4 and 1/2
    assert first.speedup_range == (0.5, 4.0)
    assert first.speedup_over == parent.artifact
    assert second.speedup is None  # it is the parent
    assert third.speedup is None  # of another runtime


def test_speedup_is_of_the_means_where_a_tool_prints_no_median() -> None:
    parent = row(round_p50_ms=(), round_mean_ms=(2.0, 4.0, 6.0), p50_ms=None)
    int8 = msgspec.structs.replace(parent, precision="int8", round_mean_ms=(1.0, 1.0, 12.0))
    assert with_speedup([parent, int8])[1].speedup == 2.0
    assert parent.typical_ms == parent.mean_ms


@pytest.mark.parametrize(
    "other",
    [
        {"threads": 2},
        {"arithmetic": "bf16"},
        {"model": "large"},
        {"input_wh": (64, 64)},
        {"accelerator": "gpu"},
    ],
)
def test_only_like_is_compared_with_like(other) -> None:
    int8 = row(artifact="b", precision="int8", **other)
    assert with_speedup([row(), int8])[1].speedup is None


def test_the_gates_word_over_several_records(small_artifact, tmp_path) -> None:
    manifest = small_artifact(tmp_path / "a").manifest
    record = manifest.parity[0]

    def passed(*words: bool | None) -> bool | None:
        records = tuple(msgspec.structs.replace(record, passed=word) for word in words)
        return gate_passed(msgspec.structs.replace(manifest, parity=records))

    assert passed(True, True) is True
    assert passed(True, None) is None
    assert passed(None, False) is False
    assert passed() is None


def test_a_run_comes_back_as_it_was(tmp_path) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(msgspec.json.encode(run(row())))
    assert read_run(path) == run(row())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no RUN.json"),
        ("[]", "no RUN.json"),
        ('{"kind": "bench"}', "no RUN.json"),
        ("\xff", "no RUN.json"),
    ],
)
def test_what_is_no_run_is_refused(tmp_path, text, said) -> None:
    path = tmp_path / "run.json"
    path.write_text(text, "latin-1")
    with pytest.raises(InputError, match=said):
        read_run(path)


def test_a_run_of_the_first_format_lacks_what_came_later(tmp_path) -> None:
    (old,) = RUN.rows
    assert (RUN.format, RUN.tier, RUN.iterations) == (FORMAT, "", None)
    assert (old.p10_ms, old.p90_estimate_ms, old.first_ms, old.steady) == (None,) * 4
    assert (old.others, old.cpus) == (None, None)


def test_a_newer_run_and_a_missing_one_are_refused(tmp_path) -> None:
    path = tmp_path / "run.json"
    newer = msgspec.to_builtins(run(row())) | {"format": FORMAT + 1, "a field of the future": 1}
    path.write_bytes(msgspec.json.encode(newer))
    with pytest.raises(InputError, match=rf"format {FORMAT + 1}.*reads {FORMAT}; upgrade edgepose"):
        read_run(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_run(tmp_path / "gone.json")
