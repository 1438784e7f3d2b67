"""Thread counts that fit the free cores: pure functions of clock readings, as the kernel documents /proc/stat."""

import sys
import threading

import pytest

from runtimes.adapters.free_cores import (
    CpuTimes,
    FreeThreads,
    Timed,
    adapts,
    cores_left,
    fitting_counts,
    halved,
    idle_seconds,
    read_cpu_times,
    thread_limit,
)
from runtimes.base import RunOptions
from runtimes.threads import allowed_cores

STAT = """cpu  1000 20 300 90000 500 0 40 7 0 0
cpu0 500 10 150 45000 300 0 20 3 0 0
cpu1 300 10 100 30000 150 0 10 3 0 0
cpu2 200 0 50 15000 50 0 10 1 0 0
intr 123 4 5
ctxt 99
"""


def test_idle_is_idle_and_iowait_of_the_allowed_cores() -> None:
    assert idle_seconds(STAT, {0, 2}, 0.01) == pytest.approx((45000 + 300 + 15000 + 50) / 100)
    assert idle_seconds(STAT, {1}, 0.001) == pytest.approx(30.15)


@pytest.mark.parametrize(
    ("stat", "cores"),
    [("", {0}), (STAT, {0, 3}), (STAT, set()), ("cpu0 1 2 3\n", {0}), ("cpu 1 2 3 4 5", {0})],
)
def test_idle_is_unknown_where_a_core_is_not_listed(stat, cores) -> None:
    assert idle_seconds(stat, cores, 0.01) is None


@pytest.mark.parametrize(
    ("wall_s", "idle_s", "own_s", "left"),
    [
        (2.0, 4.0, 0.0, 2.0),  # two cores, both idle
        (2.0, 0.0, 4.0, 2.0),  # both ours
        (2.0, 0.0, 2.0, 1.0),  # one ours, one another's
        (2.0, 1.0, 1.0, 1.0),
        (1.0, 0.0, 0.0, 0.0),
        (1.0, -0.2, 0.5, 0.5),  # iowait may go back
    ],
)
def test_cores_left_are_those_idle_or_ours(wall_s, idle_s, own_s, left) -> None:
    before = CpuTimes(10.0, 100.0, 7.0)
    after = CpuTimes(10.0 + wall_s, 100.0 + idle_s, 7.0 + own_s)
    assert cores_left(before, after) == pytest.approx(left)


def test_counts_halve_down_to_one() -> None:
    assert halved(1) == (1,)
    assert halved(2) == (1, 2)
    assert halved(4) == (1, 2, 4)
    assert halved(6) == (1, 3, 6)


@pytest.mark.parametrize(
    ("current", "left", "count"),
    [
        (4, 4.0, 4),
        (4, 3.75, 4),  # a little of the last core is in use
        (2, 3.75, 2),  # and that is not enough to go up
        (2, 3.9, 4),
        (4, 3.0, 2),
        (4, 1.0, 1),
        (1, 0.2, 1),
        (4, -1.0, 1),
        (1, 9.0, 4),
    ],
)
def test_the_count_fits_the_cores_left(current, left, count) -> None:
    assert fitting_counts((1, 2, 4), current, left)[-1] == count


def test_two_processes_on_two_cores_settle_at_one_thread_each() -> None:
    """Each sees the other's use; both start with two threads, and the scheduler gives each half of the machine."""
    counts = [2, 2]
    for _ in range(5):
        use = [count * 2 / max(2, sum(counts)) for count in counts]
        counts = [fitting_counts((1, 2), counts[each], 2 - use[1 - each])[-1] for each in (0, 1)]
    assert counts == [1, 1]
    # the other one ends
    assert fitting_counts((1, 2), 1, 2.0) == [1, 2]


@pytest.mark.parametrize(
    ("one_ms", "two_ms", "count"),
    [(12, 7, 2), (12, 16, 1), (12, 12, 1), (12, 11.5, 1)],  # more threads must be worth it
)
def test_the_fastest_count_is_used_after_the_trials(one_ms, two_ms, count) -> None:
    timed = Timed(trials=3)
    used = []
    for call in range(12):
        used.append(timed.best([1, 2]))
        # the first call of each count loads its network
        timed.add(used[-1], 90 if call in {0, 3} else {1: one_ms, 2: two_ms}[used[-1]])
    assert used == [1, 1, 1, 2, 2, 2, *[count] * 6]
    assert timed.best([1]) == 1


def test_counts_are_measured_again_after_many_calls() -> None:
    timed = Timed(trials=2)
    for count, call_s in ((1, 1.0), (1, 1.0), (2, 9.0), (2, 9.0)):  # something else was in the way
        timed.add(count, call_s)
    calls = 0
    while timed.best([1, 2]) == 1 and calls < 5000:
        timed.add(1, 1.0)
        timed.add(2, 0.5) if timed.best([1, 2]) == 2 else None
        calls += 1
    assert timed.best([1, 2]) == 2
    assert calls < 5000


def test_without_trials_the_most_threads_are_used() -> None:
    timed = Timed(trials=0)
    timed.add(1, 1.0)
    timed.add(4, 9.0)
    assert timed.best([1, 2, 4]) == 4


def test_the_user_chooses() -> None:
    assert adapts(RunOptions(), {"PATH": "/bin"})
    assert not adapts(RunOptions(threads=2), {})
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_NUM_THREADS"):
        assert not adapts(RunOptions(), {name: "1"})


def test_the_limit_is_threads_then_openmps_then_the_cores() -> None:
    default = min(4, allowed_cores())
    assert thread_limit(3, {"OMP_NUM_THREADS": "7"}) == 3
    assert thread_limit(None, {"OMP_NUM_THREADS": "7"}) == 7
    assert thread_limit(None, {"OMP_NUM_THREADS": " 6,2"}) == 6
    for wrong in ("", "0", "-1", "many"):
        assert thread_limit(None, {"OMP_NUM_THREADS": wrong}) == default
    assert thread_limit(None, {}) == default


def test_calls_at_the_same_time_share_the_cores() -> None:
    first, second = FreeThreads(2), FreeThreads(2)
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with first.call():
            entered.set()
            leave.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert entered.wait(30)
    with second.call() as count:
        assert count == 1  # at least one thread of `first` is at work on two cores
    leave.set()
    holder.join()


def test_a_call_that_fails_gives_its_threads_back() -> None:
    threads = FreeThreads(1)
    with pytest.raises(OSError, match="x"), threads.call():
        raise OSError("x")
    assert FreeThreads._in_use == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/stat")
def test_clocks_go_forward_and_count_our_work() -> None:
    before = read_cpu_times()
    sum(range(3_000_000))
    after = read_cpu_times()
    assert after.wall_s > before.wall_s
    assert after.own_s > before.own_s
    assert after.idle_s >= before.idle_s
