"""State of a phone: texts of /proc and /sys, `getprop` and `dumpsys thermalservice`, and what they mean."""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec

from devices.detect import detect_machine
from devices.identity import detect_identity
from devices.machine import Machine
from devices.parse.board import parse_getprop
from devices.parse.cpuinfo import cpu_model
from devices.telemetry import Sensors, Throttling, read_sensors
from devices.telemetry.thermal import parse_thermal_status
from devices.topology import Topology, read_topology

CPU = "/sys/devices/system/cpu"
FILES = (
    *("/proc/cpuinfo", "/proc/meminfo", "/proc/loadavg"),
    *(f"/sys/devices/soc0/{name}" for name in ("soc_id", "family", "machine")),
    f"{CPU}/online",
    f"{CPU}/cpu[0-9]*/cpu_capacity",
    *(
        f"{CPU}/cpu[0-9]*/cpufreq/{name}"
        for name in ("scaling_cur_freq", "scaling_max_freq", "cpuinfo_max_freq", "scaling_governor")
    ),
    *(f"/sys/class/thermal/thermal_zone*/{name}" for name in ("type", "temp")),
)
PROPERTIES, THERMAL, ARCH = "getprop", "thermalservice", "arch"
# Each text after a line with its name. A phone shows its shell only some of them.
SCRIPT = (
    f"for f in {' '.join(FILES)}; do test -r $f && "
    '{ echo "@edgepose text $f"; cat $f 2>/dev/null; echo; }; done; '
    f"echo '@edgepose text {ARCH}'; uname -m; echo '@edgepose text {PROPERTIES}'; getprop; "
    f"echo '@edgepose text {THERMAL}'; dumpsys thermalservice 2>/dev/null; true"
)
# files that were asked for, and no others, whatever a phone prints
_KNOWN = re.compile(
    "|".join(
        re.escape(name).replace(r"\[0\-9\]\*", r"\d{1,4}").replace(r"\*", r"\d{1,4}")
        for name in FILES
    )
)
_NAME = re.compile(r"^@edgepose text (\S+)\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class PhoneState:
    """A phone at one time; android: its version, "" where unknown; load: average over a minute, None where hidden."""

    machine: Machine
    topology: Topology
    sensors: Sensors
    load: float | None
    android: str


def parse_state(printed: str) -> PhoneState:
    """Return the state that the output of SCRIPT shows; raises nothing."""
    texts = split_texts(printed)
    properties = parse_getprop(texts.get(PROPERTIES, ""))
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        _write(root, texts)
        topology, sensors = read_topology(root), read_sensors(root)
        found, identity = detect_machine(root), detect_identity(root)
    model = " ".join(
        properties[key] for key in ("ro.product.manufacturer", "ro.product.model") if key in properties
    )  # fmt: skip
    arch = texts.get(ARCH, "").strip()
    machine = msgspec.structs.replace(
        found,
        arch=arch if re.fullmatch(r"\w{1,20}", arch, re.ASCII) else identity.arch,
        cpu_model=cpu_model(texts.get("/proc/cpuinfo", ""), model),
        logical_cores=topology.usable,
        allowed_cores=topology.usable,
    )
    return PhoneState(
        machine=machine,
        topology=topology,
        sensors=_with_status(sensors, parse_thermal_status(texts.get(THERMAL, ""))),
        load=_load(texts.get("/proc/loadavg", "")),
        android=properties.get("ro.build.version.release", ""),
    )


def split_texts(printed: str) -> dict[str, str]:
    """Return the texts by the names that SCRIPT prints before them."""
    _, *parts = _NAME.split(printed.replace("\r\n", "\n"))
    return dict(zip(parts[::2], parts[1::2], strict=True))


def _write(root: Path, texts: dict[str, str]) -> None:
    """Write the texts below `root` as the files they are of."""
    for name, text in texts.items():
        if _KNOWN.fullmatch(name):
            path = root / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.strip() + "\n")
    (root / "getprop.txt").write_text(texts.get(PROPERTIES, ""))


def _with_status(sensors: Sensors, status: str) -> Sensors:
    """Return the sensors with Android's own verdict on heat, where that is any."""
    if status in {"", "none"}:
        return sensors
    reason = Throttling(reason=f"thermal status {status}", now=True)
    return msgspec.structs.replace(sensors, throttling=(*sensors.throttling, reason))


def _load(text: str) -> float | None:
    found = re.match(r"(\d{1,6}\.\d+) ", text, re.ASCII)
    return float(found[1]) if found else None
