"""Speed of the int8 artifacts that int8_table.py made, beside their parents: one thread, nothing else on the machine.

    python benchmarks/int8_speed.py docs/measured OUT

Every artifact runs in a process of its own; float, int8 and (on OpenVINO) the float one in bf16 take turns. The gate
judged these same files. Writes int8_speed.json; `valid` says whether every process had its core.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from telling import machine_words

from edge.bench import Case, Plan, bench
from runtimes.artifact import Artifact
from runtimes.base import RunOptions

PLAN = Plan(rounds=12, time_s=4.0)


def speeds(parent: Artifact, made: Artifact) -> dict[str, Any]:
    """Return medians in milliseconds of a parent, its int8 and (OpenVINO) its bf16, and whether they are valid."""
    one = RunOptions(threads=1)
    cases = [Case(parent, one), Case(made, one)]
    if parent.manifest.runtime == "openvino":
        cases.append(Case(parent, replace(one, precision="bf16")))
    rows = bench(cases, PLAN).rows
    return {
        "parent_ms": rows[0].p50_ms,
        "int8_ms": rows[1].p50_ms,
        "bf16_ms": rows[2].p50_ms if len(rows) > 2 else None,
        "valid": all(row.valid for row in rows),
    }


def main() -> None:
    """Measure every pair in int8.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("measured", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    table = msgspec.json.decode((args.measured / "int8.json").read_bytes())
    found: dict[str, Any] = {}
    for row in table["rows"]:
        # a refused artifact goes once another of its name has passed
        if row["artifact"] and (args.out / row["artifact"]).is_dir():
            pair = (Artifact.open(args.out / row[name]) for name in ("parent", "artifact"))
            found[row["artifact"]] = speeds(*pair)
            print(row["artifact"], found[row["artifact"]], flush=True)
    data = {"speeds": found, "on": machine_words()}
    path = args.measured / "int8_speed.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(data), indent=1) + b"\n")


if __name__ == "__main__":
    main()
