"""Outputs of the emulated board against those of this machine, judged, and the figures of a whole run as a record.

Usage: compare.py artifacts BOARD HOST RECORD.json    compares BOARD/outputs with HOST, both of outputs.py
       compare.py networks BOARD RECORD.json          what half precision did to each network
Writes RECORD.json and RECORD.md, the table of the documentation; exits with 1 where a difference is over its limit.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from devices.detect import detect_machine

# Of outputs, relative to the largest or 1; of boxes and keypoints, pixels.
OUTPUT_LIMIT, PIXEL_LIMIT = 2e-4, 0.05
HALF = ("ncnn", "openvino")  # the other engines compute f32 on a CPU
Record = dict[str, Any]


def differences(board: Path, host: Path) -> list[Record]:
    """Return a record for each array that both machines computed; f16 of the board is held against f32 here.

    A limit holds for float files in f32 arithmetic, where the machines differ by the order of sums alone. int8 kernels
    round at other places on each CPU, and f16 rounds every result: `verify` judges both, and what they differ by is
    stated here, limit None. Values must be finite in any case.
    """
    found = []
    for path in sorted(board.glob("*.npz")):
        artifact, arithmetic = path.name.removesuffix(".npz").rsplit(".", 1)
        free = artifact.endswith("-int8") or arithmetic != "f32"
        with np.load(path) as theirs, np.load(host / f"{artifact}.f32.npz") as ours:
            for name in ours:
                pixels = name.endswith(" px")
                limit = None if free else PIXEL_LIMIT if pixels else OUTPUT_LIMIT
                record: Record = {"artifact": artifact, "arithmetic": arithmetic, "array": name}
                error = difference(ours[name], theirs[name], relative=not pixels)
                finite = bool(np.isfinite(theirs[name]).all())
                other_count = limit is None and error is None and name == "boxes px"
                passed = finite and (other_count or error is not None)
                if passed and limit is not None and error is not None:
                    passed = error <= limit
                found.append(record | {"difference": error, "limit": limit, "passed": passed})
    return found


def difference(ours: np.ndarray, theirs: np.ndarray, *, relative: bool) -> float | None:
    """Return the largest difference, relative to the largest value or 1 where asked; None for other shapes."""
    if ours.shape != theirs.shape:
        return None
    mine, its = ours.astype(np.float64), theirs.astype(np.float64)
    scale = max(1.0, float(np.abs(mine).max(initial=0))) if relative else 1.0
    return float(np.abs(mine - its).max(initial=0)) / scale


def same_people(board: Path, host: Path) -> list[Record]:
    """Return how far `run`'s poses of the frame lie from this machine's, detection included; None: other people.

    No limit on pixels: the frame is resized by OpenCV, whose result differs on ARM by one grey level in places.
    """
    found = []
    for path in sorted((board / "run").glob("*.json")):
        theirs, ours = (
            np.array([each["keypoints"] for each in json.loads(file.read_text())])
            for file in (path, host / "run" / path.name)
        )
        same = ours.shape == theirs.shape and ours.size > 0
        xy = [each.reshape(len(each), -1, 3)[..., :2] for each in (ours, theirs)] if same else []
        moved = float(np.linalg.norm(xy[0] - xy[1], axis=2).max()) if same else None
        record = {"runtime": path.stem, "people": len(theirs), "here": len(ours), "moved_px": moved}
        found.append(record | {"passed": same})
    return found


def verdicts(steps: list[Record]) -> list[Record]:
    """Return what `verify --json` said, with the artifact's name."""
    return [
        {"artifact": each["step"].split(" ")[1], **each["said"]}
        for each in said_of(steps, "verify")
    ]


def table(record: Record) -> str:
    """Return the figures of each artifact as a Markdown table."""
    head = (
        "| artifact | `verify`, f32 | outputs against x86 | boxes, keypoints against x86, px | `verify`, f16 "
        "| f16 outputs against x86's f32 |\n| --- | --- | --- | --- | --- | --- |"
    )
    names = sorted({each["artifact"] for each in record["verify"]})
    rows = (row(name, record) for name in names)
    return "\n".join(
        [head, *rows, "", *attention_words(record), *people_words(record), effort(record)]
    )


def attention_words(record: Record) -> list[str]:
    """Return how many values are not finite where attention overflows half; none where it did not run."""
    counted = [
        f"{each['without']} without the masks and {each['with_masks']} with them ({each['network']})"
        for step in record["attention"]
        for each in step["said"]
    ]
    return [f"ViTs in `f16`, values that are not finite: {'; '.join(counted)}."] if counted else []


def people_words(record: Record) -> list[str]:
    """Return how far `run` moved keypoints on the board, in a sentence; none where it did not run."""
    moved = [
        f"{each['runtime']} {each['people']} of {each['here']}"
        + ("" if each["moved_px"] is None else f", by up to {each['moved_px']:.2g} px")
        for each in record["people"]
    ]
    return (
        [f"`run`, people found here and their keypoints moved: {'; '.join(moved)}."]
        if moved
        else []
    )


