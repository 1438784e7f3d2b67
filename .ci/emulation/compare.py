"""Outputs of the emulated board against those of this machine, judged, and the figures of a whole run as a record.

Usage: compare.py artifacts BOARD HOST RECORD.json    compares BOARD/outputs with HOST, both of outputs.py
       compare.py networks BOARD RECORD.json          what half precision did to each network
Writes RECORD.json and RECORD.md, the table of the documentation; exits with 1 where a difference is over its limit.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from words import effort, network_table, table

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
    return [
        {"artifact": each["step"].split(" ")[1], **each["said"]}
        for each in said_of(steps, "verify")
    ]


def test_results(board: Path) -> dict[str, dict[str, int]]:
    """Return how many tests passed, failed and were skipped in each part, as pytest's last line says."""
    results = {}
    for path in sorted((board / "steps").glob("pytest *.out")):
        last = path.read_text().splitlines()[-1:]
        counts = re.findall(r"(\d+) (passed|failed|skipped|errors?)\b", " ".join(last))
        results[path.stem] = {word: int(count) for count, word in counts}
    return results


def read_steps(folder: Path) -> list[Record]:
    """Return what became of each step."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


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
            steps = read_steps(Path(board) / "steps")
            record = conditions(Path(board), "artifacts", steps)
            record["verify"] = verdicts(steps)
            record["differences"] = differences(Path(board) / "outputs", Path(host))
            record["tests"] = test_results(Path(board))
            record["people"] = same_people(Path(board), Path(host))
            record["attention"] = said_of(steps, "attention")
            text = table(record)
        case ["networks", board, target]:
            steps = read_steps(Path(board) / "networks/steps")
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
