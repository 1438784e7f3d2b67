"""A phone's own texts, in the form that the script prints them, as its machine, cores and heat."""

import subprocess

import pytest
from device_files import read_device
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.bench.remote.phone.state import SCRIPT, parse_state, split_texts

# `dumpsys thermalservice` of Android 10 and later
THERMAL = "IsStatusOverride: false\nThermalEventListeners:\n\tcallbacks: 2\nThermal Status: {}\nCached temperatures:\n"


def printed(**texts: str) -> str:
    return "".join(f"@edgepose text {name}\n{text}\n\n" for name, text in texts.items())


def phone(name: str, **more: str) -> str:
    files = {f"/{path}": text for path, text in read_device(name).files.items()}
    properties = files.pop("/getprop.txt", "")
    return printed(**{"arch": "aarch64", **files, "getprop": properties, **more})


def test_a_phone_is_identified_with_its_big_cores() -> None:
    state = parse_state(phone("snapdragon-865-android"))
    assert (state.machine.profile, state.machine.arch) == ("snapdragon-865", "aarch64")
    assert (state.machine.logical_cores, state.machine.allowed_cores) == (8, 8)
    assert "asimdhp" in state.machine.isa
    big, little = state.topology.clusters
    assert (big.role, big.cpus, little.cpus) == ("big", (4, 5, 6, 7), (0, 1, 2, 3))
    assert (state.load, state.android, state.sensors.temperatures) == (None, "", ())


def test_its_maker_model_and_version_are_named() -> None:
    properties = (
        "[ro.product.manufacturer]: [Xiaomi]\r\n[ro.product.model]: [Mi 10]\r\n[ro.soc.model]: [SM8250]\r\n"
        "[ro.build.version.release]: [13]\r\n"
    )
    state = parse_state(phone("snapdragon-865-android", getprop=properties))
    assert state.machine.cpu_model.startswith("Xiaomi Mi 10 (4x Kryo Silver (Cortex-A55) + ")
    assert (state.machine.profile, state.android) == ("snapdragon-865", "13")


def test_heat_clocks_and_load_are_read() -> None:
    files = {
        "/proc/loadavg": "3.25 3.00 2.90 2/3000 777",
        "/sys/class/thermal/thermal_zone12/type": "battery",
        "/sys/class/thermal/thermal_zone12/temp": "33500",
        "/sys/devices/system/cpu/cpu7/cpufreq/scaling_cur_freq": "2841600",
        "/sys/devices/system/cpu/cpu7/cpufreq/scaling_max_freq": "1900800",
        "/sys/devices/system/cpu/cpu7/cpufreq/cpuinfo_max_freq": "2841600",
        "thermalservice": THERMAL.format(3),
    }
    state = parse_state(phone("snapdragon-865-android", **files))
    assert (state.load, state.sensors.hottest.name, state.sensors.hottest.celsius) == (
        3.25,
        "battery",
        33.5,
    )
    assert [clock.ghz for clock in state.sensors.clocks] == [2.8416]
    reasons = [each.reason for each in state.sensors.throttling]
    assert reasons == [
        "clock limited: cpu7 1.9008 of 2.8416 GHz",
        "thermal status severe",
    ]


def test_a_cool_phone_is_not_throttled() -> None:
    text = phone("snapdragon-865-android", thermalservice=THERMAL.format(0))
    assert parse_state(text).sensors.throttling == ()


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=200), st.sampled_from(["/proc/cpuinfo", "arch", "getprop", "/etc/x"]))
def test_no_text_raises(text: str, name: str) -> None:
    assert parse_state(f"@edgepose text {name}\n{text}").topology.usable >= 1


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "/proc/../../etc/x", "/proc", "/proc/cpuinfo/x", "x"]
)
def test_files_that_were_not_asked_for_are_not_written(name) -> None:
    both = printed(**{"/proc/cpuinfo": "CPU part : 0xd07", name: "text"})
    assert parse_state(both).machine.cpu_model == ""


def test_the_script_runs_in_a_plain_shell() -> None:
    done = subprocess.run(["/bin/sh", "-c", SCRIPT], capture_output=True, check=True)
    texts = split_texts(done.stdout.decode(errors="replace"))
    assert {"arch", "getprop", "thermalservice"} <= set(texts)
