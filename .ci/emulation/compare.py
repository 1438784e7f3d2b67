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
    said = []
    for step in steps:
        kind, _, rest = step["name"].partition(" ")
        if kind == "verify" and step["out"]:
            said.append({"artifact": rest.rsplit(" ", 1)[0], **json.loads(step["out"])})
    return said


def table(record: Record) -> str:
    """Return the figures of each artifact as a Markdown table."""
    head = (
        "| artifact | `verify`, f32 | outputs against x86 | boxes, keypoints against x86, px | `verify`, f16 "
        "| f16 outputs against x86's f32 |\n| --- | --- | --- | --- | --- | --- |"
    )
    names = sorted({each["artifact"] for each in record["verify"]})
    return "\n".join([head, *(row(name, record) for name in names)])


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
        return f"{max(chosen):.2g}" if chosen else ""

    cells = [verdict(said.get("f32")), worst("f32", pixels=False), worst("f32", pixels=True)]
    cells += [verdict(said.get("f16")), worst("f16", pixels=False)]
    return f"| `{name}` | {' | '.join(cells)} |"


def verdict(said: Record | None) -> str:
    """Return the verdict of `verify` with its figure and limit, in words."""
    if said is None:
        return ""
    word = {True: "passed", False: "refused", None: "unjudged"}[said["passed"]]
    if said["basis"] == "px":
        return f"{word}, p95 {said['px_p95']:.2g} px (limit {said['limit']:g})"
    return f"{word}, {said['basis']}, raw {said['raw_error']:.2g}"


def network_table(steps: list[Record]) -> str:
    """Return what half precision did to each network as a Markdown table."""
    lines = [
        "| network | engine | not finite | of values | error against PyTorch | inference, emulated s |"
    ]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    for step in steps:
        _, network, artifact = step["name"].split(" ")
        if step["out"]:
            said = json.loads(step["out"])
            error = "" if said["raw_error"] is None else f"{said['raw_error']:.2g}"
            engine = artifact.rsplit(".", 1)[1].removesuffix("-fp32")
            cells = (said["not_finite"], said["values"], error, said["inference_s"])
            lines.append(f"| {network} | {engine} | {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def read_run(board: Path, kind: str) -> Record:
    """Return how long the run took, and what became of its steps."""
    run: Record = json.loads((board / f"{kind}.json").read_text())
    networks = kind == "networks"
    steps = [json.loads(path.read_text()) for path in sorted((board / "steps").glob("*.json"))]
    run["steps"] = [each for each in steps if each["name"].startswith("half ") == networks]
    return run


def conditions(board: Path) -> Record:
    """Return what emulated, and on what."""
    launcher = (board / "py").read_text()
    emulator = launcher.split('"')[1]
    said = subprocess.run([emulator, "--version"], capture_output=True, text=True, check=True)  # noqa: S603 - ours
    return {
        "emulator": said.stdout.splitlines()[0],
        "cpu": "cortex-a76",
        "on": detect_machine().cpu_model,
    }


def main() -> int:
    """Compare, print what is over a limit, write the record; returns 1 where something is."""
    match sys.argv[1:]:
        case ["artifacts", board, host, target]:
            run = read_run(Path(board), "artifacts")
            record = conditions(Path(board)) | {
                "verify": verdicts(run["steps"]),
                "differences": differences(Path(board) / "outputs", Path(host)),
                "people": same_people(Path(board), Path(host)),
            }
            text = table(record)
        case ["networks", board, target]:
            run = read_run(Path(board), "networks")
            record, text = conditions(Path(board)), network_table(run["steps"])
        case _:
            raise SystemExit(__doc__)
    commands = [
        {**each, "out": each["out"] if "half" in each["name"] else ""} for each in run["steps"]
    ]
    record |= {"jobs": run["jobs"], "wall_s": run["wall_s"], "commands": commands}
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
