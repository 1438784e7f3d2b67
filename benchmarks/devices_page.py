"""Tables of docs/devices.md, from the device profiles and the files of real devices in tests/data. Measures nothing.

python benchmarks/devices_page.py docs/devices.md
"""

import json
import re
import sys
from pathlib import Path
from typing import Literal

from devices.profiles.profile import Profile, load_profiles, peak_gflops, unverified

DATA = Path(__file__).resolve().parents[1] / "tests" / "data" / "devices"
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
PEAKS: tuple[Literal["fp32", "fp16", "int8"], ...] = ("fp32", "fp16", "int8")


def tables() -> str:
    """Return all tables of the page, between its marks."""
    known = [each for each in load_profiles().profiles if each.family != "generic"]
    return "\n\n".join(
        [
            "### Devices\n\n" + profile_table(known),
            "### Runtimes and arithmetic, in order\n\n" + runtime_table(),
            "### Notes\n\n" + notes(known),
            "### Files of real devices in the tests\n\n" + fixture_table(),
            "### Source keys\n\n" + sources(),
        ]
    )


def profile_table(profiles: list[Profile]) -> str:
    """Return a line for each device: how it is known, its cores, peaks, threads and memory."""
    rows = []
    for each in profiles:
        source = each.sources
        cores = " + ".join(f"{part.count}x {part.core} {part.max_ghz:g}" for part in each.clusters)
        peaks = " / ".join(_figure(peak_gflops(each, kind)) for kind in PEAKS)
        counts = ", ".join(map(str, each.threads.candidates)) or each.threads.note
        memory = f"{each.memory_gb_per_s:g}" if each.memory_gb_per_s else "-"
        rows.append(
            [
                f"`{each.id}`<br>{each.name}",
                _known_by(each),
                f"{cores} {_keys(source['clusters'])}",
                peaks,
                f"{counts} {_keys(source['threads'])}",
                f"{memory} {_keys(source.get('memory_gb_per_s', ()))}".strip(),
            ]
        )
    header = ["device", "known by", "cores, GHz", "peak fp32 / fp16 / int8", "threads", "GB/s"]
    return _table(header, rows)


def runtime_table() -> str:
    """Return a line for each profile: runtimes with what they run on, and the arithmetic of each."""
    document = load_profiles()
    rows = []
    for each in document.profiles:
        order = ", ".join(
            f"{choice.runtime}" + ("" if choice.backend == "cpu" else f" on {choice.backend}")
            + f" {_keys(choice.source)}"
            for choice in each.runtimes
        )  # fmt: skip
        precision = "; ".join(
            f"{choice.runtime}: {', '.join(choice.arithmetic)} {_keys(choice.source)}"
            for choice in document.precision[each.precision]
        )
        rows.append([f"`{each.id}`", order, precision])
    return _table(["profile", "runtimes", "arithmetic"], rows)


def notes(profiles: list[Profile]) -> str:
    """Return the notes of the devices that have any."""
    lines = []
    for each in profiles:
        parts = [f"{note.text} {_keys(note.source)}" for note in each.notes]
        if each.npu and each.npu.rtmpose_body2d_float_ms:
            time = f"{each.npu.rtmpose_body2d_float_ms:g} ms for rtmpose_body2d in float"
            parts.append(f"{each.npu.name}: {time} {_keys(each.sources['npu'])}")
        if each.latency:
            times = ", ".join(f"{name} {ms:g}" for name, ms in each.latency.model_ms.items())
            kind = f"{each.latency.runtime} {each.latency.precision}"
            parts.append(f"published, {kind}: {times} ms {_keys(each.sources['latency'])}")
        if parts:
            lines.append(f"- `{each.id}`: {'; '.join(parts)}")
    return "\n".join(lines)


def fixture_table() -> str:
    """Return a line for each device of tests/data/devices: where its texts are from, and what is found."""
    rows = []
    for path in sorted(DATA.glob("*.json")):
        document = json.loads(path.read_text())
        expected = document["expected"]
        doubt = {True: "", False: " (others may say the same)", None: " (by architecture)"}
        rows.append(
            [
                path.stem,
                f"`{expected['profile']}`{doubt[expected['certain']]}",
                document["source"],
            ]
        )
    return _table(["device", "found", "texts from"], rows)


def sources() -> str:
    """Return what the source keys stand for."""
    return _table(["key", "source"], [[f"`{k}`", v] for k, v in load_profiles().sources.items()])


def _known_by(profile: Profile) -> str:
    match = profile.match
    named = {
        "modules": match.modules,
        "compatible": match.compatible,
        "model": (match.model,) if match.model else (),
        "soc_ids": match.soc_ids,
        "android_models": match.android_models,
        "android_platforms": match.android_platforms,
        "cores": [" + ".join(f"{n}x {midr}" for midr, n in each.items()) for each in match.cores],
        "brand": (match.brand,) if match.brand else (),
    }
    titles = {"soc_ids": "soc_id", "android_models": "SoC", "android_platforms": "platform"}
    parts = [
        f"{titles.get(name, name)} {', '.join(f'`{value}`' for value in values)}"
        f" {_keys(profile.sources[name])}"
        for name, values in named.items()
        if values
    ]
    if match.cpuid:
        models = ", ".join(map(str, match.cpuid.models)) or "any"
        family = ", ".join(map(str, match.cpuid.families))
        flags = "".join(f", {flag}" for flag in match.cpuid.flags)
        keys = _keys(profile.sources["cpuid"])
        parts.append(f"{match.cpuid.vendor} family {family}, model {models}{flags} {keys}")
    return "<br>".join(parts)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _keys(keys: tuple[str, ...]) -> str:
    """Return source keys in brackets; what is not verified is set in bold type."""
    return f"[{', '.join('**K**' if unverified((key,)) else key for key in keys)}]" if keys else ""


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    cells = [[re.sub(r"(?<!\\)\|", r"\\|", cell) for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def filled(page: str) -> str:
    """Return the page with its tables made anew."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(filled(target.read_text()))
