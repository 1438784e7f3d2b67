"""Fill the measured figures into README.md and docs/, between their markers: no figure there is typed by hand.

python benchmarks/readme.py
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).resolve().parents[1]
MEASURED = ROOT / "docs" / "measured"


def main() -> None:
    """Replace the text between each pair of markers whose figures have been measured."""
    fill(
        ROOT / "README.md",
        {
            "real_weights": page("real_weights"),
            "overhead": page("overhead"),
            "startup": startup(),
            "footprint": page("footprint"),
            "shipped": shipped(),
        },
    )
    pages = ("distill_ablation", "distill_real", "input_pipeline", "ddp")
    fill(
        ROOT / "docs" / "distillation.md",
        {**{name: page(name) for name in pages}, "shipped": shipped()},
    )
    fill(ROOT / "docs" / "quantization.md", {"int8": page("int8")})


def fill(path: Path, blocks: Mapping[str, str | None]) -> None:
    """Write each block between its markers; None leaves the present text."""
    text = path.read_text()
    for name, block in blocks.items():
        pattern = re.compile(rf"(<!-- measured: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not pattern.search(text):
            raise SystemExit(f"{path} has no markers for {name}")
        if block is not None:
            text = pattern.sub(lambda match, new=block: f"{match[1]}{new}\n{match[2]}", text)
    path.write_text(text)


def page(name: str) -> str | None:
    """Return a measured page; None where there is none yet."""
    path = MEASURED / f"{name}.md"
    return path.read_text().strip() if path.exists() else None


def report(name: str) -> Any:
    """Return a measured report; None where there is none."""
    path = MEASURED / f"{name}.json"
    return msgspec.json.decode(path.read_bytes()) if path.exists() else None


def startup() -> str:
    """Return the sentence on import times."""
    found = report("startup")
    return (
        f"`import edge`: {found['import edge']} s; with `edge.Pipeline` used: "
        f"{found['import edge; edge.Pipeline']} s; `edgepose --help`: {found['edgepose --help']} s "
        f"(medians of fresh processes; a bare Python: {found['python -c pass']} s; `benchmarks/startup.py`)."
    )


def shipped() -> str | None:
    """Return the table of the packaged weights: accuracy on drawn people and on photographs."""
    lines = [
        "| weights | MB | on held-out drawn people | on 80 COCO photographs |",
        "|---|---|---|---|",
    ]
    detector, student = report("detector"), report("student")
    if detector:
        drawn, real = (detector["measured"][each] for each in ("drawn", "photographs"))
        lines.append(
            f"| `{detector['model']}` | {detector['bytes'] / 1e6:.1f} | box AP {drawn['AP']:.3f}, AP50 "
            f"{drawn['AP50']:.3f}; at score .3 {drawn['found_at_.3']:.0%} of {drawn['people']} people found, "
            f"{drawn['boxes_astray_at_.3']:.0%} of the boxes are false positives "
            f"| box AP {real['AP']:.3f} |"
        )
    if student:
        drawn, real = (student["measured"][each] for each in ("drawn", "photographs"))
        lines.append(
            f"| `{student['model']}` | {student['bytes'] / 1e6:.1f} | keypoint AP {drawn['ap']:.3f}, PCK@0.2 "
            f"{drawn['pck']:.3f}, {drawn['people']} people, true boxes | keypoint AP {real['ap']:.3f}, PCK@0.2 "
            f"{real['pck']:.3f} |"
        )
    return "\n".join(lines) if detector or student else None


if __name__ == "__main__":
    main()
