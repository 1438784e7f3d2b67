"""edgepose devices: this board or computer, its profile with sources, cores, and what suits it. Loads no engine."""

from pathlib import Path

import click

from devices.profiles.match import Evidence
from devices.profiles.profile import peak_gflops, unverified
from devices.report import DeviceReport, RankedRuntime, device_report
from devices.telemetry import Sensors, read_sensors
from devices.topology import Cluster
from edge.cli.console import emit_json, emit_table, hint, say
from edge.cli.options import PATH, json_option
from runtimes.errors import InputError


@click.command("devices")
@click.option(
    "--root",
    type=PATH,
    default=Path("/"),
    help="A folder with proc/ and sys/ copied from another device; getprop.txt for Android. Default: this one.",
)
@json_option
def command(root: Path, as_json: bool) -> None:
    """Show which device this is and why, its cores, thread counts worth measuring, runtimes in order, and its sensors.

    Each fact of a profile names its source; K marks unverified facts. No setting of the device is changed.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no folder; give one that holds proc/ and sys/")
    report = device_report(root)
    sensors = read_sensors(root)
    if as_json:
        emit_json({**_record(report), "sensors": sensors, "root": str(root)})
    else:
        emit_table(["field", "value", "from"], _facts(report))
        click.echo()
        emit_table(["cores", "role", "cpus", "physical", "max GHz"], _clusters(report.clusters))
        click.echo()
        emit_table(
            ["runtime", "on", "arithmetic", "engine", "from", "note"], _runtimes(report.runtimes)
        )
        click.echo()
        emit_table(["sensor", "now"], _sensors(sensors))
        _tell(report)
    counts = ",".join(map(str, report.thread_candidates))
    hint(f"edgepose tune ARTIFACT --threads {counts}")


def _record(report: DeviceReport) -> dict[str, object]:
    return {name: getattr(report, name) for name in DeviceReport.__dataclass_fields__} | {
        "peak_gflops": {
            kind: peak_gflops(report.profile, kind) for kind in ("fp32", "fp16", "int8")
        }
    }


def _facts(report: DeviceReport) -> list[list[str]]:
    """Return the rows of the device: what, value, the file or source keys it comes from."""
    profile, sources = report.profile, report.profile.sources
    memory = "unknown" if report.memory_bytes is None else f"{report.memory_bytes / 2**30:.1f} GiB"
    counts = ", ".join(map(str, report.thread_candidates))
    threads = f"{report.threads}; worth measuring: {counts}"
    rows = [
        ["device", profile.name, _because(report.evidence)],
        ["profile", profile.id, ""],
        ["board", report.board, "/proc/device-tree/model"],
        ["cpu", report.cpu_model or "unknown", "/proc/cpuinfo"],
        ["architecture", report.arch, ""],
        ["instruction sets", " ".join(report.isa) or "unknown", "/proc/cpuinfo"],
        ["memory", memory, "/proc/meminfo, cgroup"],
        ["usable cores", str(report.usable_cores), "affinity, cgroup"],
        ["big cores by", report.clusters_by, ""],
        ["threads", threads, _keys(sources.get("threads", ()))],
        ["threads note", profile.threads.note, _keys(sources.get("threads", ()))],
    ]
    if profile.memory_gb_per_s:
        keys = _keys(sources["memory_gb_per_s"])
        rows.append(["memory bandwidth", f"{profile.memory_gb_per_s:g} GB/s", keys])
    for name, part in (("npu", profile.npu), ("gpu", profile.gpu)):
        if part:
            rows.append([name, part.name, _keys(sources[name])])
    if profile.python:
        shipped = ", ".join(f"{name} {version}" for name, version in profile.python.items())
        rows.append(["vendor's system", shipped, _keys(sources["python"])])
    if profile.latency:
        times = ", ".join(f"{name} {ms:g} ms" for name, ms in profile.latency.model_ms.items())
        published = f"{profile.latency.runtime} {profile.latency.precision}: {times}"
        rows.append(["published times", published, _keys(sources["latency"])])
    return [row for row in rows if row[1]]


def _because(evidence: Evidence | None) -> str:
    if evidence is None:
        return "architecture alone"
    doubt = "" if evidence.certain else "; other devices may say the same"
    return f"{evidence.file}: {evidence.found} {_keys(evidence.source)}{doubt}"


def _clusters(clusters: tuple[Cluster, ...]) -> list[list[str]]:
    return [
        [
            each.core or "unknown",
            each.role,
            _ranges(each.cpus),
            str(each.cores),
            "-" if each.max_ghz is None else f"{each.max_ghz:g}",
        ]
        for each in clusters
    ]


def _runtimes(runtimes: tuple[RankedRuntime, ...]) -> list[list[str]]:
    return [
        [
            each.runtime,
            each.backend,
            ", ".join(each.arithmetic),
            each.engine or "missing",
            _keys(each.source),
            f"{each.note} {_keys(each.precision_source)}" if each.note else "",
        ]
        for each in runtimes
    ]


def _sensors(sensors: Sensors) -> list[list[str]]:
    rows = [[each.name, f"{each.celsius:.1f} °C"] for each in sensors.temperatures]
    for each in sensors.clocks:
        most = f" of {each.max_ghz:.2f}" if each.max_ghz else ""
        rows.append([f"cpu{each.cpu}", f"{each.ghz:.2f}{most} GHz {each.governor}".rstrip()])
    rows += [
        [f"{each.monitor} {each.name}".strip(), f"{each.watts:.2f} W"] for each in sensors.rails
    ]
    rows += [[each.name, f"{each.joules:.0f} J so far"] for each in sensors.energies]
    for reason in sensors.throttling:
        times = "" if reason.count is None else f", {reason.count} times"
        rows.append(
            ["throttling", f"{reason.reason}: {'now' if reason.now else 'since the start'}{times}"]
        )
    if sensors.power_mode:
        rows.append(["power mode", sensors.power_mode])
    rows += [["not read", each] for each in sensors.missing]
    return rows or [
        ["none", "this system shows no sensors (virtual machines and containers do not)"]
    ]


def _tell(report: DeviceReport) -> None:
    """Say the profile's notes, and what the source keys in use stand for."""
    for note in report.profile.notes:
        say(f"note: {note.text} {_keys(note.source)}")
    for key, text in report.sources.items():
        say(f"[{key}] {text}")


def _keys(keys: tuple[str, ...]) -> str:
    """Write source keys, the one of what is not verified first."""
    return f"[{', '.join(sorted(keys, key=lambda key: not unverified((key,))))}]" if keys else ""


def _ranges(cpus: tuple[int, ...]) -> str:
    """Write CPU numbers as the kernel does: 0-3,8."""
    runs: list[list[int]] = []
    for cpu in cpus:
        if runs and cpu == runs[-1][-1] + 1:
            runs[-1].append(cpu)
        else:
            runs.append([cpu])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
