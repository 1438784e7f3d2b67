"""Hints about power modes, from files as Linux and NVIDIA's nvpmodel write them."""

from pathlib import Path

import pytest

from edge.cli.health.power_mode import power_hints

CPUFREQ = "sys/devices/system/cpu/cpu0/cpufreq"
# Modes of an Orin Nano with JetPack 6.2: the fastest has not the highest number.
ORIN_NANO = (
    "< POWER_MODEL ID=0 NAME=15W >\nCPU_ONLINE CORE_0 1\nGPU MAX_FREQ 612000000\n\n"
    "< POWER_MODEL ID=1 NAME=25W >\n\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\nCPU_A78_0 MAX_FREQ -1\n\n"
    "< POWER_MODEL ID=3 NAME=7W >\n\n< PM_CONFIG DEFAULT=1 >\n"
)
XAVIER_NX = (
    "< POWER_MODEL ID=0 NAME=MODE_15W_2CORE >\n< POWER_MODEL ID=3 NAME=MODE_10W_2CORE >\n"
    "< PM_CONFIG DEFAULT=3 >\n"
)


@pytest.fixture
def hints(tmp_path):
    """Write files below a root and return the hints about them."""

    def of(files: dict[str, str]) -> list[str]:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return power_hints(tmp_path)

    return of


@pytest.mark.parametrize(
    ("driver", "lowest"),
    [
        ("intel_pstate", False),
        ("amd-pstate-epp", False),
        ("intel_cpufreq", True),
        ("cpufreq-dt", True),
        ("", True),
    ],
)
def test_powersave_is_the_lowest_clock_but_for_two_drivers(hints, driver, lowest) -> None:
    (hint,) = hints(
        {f"{CPUFREQ}/scaling_governor": "powersave\n", f"{CPUFREQ}/scaling_driver": driver}
    )
    assert "powersave on 1 of 1 cores" in hint
    assert ("keeps the lowest clock" in hint) == lowest
    assert "cpupower frequency-set -g performance" in hint


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("pmode:0000\n", "power mode 15W (0):"),
        ("pmode:0003 fmode:fan_mode_quiet\n", "power mode 7W (3):"),
        (None, "power mode 25W (1, the default: nvpmodel -q says what is set)"),
        ("garbled", "power mode 25W (1, the default"),
    ],
)
def test_a_jetson_below_its_fastest_mode_is_told_the_number(hints, status, said) -> None:
    files = {"etc/nvpmodel.conf": ORIN_NANO}
    (hint,) = hints(files | ({"var/lib/nvpmodel/status": status} if status else {}))
    assert said in hint
    assert "sudo nvpmodel -m 2 (MAXN_SUPER), then sudo jetson_clocks" in hint


def test_a_jetson_without_an_unlimited_mode_is_told_all(hints) -> None:
    (hint,) = hints({"etc/nvpmodel.conf": XAVIER_NX, "var/lib/nvpmodel/status": "pmode:0003"})
    assert "power mode MODE_10W_2CORE (3)" in hint
    assert "nvpmodel -m N (0: MODE_15W_2CORE, 3: MODE_10W_2CORE)" in hint


@pytest.mark.parametrize(
    ("conf", "status"),
    [(ORIN_NANO, "pmode:0002"), (ORIN_NANO, "pmode:0009"), ("", "pmode:0000"), ("\x00junk", "")],
)
def test_nothing_is_said_of_the_fastest_mode_or_of_unknown_ones(hints, conf, status) -> None:
    assert hints({"etc/nvpmodel.conf": conf, "var/lib/nvpmodel/status": status}) == []


@pytest.mark.parametrize(
    ("profile", "choices", "named"),
    [
        ("low-power", "low-power balanced performance", True),
        ("quiet", "quiet balanced performance", True),
        ("balanced", "low-power balanced performance", False),
        ("low-power", "low-power balanced", False),
    ],
)
def test_a_platform_profile_that_gives_up_speed_is_named(hints, profile, choices, named) -> None:
    folder = "sys/firmware/acpi"
    found = hints(
        {
            f"{folder}/platform_profile": f"{profile}\n",
            f"{folder}/platform_profile_choices": f"{choices}\n",
        }
    )
    assert [f"platform profile {profile}" in hint for hint in found] == [True] * named


def test_hints_change_nothing(hints, tmp_path) -> None:
    files = {"etc/nvpmodel.conf": ORIN_NANO, f"{CPUFREQ}/scaling_governor": "powersave\n"}
    assert len(hints(files)) == 2
    assert {name: Path(tmp_path / name).read_text() for name in files} == files
