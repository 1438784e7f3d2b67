"""Tables and curves of `skip_frame.py`."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import matplotlib as mpl
import msgspec

mpl.use("Agg")
from matplotlib import pyplot as plt

Row = dict[str, Any]

COLOURS = ("#1f6fb4", "#d9730d", "#3a9a4b")
COLUMNS = (
    ("AP", "AP", "{:.3f}"),
    ("recall", "recall", "{:.3f}"),
    ("id_switches", "id switches", "{}"),
    ("IDF1", "IDF1", "{:.3f}"),
    ("IDF1_returning", "IDF1, returning", "{:.3f}"),
    ("HOTA", "HOTA", "{:.3f}"),
    ("ghosts_per_100_empty_frames", "people / 100 empty frames", "{:.1f}"),
)
SHORT = {"drawn": ("models", "people", "seeds"), "real": ("video", "frames")}
"""Columns before the skips in the short table of each part."""


def write_page(measured: Path) -> None:
    """Write skip_frame.md, its short tables, skip_frame_{drawn,real}.md, and skip_frame.png beside skip_frame.json."""
    record = msgspec.json.decode((measured / "skip_frame.json").read_bytes())
    drawn = record.get("drawn", [])
    parts = [
        f"### Drawn clips, {models}\n\n{_drawn_table(drawn, models)}"
        for models in _unique(drawn, "models")
    ]
    if "real" in record:
        parts.append("### Real videos\n\n" + _real_table(record["real"]))
    (measured / "skip_frame.md").write_text("\n\n".join(parts) + "\n")
    for part, heads in SHORT.items():
        if record.get(part):
            (measured / f"skip_frame_{part}.md").write_text(_short_table(record[part], heads))
    _draw(record, measured / "skip_frame.png")


def _short_table(rows: Sequence[Row], heads: Sequence[str]) -> str:
    """Return a table of AP with a column for each skip, and the detector calls of "auto"."""
    skips = _unique(rows, "skip")
    titles = [*heads, *map(str, skips), "calls of auto"]
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    groups: dict[tuple[str, ...], dict[int | str, Row]] = {}
    for row in rows:
        key = tuple(_plain(row[head]) for head in heads)
        groups.setdefault(key, {})[row["skip"]] = row
    for key, own in groups.items():
        cells = [*key, *(f"{own[skip]['AP']:.3f}" for skip in skips)]
        lines.append("| " + " | ".join(cells) + f" | {own['auto']['detector_calls']:.1%} |")
    return "\n".join(lines) + "\n"


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _unique(rows: Iterable[Row], name: str) -> list[Any]:
    return list(dict.fromkeys(row[name] for row in rows))


def _drawn_table(rows: Sequence[Row], models: str) -> str:
    heads = ["people", "skip", "detector calls", *(head for _, head, _ in COLUMNS)]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in rows:
        if row["models"] != models:
            continue
        values = [
            form.format(row[name]) if row.get(name) is not None else "" for name, _, form in COLUMNS
        ]
        cells = [str(row["people"]), str(row["skip"]), f"{row['detector_calls']:.1%}", *values]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _real_table(rows: Sequence[Row]) -> str:
    lines = [
        "| video | frames | skip | detector calls | AP | AR | people in empty frames | ids a crossing |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        empty, ids = "", ""
        if "empty_frames" in row:
            empty = f"{len(row['empty_frames_with_poses'])} of {row['empty_frames']}"
            ids = ", ".join(str(len(each)) for each in row["ids_of_crossings"])
        lines.append(
            f"| {row['video']} | {row['frames']} | {row['skip']} | {row['detector_calls']:.1%} "
            f"| {row['AP']:.3f} | {row['AR']:.3f} | {empty} | {ids} |"
        )
    return "\n".join(lines)


def _draw(record: dict[str, list[Row]], target: Path) -> None:
    """Draw AP and IDF1 against detector calls: a line for the fixed skips, a star for "auto"."""
    drawn, real = _means(record.get("drawn", [])), record.get("real", [])
    wanted = (
        (drawn, "models", "AP", "drawn clips: keypoint AP"),
        (drawn, "models", "IDF1", "drawn clips: IDF1"),
        (real, "video", "AP", "real videos: AP against every frame's own result"),
    )
    shown = [each for each in wanted if each[0]]
    figure, (panels,) = plt.subplots(
        1, len(shown), figsize=(4 * len(shown), 3.8), layout="constrained", squeeze=False
    )
    for panel, (rows, group, name, title) in zip(panels, shown, strict=True):
        _curves(panel, rows, group, name)
        panel.set_title(title, fontsize=9)
    for panel in panels:
        panel.set_xscale("log")
        panel.set_xticks([5, 10, 20, 50, 100], ["5", "10", "20", "50", "100"])
        panel.minorticks_off()
        panel.set_xlim(4, 125)
        panel.set_ylim(0, 1.02)
        panel.set_xlabel("detector calls, % of frames")
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
        if panel.get_legend_handles_labels()[0]:
            panel.legend(fontsize=8, loc="lower right", frameon=False)
    figure.savefig(target, dpi=80)
    plt.close(figure)


def _means(rows: Sequence[Row]) -> list[Row]:
    """Return a row for each choice of models and skip: the means over the numbers of people."""
    groups: dict[tuple[str, int | str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["models"], row["skip"]), []).append(row)
    means = []
    for (models, skip), own in groups.items():
        mean: Row = {"models": models, "skip": skip}
        for name in ("detector_calls", "AP", "IDF1"):
            values = [row[name] for row in own if row.get(name) is not None]
            mean[name] = fmean(values) if values else None
        means.append(mean)
    return means


def _curves(panel: Any, rows: Sequence[Row], group: str, figure: str) -> None:
    for colour, name in zip(COLOURS, _unique(rows, group), strict=False):
        own = [row for row in rows if row[group] == name and row.get(figure) is not None]
        fixed = [row for row in own if isinstance(row["skip"], int)]
        auto = [row for row in own if row["skip"] == "auto"]
        places = [(100 * row["detector_calls"], row[figure]) for row in fixed]
        if places:
            panel.plot(*zip(*places, strict=True), "o-", color=colour, label=name, markersize=4)
        for row in auto:
            panel.plot(100 * row["detector_calls"], row[figure], "*", color=colour, markersize=13)
