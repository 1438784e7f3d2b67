"""The record of compare.py as the documentation shows it: Markdown tables and sentences."""

from collections import Counter
from typing import Any

HALF = ("ncnn", "openvino")  # the other engines compute f32 on a CPU
Record = dict[str, Any]


def table(record: Record) -> str:
    """Return the figures of each artifact as a Markdown table."""
    head = (
        "| artifact | `verify`, f32 | outputs against x86 | boxes, keypoints against x86, px | `verify`, f16 "
        "| f16 outputs against x86's f32 |\n| --- | --- | --- | --- | --- | --- |"
    )
    names = sorted({each["artifact"] for each in record["verify"]})
    rows = (row(name, record) for name in names)
    return "\n".join(
        [
            head,
            *rows,
            "",
            tests_words(record),
            *attention_words(record),
            *people_words(record),
            effort(record),
        ]
    )


def tests_words(record: Record) -> str:
    """Return the sums of the tests' results, in a sentence."""
    sums: Counter[str] = Counter()
    for counts in record["tests"].values():
        sums.update(counts)
    return f"Tests: {', '.join(f'{count} {word}' for word, count in sums.items()) or 'not run'}."


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
    failed = [each["name"] for each in commands if each["failed"]]
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
