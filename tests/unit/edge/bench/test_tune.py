"""The choice of tuning as a function of made-up rows, and the options that a real engine supports."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.bench.measure import make_cases, open_workers
from edge.bench.record import BenchRow, read_run
from edge.bench.tune import (
    TIE,
    as_tuned,
    candidates,
    check_row,
    choose,
    distinct,
    needs_check,
    ranked,
    refusal,
    require_one_model,
    thread_counts,
)
from runtimes.errors import ArtifactError, GateError, InputError
from runtimes.parity_spec import Parity, PxParity

GOOD = PxParity(reference="PyTorch float32", passed=True, limit=0.5, px_p95=0.2)
BAD = msgspec.structs.replace(GOOD, passed=False, px_p95=9.0)
UNJUDGED = msgspec.structs.replace(GOOD, passed=None)


RUN = read_run(Path(__file__).parents[3] / "data/run.json")


def row(**fields: object) -> BenchRow:
    """A row as it could be measured; `p50_ms` matters here."""
    plain = {"artifact": "a", "p50_ms": 10.0, "passed": True}
    return msgspec.structs.replace(RUN.rows[0], **{**plain, **fields})


PLAIN = row()
ROWS = st.lists(
    st.builds(
        row,
        precision=st.sampled_from(["fp32", "fp16", "int8"]),
        threads=st.sampled_from([1, 2, 4]),
        arithmetic=st.sampled_from(["f32", "f16", "bf16"]),
        accelerator=st.sampled_from(["cpu", "gpu"]),
        p50_ms=st.floats(1.0, 20.0),
        valid=st.sampled_from([True, True, False]),
        passed=st.sampled_from([True, True, None, False]),
    ),
    max_size=12,
)
WORDS = st.lists(st.sampled_from([GOOD, BAD, UNJUDGED]), min_size=13, max_size=13)


@settings(deadline=None)
@given(ROWS, WORDS)
def test_the_choice_is_never_slower_than_one_thread_in_f32(rows, words) -> None:
    rows = [*rows, PLAIN]
    chosen = rows[choose(rows, words.__getitem__).index]
    # by its own numbers, where these are numbers; exactly, since on a tie the plain row is taken
    assert chosen.p50_ms <= PLAIN.p50_ms
    assert chosen.valid is True or PLAIN.valid is not True


@settings(deadline=None)
@given(ROWS, WORDS)
def test_nothing_unverified_is_ever_chosen(rows, words) -> None:
    rows = [*rows, PLAIN]
    choice = choose(rows, words.__getitem__)
    chosen = rows[choice.index]
    assert chosen.passed is not False
    if chosen.arithmetic != "f32" or chosen.accelerator != "cpu":
        assert words[choice.index].passed is True
        assert choice.parity is words[choice.index]
    if chosen.precision == "int8":
        assert words[choice.index].passed is not False
    refused = {each.index for each in choice.refused}
    assert choice.index not in refused
    assert all(each.reason for each in choice.refused)


@settings(deadline=None)
@given(ROWS)
def test_every_row_has_one_rank_and_busy_ones_come_last(rows) -> None:
    order = ranked(rows)
    assert sorted(order) == list(range(len(rows)))
    validity = [rows[index].valid is not False for index in order]
    assert validity == sorted(validity, reverse=True)


@settings(deadline=None)
@given(ROWS)
def test_the_first_is_within_the_tie_of_the_fastest(rows) -> None:
    rows = [*rows, PLAIN]  # which is valid, so that one is
    first = rows[ranked(rows)[0]]
    assert first.valid
    assert first.p50_ms <= min(each.p50_ms for each in rows if each.valid) * (1 + TIE)


@pytest.mark.parametrize(
    ("other", "plain_wins"),
    [
        ({"threads": 2, "p50_ms": 9.8}, True),  # within 3 %
        ({"threads": 2, "p50_ms": 9.0}, False),
        ({"arithmetic": "bf16", "p50_ms": 9.8}, True),
        ({"arithmetic": "bf16", "p50_ms": 5.0}, False),
        ({"precision": "int8", "p50_ms": 9.8}, True),
        ({"precision": "int8", "p50_ms": 11.0}, True),  # int8 may be the slower one
        ({"accelerator": "gpu", "p50_ms": 300.0}, True),  # and so may a gpu
        ({"threads": 2, "p50_ms": 5.0, "valid": False}, True),  # the queue's time, not its own
    ],
)
def test_ties_go_to_the_plainer_row(other, plain_wins) -> None:
    rows = [row(**other), PLAIN]
    assert choose(rows, lambda _index: GOOD).index == int(plain_wins)


def test_the_next_best_is_taken_where_the_fastest_drifts_and_the_reason_is_kept() -> None:
    rows = [row(arithmetic="bf16", p50_ms=4.0), row(threads=2, p50_ms=6.0), PLAIN]
    choice = choose(rows, lambda _index: BAD)
    assert choice.index == 1
    assert [(each.index, each.parity) for each in choice.refused] == [(0, BAD)]
    assert "bf16 drifts" in choice.refused[0].reason
    assert choice.parity is None  # f32 on the cpu is what the gate saw


def test_only_what_computes_otherwise_is_compared_again() -> None:
    asked: list[int] = []

    def check(index: int) -> Parity:
        asked.append(index)
        return BAD

    rows = [row(arithmetic="f16", p50_ms=3.0), row(precision="fp16", p50_ms=4.0), PLAIN]
    assert choose(rows, check).index == 1
    assert asked == [0]
    assert not needs_check(rows[1])
    assert needs_check(row(precision="int8"))
    assert needs_check(row(accelerator="gpu"))


def test_nothing_is_chosen_from_a_busy_machine() -> None:
    busy = [row(threads=2, p50_ms=5.0, valid=False), row(p50_ms=9.0, valid=False)]
    with pytest.raises(GateError, match="machine busy: other processes used the cores of all 2"):
        choose(busy, lambda _index: GOOD)
    assert choose(busy, lambda _index: GOOD, under_load=True).index == 0
    # nor is one of its rows ever compared, however fast
    assert choose([*busy, PLAIN], lambda _index: BAD).index == 2
    only = [row(valid=False), row(passed=False)]
    with pytest.raises(GateError, match=r"did not pass the gate.*other processes used its cores"):
        choose(only, lambda _index: GOOD)


@settings(deadline=None)
@given(ROWS, WORDS)
def test_a_row_of_a_busy_core_is_never_chosen(rows, words) -> None:
    rows = [*rows, PLAIN]
    assert rows[choose(rows, words.__getitem__).index].valid is not False


def test_an_import_has_no_reference_to_judge_low_arithmetic_by() -> None:
    assert "no PyTorch reference" in refusal(row(arithmetic="bf16"), UNJUDGED)
    assert refusal(row(precision="int8"), UNJUDGED) == ""  # f32 arithmetic, as it came
    assert "not compared" in refusal(row(arithmetic="bf16"), None)


def test_nothing_left_is_an_error_with_its_reasons() -> None:
    with pytest.raises(GateError, match="did not pass the gate"):
        choose([row(passed=False)], lambda _index: GOOD)


@pytest.mark.parametrize(
    ("allowed", "counts"),
    [
        (1, [1]),
        (2, [1, 2]),
        (3, [1, 2, 3]),
        (6, [1, 2, 4, 6]),
        (8, [1, 2, 4, 8]),
        (384, [1 << bit for bit in range(9)]),
    ],
)
def test_thread_candidates(allowed, counts) -> None:
    assert thread_counts(allowed) == counts


def test_two_models_are_not_tuned_as_one(small_artifact, tmp_path) -> None:
    one = small_artifact(tmp_path / "one")
    with pytest.raises(InputError, match="one model at a time"):
        require_one_model([one, small_artifact(tmp_path / "other", model="other")])
    require_one_model([one, small_artifact(tmp_path / "half", precision="fp16")])


def test_an_engine_is_asked_what_it_takes(small_artifact, tmp_path) -> None:
    # ONNX Runtime's CPU provider computes these in f32 alone
    artifact = small_artifact(tmp_path / "a")
    cases = candidates([artifact], [1, 2])
    on_cpu = [case.options for case in cases if case.options.accelerator == "cpu"]
    assert [(each.threads, each.precision) for each in on_cpu] == [(1, "f32"), (2, "f32")]


def test_a_damaged_artifact_is_not_taken_for_a_missing_accelerator(
    small_artifact, tmp_path
) -> None:
    artifact = small_artifact(tmp_path / "a")
    (artifact.root / "model.onnx").write_bytes(b"")
    with pytest.raises(ArtifactError):
        candidates([artifact], [1])


def test_what_comes_out_the_same_is_measured_once(small_artifact, tmp_path) -> None:
    artifact = small_artifact(tmp_path / "a")
    with open_workers(make_cases([artifact], [1, 2], ["f32", "bf16"])) as workers:
        kept = distinct(workers)
        assert [(each.ready.threads, each.ready.precision) for each in kept] == [
            (1, "f32"),
            (2, "f32"),
        ]


def test_a_row_is_checked_with_its_own_options(small_artifact, tmp_path) -> None:
    faithful = small_artifact(tmp_path / "faithful")
    assert check_row(faithful, row()).passed is True
    drifted = small_artifact(tmp_path / "drifted", swapped=True, precision="int8")
    parity = check_row(drifted, row())
    assert parity.passed is False
    assert refusal(row(precision="int8"), parity)


def test_what_is_kept_of_a_choice(small_artifact, tmp_path) -> None:
    artifact = small_artifact(tmp_path / "a")
    rows = [PLAIN, row(threads=2, p50_ms=4.0)]
    choice = choose(rows, lambda _index: GOOD)
    tuned = as_tuned(artifact, choice, rows, "2026-01-01T00:00:00+00:00")
    assert (tuned.threads, tuned.precision, tuned.accelerator) == (2, "f32", "cpu")
    assert (tuned.p50_ms, tuned.plain_p50_ms, tuned.valid) == (4.0, 10.0, True)
