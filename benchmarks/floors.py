"""Distance of networks to the limit of this machine, one thread: docs/measured/floors.json and floors.md.

    edgepose doctor --measure
    python benchmarks/floors.py OUT [--models rtmpose-t rtmpose-m rtmdet-nano]

Exports the models with random weights, which take as long as trained ones, as fp32 to every runtime, and measures them
in f32, on OpenVINO in bf16 as well. Run it on an idle machine; rows that are not valid are marked.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import msgspec
from progress import machine_words

from devices.detect import detect_machine
from edge.bench.limits.record import load_limits
from edge.bench.measure import Case, Plan, bench
from edge.bench.record import BenchRow
from export.exporter import export_model
from export.random_weights import random_model
from runtimes.artifact import Artifact
from runtimes.base import RunOptions
from runtimes.naming import Target, artifact_name
from runtimes.registry import ENGINES

MEASURED = Path(__file__).parents[1] / "docs/measured"
PLAN = Plan(rounds=10, time_s=6.0)
ONE = RunOptions(threads=1)


def artifacts_of(name: str, out: Path) -> list[Artifact]:
    """Return a model's fp32 artifacts, exported where they are missing."""
    model = random_model(name)
    targets = [Target(runtime, "fp32") for runtime in ENGINES]
    paths = {target: out / artifact_name(model.spec, target) for target in targets}
    missing = [target for target, path in paths.items() if not path.is_dir()]
    if missing:
        export_model(model, missing, out)
    return [Artifact.open(path) for path in paths.values() if path.is_dir()]


def cases_of(artifact: Artifact) -> list[Case]:
    """Return f32, and bf16 of OpenVINO."""
    narrow = artifact.manifest.runtime == "openvino"
    more = [Case(artifact, replace(ONE, precision="bf16"))] if narrow else []
    return [Case(artifact, ONE), *more]


def line(row: BenchRow) -> str:
    """Return a row of the page."""
    floor = f"{row.floor_ms:.2f} | {row.floor_ratio:.1f}x" if row.floor_ms else "- | -"
    macs = f"{(row.macs or 0) / 1e9:.3f}"
    valid = "" if row.valid else " (not valid)"
    return (
        f"| {row.model} | {row.runtime} | {row.arithmetic} | {macs} | {row.typical_ms:.2f}{valid} | {floor} "
        f"| {row.floor_by or '-'} |"
    )


def page(rows: list[BenchRow], words: str, by: list[str]) -> str:
    """Return floors.md."""
    names = (
        "model",
        "runtime",
        "arithmetic",
        "GMACs",
        "p50 ms",
        "floor ms",
        "over floor",
        "floor by",
    )
    head = f"| {' | '.join(names)} |\n{'|---' * len(names)}|"
    return (
        f"{head}\n" + "\n".join(map(line, rows)) + "\n\n"
        f"One thread, random weights, batch 1; `benchmarks/floors.py` on {words} Limits: {'; '.join(by)}.\n"
    )


def main() -> None:
    """Export, measure, write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--models", nargs="+", default=["rtmpose-t", "rtmpose-m", "rtmdet-nano"])
    args = parser.parse_args()
    limits = load_limits(detect_machine())
    if limits is None:
        parser.error("run `edgepose doctor --measure` first")
    args.out.mkdir(parents=True, exist_ok=True)
    rows: list[BenchRow] = []
    for name in args.models:
        found = artifacts_of(name, args.out)
        rows += bench([case for each in found for case in cases_of(each)], PLAN).rows
        print("\n".join(map(line, rows)), flush=True)
    single = sorted(
        (each for each in limits.rates if each.threads == 1), key=lambda each: each.macs_per_s
    )
    by = [
        f"{each.kind} {each.macs_per_s / 1e9:.1f} GMAC/s ({each.by})"
        for each in {
            each.kind: each for each in single
        }.values()  # the fastest of a kind comes last
    ]
    data = {"rows": rows, "limits": limits, "on": machine_words()}
    text = msgspec.json.format(msgspec.json.encode(data), indent=1)
    (MEASURED / "floors.json").write_bytes(text + b"\n")
    (MEASURED / "floors.md").write_text(page(rows, machine_words(), by))


if __name__ == "__main__":
    main()
