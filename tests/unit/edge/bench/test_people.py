"""One batch against parallel requests: the choice as a function of times, and what is measured of a real engine."""

import pytest

from edge.bench.measure import Plan
from edge.bench.people import PEOPLE, choose_requests, most_requests, takes_people, tune_people
from runtimes.base import RunOptions


def test_the_ratio_is_of_rounds_not_of_medians() -> None:
    # other work slows both in rounds 2 and 3; in each round the requests take .8 of the batch's time
    chosen = choose_requests([10, 50, 30], [8, 40, 24], 2)
    assert (chosen.requests, chosen.tried, chosen.people) == (2, 2, PEOPLE)
    assert chosen.ratio == pytest.approx(0.8)
    assert (chosen.batch_ms, chosen.requests_ms) == (30, 24)


@pytest.mark.parametrize(
    ("requests_ms", "kept"),
    [([9, 9, 9], 4), ([9.7, 9.7, 9.7], 1), ([11, 11, 5], 1), ([5, 5, 11], 4)],
)
def test_near_ties_keep_the_batch(requests_ms, kept) -> None:
    assert choose_requests([10, 10, 10], requests_ms, 4).requests == kept


def test_requests_stay_within_the_threads_to_try() -> None:
    assert most_requests([1]) == 1
    assert most_requests([1, 2]) == 2
    assert most_requests([1, 2, 4, 8]) == PEOPLE


def test_a_frames_people_are_measured_where_there_is_a_choice(small_artifact, tmp_path) -> None:
    artifact = small_artifact(tmp_path / "a")
    plan = Plan(rounds=1, time_s=0.02, warmup_runs=1)
    assert takes_people(artifact.manifest)
    assert tune_people(artifact, RunOptions(threads=1), 1, plan) is None
    found = tune_people(artifact, RunOptions(threads=1), 2, plan)
    assert found is not None
    assert found.requests in {1, 2}
    assert found.ratio == pytest.approx(found.requests_ms / found.batch_ms)