def effort(record: Record) -> str:
    """Return what was emulated and how long it took, in a sentence."""
    commands = record["commands"]
    minutes = sum(each["cpu_s"] for each in commands) / 60
    failed = [each["name"] for each in commands if each["code"]]
    said = f"failed: {', '.join(failed)}" if failed else "none failed"
    return (
        f"{len(commands)} commands, {said}; {minutes:.0f} minutes of CPU time. "
        f"{record['emulator']}, {record['cpu']}, on {record['on']}."
    )


def row(name: str, record: Record) -> str:
    """Return one artifact's row."""
    said = {each["arithmetic"]: each for each in record["verify"] if each["artifact"] == name}

    def worst(arithmetic: str, *, pixels: bool) -> str:
        chosen = [
            each["difference"]
            for each in record["differences"]
            if (each["artifact"], each["arithmetic"]) == (name, arithmetic)
            and each["array"].endswith(" px") == pixels
        ]
        if None in chosen:
            return "another number of boxes"
        return f"{max(chosen):.2g}" if chosen else "not run"

    cells = [verdict(said.get("f32")), worst("f32", pixels=False), worst("f32", pixels=True)]
    half = any(f".{runtime}-" in name for runtime in HALF)
    cells += [verdict(said.get("f16")), worst("f16", pixels=False)] if half else ["f32 alone", ""]
    return f"| `{name}` | {' | '.join(cells)} |"


def verdict(said: Record | None) -> str:
    """Return the verdict of `verify` with its figure and limit, in words."""
    if said is None:
        return "not run"
    word = {True: "passed", False: "refused", None: "unjudged"}[said["passed"]]
    if said["basis"] == "px":
        return f"{word}, p95 {said['px_p95']:.2g} px (limit {said['limit']:g})"
    return f"{word}, {said['basis']}, raw {said['raw_error']:.2g}"


def network_table(networks: list[Record]) -> str:
    """Return what half precision did to each network as a Markdown table."""
    lines = [
        "| network | engine | not finite | of values | error against PyTorch | inference, emulated s |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for each in networks:
        _, network, artifact = each["step"].split(" ")
        said, engine = each["said"], artifact.rsplit(".", 1)[1].removesuffix("-fp32")
        error = "" if said["raw_error"] is None else f"{said['raw_error']:.2g}"
        cells = (said["not_finite"], said["values"], error, said["inference_s"])
        lines.append(f"| {network} | {engine} | {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def read_steps(board: Path, kind: str) -> list[Record]:
    """Return what became of the steps of one kind."""
    steps = [json.loads(path.read_text()) for path in sorted((board / "steps").glob("*.json"))]
    return [each for each in steps if each["name"].startswith("half ") == (kind == "networks")]


def said_of(steps: list[Record], name: str) -> list[Record]:
    """Return the JSON that steps of a name printed, of those that came so far."""
    return [
        {"step": each["name"], "said": json.loads(each["out"])}
        for each in steps
        if each["name"].split(" ")[0] == name and each["out"]
    ]


def conditions(board: Path, kind: str, steps: list[Record]) -> Record:
    """Return what emulated, on what, and how long each command took."""
    emulator = (board / "py").read_text().split('"')[1]
    said = subprocess.run([emulator, "--version"], capture_output=True, text=True, check=True)  # noqa: S603 - ours
    return {
        "emulator": said.stdout.splitlines()[0],
        "cpu": "cortex-a76",
        "on": detect_machine().cpu_model,
        **json.loads((board / f"{kind}.json").read_text()),
        "commands": [{k: v for k, v in each.items() if k != "out"} for each in steps],
    }


def main() -> int:
    """Compare, print what is over a limit, write the record; returns 1 where something is."""
    match sys.argv[1:]:
        case ["artifacts", board, host, target]:
            steps = read_steps(Path(board), "artifacts")
            record = conditions(Path(board), "artifacts", steps)
            record["verify"] = verdicts(steps)
            record["differences"] = differences(Path(board) / "outputs", Path(host))
            record["people"] = same_people(Path(board), Path(host))
            record["attention"] = said_of(steps, "attention")
            text = table(record)
        case ["networks", board, target]:
            steps = read_steps(Path(board), "networks")
            record = conditions(Path(board), "networks", steps)
            record["networks"] = said_of(steps, "half")
            text = f"{network_table(record['networks'])}\n\n{effort(record)}"
        case _:
            raise SystemExit(__doc__)
    print(text)
    Path(target).write_text(json.dumps(record, indent=1) + "\n")
    Path(target).with_suffix(".md").write_text(text + "\n")
    judged = [*record.get("differences", []), *record.get("people", [])]
    over = [each for each in judged if not each["passed"]]
    for each in over:
        print(f"over its limit: {each}", file=sys.stderr)
    return int(bool(over))


if __name__ == "__main__":
    sys.exit(main())
