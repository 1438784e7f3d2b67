"""Table of int8.md: accuracy (int8.json) and speed (int8_speed.json) of the same files.

python benchmarks/int8_page.py docs/measured
"""

import sys
from pathlib import Path
from typing import Any

import msgspec
from int8_table import DRAWN_VAL, MAX_DROP, PHOTOGRAPHS

from edge.parity.compare import PX_LIMITS
from quantize.int8.calibration import CALIBRATION

HEADER = (
    *(
        "model",
        "runtime, mode",
        "gate",
        "AP, float",
        "AP drop (95 % interval)",
        "boxes matched, score shift",
    ),
    *(
        "px p95",
        "MB (float)",
        "weight bytes / expected",
        "ms, float -> int8",
        "times as fast",
        "bf16",
        "left in float",
    ),
)


def cells(row: dict[str, Any], speed: dict[str, Any] | None) -> list[str]:
    """Return one line of the table."""
    name = [row["model"], f"{row['runtime']}, {row['mode']}"]
    if row["error"]:
        return [*name, f"not made: {row['error']}", *[""] * (len(HEADER) - 3)]
    by = "AP alone" if row["gate"] == "raw" else row["gate"]
    matched, px = row["matched"], row["px_p95"]
    low, high = row["interval"]
    return [
        *name,
        f"{verdict(row)} ({by})",
        f"{row['ap_parent']:.4f}",
        f"{row['drop']:+.4f} ({low:+.4f} .. {high:+.4f})",
        "" if matched is None else f"{matched:.1%}, {row['score_shift']:+.3f}",
        "" if px is None else f"{px:.2f}",
        f"{row['bytes'] / 1e6:.2f} ({row['parent_bytes'] / 1e6:.2f})",
        *speed_cells(speed),
        str(row["kept"]),
    ]


def verdict(row: dict[str, Any]) -> str:
    """Return the verdict; the students are judged by AP, undecided where its interval spans the limit."""
    limit = MAX_DROP[row["model"]] / 100
    low, high = row["interval"]
    if row["passed"] is not False:
        return "passed" if row["passed"] else "undecided"
    judged_by_ap = row["model"] in {"student", "vit"}
    within = row["px_p95"] is None or row["px_p95"] <= PX_LIMITS["int8"]
    return "undecided" if judged_by_ap and within and low <= limit < high else "refused"


def speed_cells(speed: dict[str, Any] | None) -> list[str]:
    """Return times and ratios; a star where a process had no core to itself."""
    if speed is None:
        return ["", "", "", ""]
    parent, star = speed["parent_ms"], "" if speed["valid"] else "*"
    bf16 = speed["bf16_ms"]
    return [
        f"{speed['weights']:.2f}",
        f"{parent:.2f} -> {speed['int8_ms']:.2f}",
        f"{parent / speed['int8_ms']:.2f}{star}",
        "" if bf16 is None else f"{parent / bf16:.2f}",
    ]


def main() -> None:
    """Join both tables and write the page."""
    measured = Path(sys.argv[1])
    table = msgspec.json.decode((measured / "int8.json").read_bytes())
    path = measured / "int8_speed.json"
    speeds = msgspec.json.decode(path.read_bytes())["speeds"] if path.exists() else {}
    lines = [list(HEADER), ["---"] * len(HEADER)]
    lines += [cells(row, speeds.get(row["artifact"])) for row in table["rows"]]
    words = (
        f"Calibrated on {CALIBRATION} pictures, judged by the gate on others. The detector's matched boxes are of "
        f"{PHOTOGRAPHS} photographs that calibrated nothing; AP of detector and tinypose on 80 COCO photographs, "
        f"of the students on {DRAWN_VAL} drawn pictures. MB of all files but the reference. Times: one thread, batch "
        f"1, p50; a star where another program shared the cores. {table['on']}"
    )
    text = "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", words, ""])
    (measured / "int8.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
