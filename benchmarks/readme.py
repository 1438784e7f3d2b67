"""Fill the measured figures into README.md and docs/, between their markers: no figure there is typed by hand.

python benchmarks/readme.py
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from quantize.distill.data.sources import VAL_SEED
from quantize.distill.detector.runner import VAL_PICTURES as SCENES
from quantize.distill.detector.runner import VAL_SEED as SCENE_SEED
from quantize.distill.validation import DRAWN_PICTURES

ROOT = Path(__file__).resolve().parents[1]
MEASURED = ROOT / "docs" / "measured"
# Test sets of the shipped weights, by their name in the reports, and the title of their column.
SHIPPED_TESTS = {
    "drawn": "held-out drawn people, version 1",
    "drawn version 2": "version 2 (`synth-v2`)",
    "photographs": "80 COCO photographs",
}
TEST_PICTURES = (
    f"Drawn test pictures are fixed by version and seed: {SCENES} scenes of seed {SCENE_SEED} for the detector,\n"
    f"{DRAWN_PICTURES} pictures of seed {VAL_SEED} for the pose model; nothing is trained on them."
)


def main() -> None:
    """Replace the text between each pair of markers whose figures have been measured."""
    fill(
        ROOT / "README.md",
        {
            "real_weights": page("real_weights"),
            "overhead": page("overhead"),
            "startup": startup(),
            "shipped": shipped(),
        },
    )
    pages = ("distill_ablation", "distill_ablation_drawn", "distill_real", "input_pipeline", "ddp")
    fill(
        ROOT / "docs" / "distillation.md",
        {**{name: page(name) for name in pages}, "shipped": shipped()},
    )
    fill(ROOT / "docs" / "benchmarking.md", {"floors": page("floors")})
    arm = ("emulation", "emulation_networks")  # of .ci/arm
    fill(ROOT / "docs" / "boards.md", {name: page(name) for name in ("footprint", *arm)})
    fill(ROOT / "docs" / "intel.md", {"paper_rows": page("paper_rows")})
    fill(ROOT / "docs" / "quantization.md", {"int8": page("int8")})
    fill(ROOT / "docs" / "tracking.md", {"smoothing": page("smoothing")})
    short = ("skip_frame_drawn", "skip_frame_real")
    fill(ROOT / "docs" / "skip-frame.md", {name: page(name) for name in short})


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
    """Return the table of the packaged weights: accuracy on drawn people of both versions, and on photographs."""
    detector, student = report("detector"), report("student")
    rows = [
        [f"`{each['model']}`", f"{each['bytes'] / 1e6:.1f}", *cells(each["measured"], say)]
        for each, say in ((detector, boxes), (student, keypoints))
        if each
    ]
    titles = ["weights", "MB", *SHIPPED_TESTS.values()]
    lines = [titles, ["---"] * len(titles), *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{table}\n\n{TEST_PICTURES}" if rows else None


def cells(measured: Mapping[str, Any], say: Callable[[Mapping[str, Any]], str]) -> list[str]:
    """Return a cell for each test set, empty where the weights were not measured on it."""
    return [say(measured[name]) if name in measured else "" for name in SHIPPED_TESTS]


def boxes(figures: Mapping[str, Any]) -> str:
    """Return a detector's figures in words."""
    return (
        f"box AP {figures['AP']:.3f}, AP50 {figures['AP50']:.3f}; at score .3 {figures['found_at_.3']:.0%} of "
        f"{figures['people']} people found, {figures['boxes_astray_at_.3']:.0%} of the boxes are false positives"
    )


def keypoints(figures: Mapping[str, Any]) -> str:
    """Return a pose model's figures in words; reports of earlier weights have PCK@0.2 alone."""
    pcks = {"PCK@0.1": figures.get("pck_1"), "PCK@0.2": figures.get("pck_2", figures.get("pck"))}
    said = [f"{name} {value:.3f}" for name, value in pcks.items() if value is not None]
    return f"keypoint AP {figures['ap']:.3f}, {', '.join(said)}; {figures['people']} people, true boxes"


if __name__ == "__main__":
    main()
