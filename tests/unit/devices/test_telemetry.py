"""Sensors of boards as their kernels show them in /sys; refused, busy and vanished files are none."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.telemetry import Energy, Rail, Sensors, mean_watts, read_sensors
from devices.telemetry.reader import Reader
from devices.telemetry.thermal import parse_get_throttled, parse_thermal_status

CPU = "sys/devices/system/cpu"
INA = "sys/bus/i2c/devices/1-0040/hwmon/hwmon3"
# Raspberry Pi 5: zone and clocks as its kernel shows them
PI5 = {
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "61450\n",
    f"{CPU}/cpu0/cpufreq/scaling_cur_freq": "1500000\n",
    f"{CPU}/cpu0/cpufreq/scaling_max_freq": "2400000\n",
    f"{CPU}/cpu0/cpufreq/cpuinfo_max_freq": "2400000\n",
    f"{CPU}/cpu0/cpufreq/scaling_governor": "ondemand\n",
    "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
}
# Jetson Orin Nano, JetPack 6: labels of the device tree (linux tegra234-p3767.dtsi), one channel not connected
ORIN = {
    f"{INA}/name": "ina3221\n",
    f"{INA}/in1_label": "VDD_IN\n",
    f"{INA}/in1_input": "5048\n",
    f"{INA}/curr1_input": "1000\n",
    f"{INA}/in2_label": "VDD_CPU_GPU_CV\n",
    f"{INA}/in2_input": "5000\n",
    f"{INA}/curr2_input": "300\n",
    f"{INA}/in3_label": "NC\n",
    f"{INA}/in3_input": "5000\n",
    f"{INA}/curr3_input": "900\n",
    f"{INA}/in7_label": "sum of shunt voltages\n",
    f"{INA}/in7_input": "3\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "48500\n",
    "sys/class/thermal/thermal_zone1/type": "cv0-thermal\n",
    "sys/class/thermal/thermal_zone1/temp": "-256000\n",
}
# Jetson Nano, JetPack 4: milliwatts of an iio device
NANO = {
    f"sys/bus/i2c/devices/6-0040/iio:device0/{name}": text
    for name, text in {
        "rail_name_0": "POM_5V_IN\n",
        "in_power0_input": "2443\n",
        "rail_name_1": "POM_5V_GPU\n",
        "in_power1_input": "82\n",
        "rail_name_2": "POM_5V_CPU\n",
        "in_power2_input": "614\n",
    }.items()
}
# An Intel laptop: two packages' counters, chips of hwmon, a counter of throttled cores
INTEL = {
    "sys/class/hwmon/hwmon2/name": "coretemp\n",
    "sys/class/hwmon/hwmon2/temp1_input": "72000\n",
    "sys/class/hwmon/hwmon2/temp1_label": "Package id 0\n",
    "sys/class/hwmon/hwmon2/temp2_input": "70000\n",
    "sys/class/hwmon/hwmon4/name": "amdgpu\n",
    "sys/class/hwmon/hwmon4/power1_input": "12000000\n",
    "sys/class/powercap/intel-rapl:0/name": "package-0\n",
    "sys/class/powercap/intel-rapl:0/energy_uj": "262000000000\n",
    "sys/class/powercap/intel-rapl:0/max_energy_range_uj": "262143328850\n",
    f"{CPU}/cpu0/thermal_throttle/core_throttle_count": "3\n",
    f"{CPU}/cpu1/thermal_throttle/core_throttle_count": "4\n",
    f"{CPU}/cpu0/cpufreq/scaling_cur_freq": "1800000\n",
    f"{CPU}/cpu0/cpufreq/scaling_max_freq": "2000000\n",
    f"{CPU}/cpu0/cpufreq/cpuinfo_max_freq": "4600000\n",
}


def write(root: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def test_a_raspberry_pi(tmp_path) -> None:
    found = read_sensors(write(tmp_path, PI5))
    assert [(each.name, each.celsius) for each in found.temperatures] == [("cpu-thermal", 61.45)]
    (clock,) = found.clocks
    assert (clock.cpu, clock.ghz, clock.max_ghz, clock.governor) == (0, 1.5, 2.4, "ondemand")
    now = {each.reason: each.now for each in found.throttling}
    assert now == {"under-voltage": True, "throttled": True}
    assert (found.rails, found.watts, found.missing) == ((), None, ())


def test_a_jetson_of_jetpack_5_and_later(tmp_path) -> None:
    root = write(tmp_path, ORIN)
    (root / "sys/class/hwmon").mkdir(parents=True)
    (root / "sys/class/hwmon/hwmon3").symlink_to(root / INA)
    found = read_sensors(root)
    rails = {each.name: each.watts for each in found.rails}
    assert rails == {"VDD_IN": pytest.approx(5.048), "VDD_CPU_GPU_CV": pytest.approx(1.5)}
    assert found.watts == pytest.approx(5.048)
    assert [each.name for each in found.temperatures] == ["cpu-thermal"]  # the other is off
    assert found.hottest is not None
    assert found.hottest.celsius == 48.5


def test_a_jetson_of_jetpack_4(tmp_path) -> None:
    found = read_sensors(write(tmp_path, NANO))
    assert {each.name: each.watts for each in found.rails} == {
        "POM_5V_IN": 2.443,
        "POM_5V_GPU": 0.082,
        "POM_5V_CPU": 0.614,
    }
    assert found.watts == 2.443


def test_without_a_rail_that_feeds_all_the_rails_are_summed(tmp_path) -> None:
    files = {path: text.replace("VDD_IN", "VDD_GPU_SOC") for path, text in ORIN.items()}
    assert read_sensors(write(tmp_path, files)).watts == pytest.approx(6.548)


def test_an_intel_computer(tmp_path) -> None:
    found = read_sensors(write(tmp_path, INTEL))
    assert [each.name for each in found.temperatures] == ["coretemp Package id 0", "coretemp temp2"]
    assert [(each.monitor, each.watts) for each in found.rails] == [("amdgpu", 12.0)]
    assert found.watts is None  # a GPU is not the whole device
    assert [each.joules for each in found.energies] == [262000.0]
    limited, counted = found.throttling
    assert (limited.now, "2 of 4.6 GHz" in limited.reason) == (True, True)
    assert (counted.now, counted.count) == (False, 7)


def test_a_counter_that_began_again() -> None:
    def at(joules: float) -> Sensors:
        return Sensors(energies=(Energy(name="package-0", joules=joules, wraps_at=1000.0),))

    assert mean_watts(at(100), at(160), 2.0) == (Rail(name="package-0", watts=30.0),)
    assert mean_watts(at(990), at(10), 2.0) == (Rail(name="package-0", watts=10.0),)
    assert mean_watts(at(100), at(160), 0.0) == ()
    assert mean_watts(Sensors(), at(160), 1.0) == ()


@contextmanager
def as_nobody() -> Iterator[None]:
    """Give up root's rights, to which every file is open, where the tests have them."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def test_a_file_that_root_alone_may_read() -> None:
    with TemporaryDirectory() as folder:
        root = write(Path(folder), INTEL)
        root.chmod(0o755)  # pytest's own folders are closed to others
        (root / "sys/class/powercap/intel-rapl:0/energy_uj").chmod(0)
        with as_nobody():
            found = read_sensors(root)
    assert found.energies == ()
    assert found.missing == ("/sys/class/powercap/intel-rapl:*/energy_uj: no permission",)


