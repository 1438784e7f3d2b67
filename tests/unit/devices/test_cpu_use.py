"""What other processes use of the CPUs, by arithmetic on texts of /proc/stat; formats of several kernels."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.cpu_use import CpuUse, affinity, others_between, read_cpu_use
from devices.parse.cpu_stat import CpuTicks, parse_cpu_stat

# proc(5)'s columns, of a virtual machine with Linux 6.18; the last two are in user and nice already
LINUX_6 = """cpu  1411146 496930 246006 616577 9822 0 2228 3608 0 0
cpu0 631871 257765 118030 380198 3022 0 282 1786 0 0
cpu1 779275 239165 127976 236378 6800 0 1946 1822 0 0
intr 11402345 0 0 0 1 1 14
ctxt 37590635
btime 1795959972
processes 414222
procs_running 3
procs_blocked 0
softirq 6977191 0 1032817 23 603799 1535752 0 2684 833565 5880 2962671
"""
# the example of Documentation/filesystems/proc.txt of Linux 2.6
LINUX_2_6 = """cpu  2255 34 2290 22625563 6290 127 456
cpu0 1132 34 1441 11311718 3675 127 438
cpu1 1123 0 849 11313845 2614 0 18
intr 114930548 113199788 3 0 5 263 0 4 1 0 0 0 0 0
ctxt 1990473
"""
LINUX_2_4 = "cpu  1200 10 300 9000\ncpu0 1200 10 300 9000\npage 5741 1808\nswap 1 0\n"
HZ = 100


@pytest.mark.parametrize(
    ("text", "ticks"),
    [
        (
            LINUX_6,
            {
                0: CpuTicks(631871 + 257765 + 118030 + 0 + 282 + 1786, 380198 + 3022),
                1: CpuTicks(779275 + 239165 + 127976 + 0 + 1946 + 1822, 236378 + 6800),
            },
        ),
        (
            LINUX_2_6,
            {
                0: CpuTicks(1132 + 34 + 1441 + 127 + 438, 11311718 + 3675),
                1: CpuTicks(1123 + 0 + 849 + 0 + 18, 11313845 + 2614),
            },
        ),
        (LINUX_2_4, {0: CpuTicks(1510, 9000)}),
        ("cpu7 10 20 30 400 50 6 7 8 9 1\n", {7: CpuTicks(81, 450)}),  # guests are in 10 and 20
        (LINUX_6.replace("\n", "\r\n"), parse_cpu_stat(LINUX_6)),
        ("", {}),
        ("cpu  1 2 3 4 5 6 7 8 9 10\n", {}),  # the sum of all alone
        ("cpu0 1 2 3\ncpu1 1 2 x 4\ncpu2\ncpux 1 2 3 4\n cpu3 1 2 3 4\n", {}),
        ("cpu0 1 -2 3 4\ncpu1 1 2 3 4.5\ncpu2 \u0661 2 3 4\n", {}),
        ("cpu0 1 2 3 4\ncpu1 gone", {0: CpuTicks(6, 4)}),
    ],
)
def test_ticks_of_each_cpu(text, ticks) -> None:
    assert parse_cpu_stat(text) == ticks


WORDS = st.sampled_from(
    [
        "cpu",
        "cpu0 ",
        "cpu1 ",
        "1 ",
        "20 ",
        "9" * 21,
        "-1 ",
        "\u0663 ",
        "\n",
        "\0",
        "\r",
        "intr ",
        " ",
    ]
)


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.text(max_size=100), st.lists(WORDS, max_size=40).map("".join)))
def test_no_text_raises(text: str) -> None:
    assert all(cpu >= 0 and ticks.busy >= 0 for cpu, ticks in parse_cpu_stat(text).items())


def use(seconds: float, own_s: float, *cpus: tuple[int, int]) -> CpuUse:
    """Counters after some seconds; cpus: busy and idle ticks of each since then."""
    ticks = {cpu: CpuTicks(1000 + busy, 5000 + idle) for cpu, (busy, idle) in enumerate(cpus)}
    return CpuUse(ticks, round((3 + own_s) * 1e9), round((7 + seconds) * 1e9))


START = use(0, 0, (0, 0), (0, 0), (0, 0), (0, 0))


@pytest.mark.parametrize(
    ("end", "cpus", "others"),
    [
        # 1 s is 100 ticks a CPU
        (use(1, 1, (100, 0), (0, 100)), (0, 1), 0.0),  # one thread of ours, nobody else
        (use(1, 1, (100, 0), (100, 0)), (0, 1), 1.0),  # another process on the other core
        (use(1, 0.5, (100, 0), (0, 100)), (0, 1), 0.5),  # ... or on ours
        (use(1, 2, (100, 0), (100, 0)), (0, 1), 0.0),  # two threads of ours
        (use(1, 1, (75, 25), (50, 50)), (0, 1), 0.25),  # ours went from core to core
        (use(10, 10, (1000, 0), (40, 960)), (0, 1), 0.04),
        (use(1, 1, (100, 0), (100, 0), (30, 70), (0, 100)), (0, 2), 0.3),  # CPU 1 is not allowed
        (use(1, 1.02, (100, 0), (1, 99)), (0, 1), 0.0),  # rounding: not below nothing
        (use(0.5, 0.5, (50, 0), (25, 25)), (1, 0), 0.5),
    ],
)
def test_others_use_what_is_busy_and_not_ours(end, cpus, others) -> None:
    assert others_between(START, end, cpus, HZ) == pytest.approx(others)


def test_ticks_of_another_length() -> None:
    assert others_between(START, use(1, 1, (250, 0), (125, 125)), (0, 1), 250) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("end", "cpus"),
    [
        (use(0.19, 0, (0, 19), (19, 0)), (0, 1)),  # too few ticks to say
        (use(0, 0, (0, 0), (0, 0)), (0, 1)),
        (use(1, 1), (0, 1)),  # no counters
        (use(1, 1, (100, 0)), (0, 1)),  # not of all CPUs
        (use(1, 1, (100, 0), (0, 100)), (0, 9)),  # a container that numbers CPUs anew
        (use(1, 1, (100, 0), (0, 100)), ()),
        (use(1, 1, (0, 0), (0, 0)), (0, 1)),  # a sandbox whose counters stand still
        (use(1, 1, (100, 0), (0, 40)), (0, 1)),  # a core that was off
        (use(1, 1, (100, 0), (100, 60)), (0, 1)),  # stopped and resumed
        (use(1, 1, (-5, 105), (100, 0)), (0, 1)),  # counters that began anew
    ],
)
def test_what_does_not_go_with_the_clock_is_unknown(end, cpus) -> None:
    assert others_between(START, end, cpus, HZ) is None


def test_a_machine_without_the_file_is_unknown(tmp_path) -> None:
    first, last = read_cpu_use(tmp_path), read_cpu_use(tmp_path)
    assert first.ticks == last.ticks == {}
    assert last.now_ns >= first.now_ns
    assert affinity()
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/stat").write_bytes(b"cpu0 1 2 3 4\ncpu1 \xff\n")
    assert read_cpu_use(tmp_path).ticks == {0: CpuTicks(6, 4)}