@pytest.mark.parametrize(
    ("error", "missing"),
    [
        (PermissionError(13, "Permission denied"), ("/sys/class/thermal/thermal_zone*/temp: no permission",)),
        (OSError(19, "No such device"), ("/sys/class/thermal/thermal_zone*/temp: No such device",)),
        (BlockingIOError(11, "Resource temporarily unavailable"), ()),
        (FileNotFoundError(2, "No such file or directory"), ()),
    ],
)  # fmt: skip
def test_a_sensor_that_is_refused_busy_or_gone_while_it_is_read(
    tmp_path, monkeypatch, error: OSError, missing: tuple[str, ...]
) -> None:
    """A real /sys answers a read so; no file system of a test does, and root is refused nothing."""
    root = write(tmp_path, ORIN)
    real = Path.read_text

    def read_text(self: Path, *args, **options) -> str:
        if self.name == "temp":
            raise error
        return real(self, *args, **options)

    monkeypatch.setattr(Path, "read_text", read_text)
    found = read_sensors(root)
    assert (found.temperatures, found.missing) == ((), missing)
    assert len(found.rails) == 2


def test_a_folder_that_vanishes_after_it_was_listed(tmp_path) -> None:
    root = write(tmp_path, ORIN)
    reader = Reader(root)
    (chip,) = reader.find("sys/bus/i2c/devices/*/hwmon/hwmon*")
    for path in list(chip.iterdir()):
        path.unlink()
    chip.rmdir()
    assert reader.find("in*_label", chip) == []
    assert reader.integer(chip / "in1_input") is None
    assert reader.missing == []


@pytest.mark.parametrize(
    ("status", "mode"),
    [
        ("pmode:0002\n", "MAXN_SUPER (2)"),
        ("pmode:0000 fmode:quiet", "15W (0)"),
        ("pmode:0007", "mode (7)"),
        ("junk", ""),
    ],
)
def test_the_power_mode_of_a_jetson_has_name_and_number(tmp_path, status, mode) -> None:
    conf = "< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n"
    files = {"var/lib/nvpmodel/status": status, "etc/nvpmodel.conf": conf}
    assert read_sensors(write(tmp_path, files)).power_mode == mode


def test_values_that_are_none(tmp_path) -> None:
    odd = dict.fromkeys({**PI5, **ORIN, **NANO, **INTEL}, "N/A\n")
    found = read_sensors(write(tmp_path, odd))
    assert (found.temperatures, found.clocks, found.rails, found.throttling) == ((), (), (), ())
    assert read_sensors(tmp_path / "nowhere") == Sensors()


def test_this_machine() -> None:
    assert isinstance(read_sensors(), Sensors)


@pytest.mark.parametrize(
    ("text", "now", "before"),
    [
        ("throttled=0x0", set(), set()),
        ("throttled=0x50005\n", {"under-voltage", "throttled"}, set()),
        ("0x80000", set(), {"soft temperature limit"}),
        ("20002", {"clock limited"}, set()),
        *((text, set(), set()) for text in ("", "VCHI initialization failed", "throttled=")),
    ],
)
def test_bits_of_vcgencmd(text: str, now: set[str], before: set[str]) -> None:
    found = parse_get_throttled(text)
    assert {each.reason for each in found if each.now} == now
    assert {each.reason for each in found if not each.now} == before


@given(st.text())
def test_no_text_raises(text: str) -> None:
    assert isinstance(parse_get_throttled(text), list)
    assert isinstance(parse_thermal_status(text), str)


def test_androids_thermal_status() -> None:
    assert parse_thermal_status("IsStatusOverride: false\nThermal Status: 2\n") == "moderate"
    assert parse_thermal_status("Can't find service: thermalservice") == ""
