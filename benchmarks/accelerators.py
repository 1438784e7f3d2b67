"""Placement and parity of artifacts on the accelerators of this environment, as a table.

    python benchmarks/accelerators.py docs/measured/accelerators.md WORDS ARTIFACT... [--option NAME=VALUE]

For each artifact: the nodes by the backend that executes them, read from the engine, and the comparison with its stored
reference. The lines are appended to the file, since each build of ONNX Runtime wants an environment of its own; WORDS
say what this one is.
"""

import argparse
import warnings
from pathlib import Path

import msgspec

from edge.cli.console import describe, verdict
from edge.parity.verify import verify
from runtimes.artifact import Artifact
from runtimes.base import RunOptions

HEAD = "| backend | artifact | arithmetic | nodes | against PyTorch in float32 |\n|---|---|---|---|---|\n"


def line(artifact: Artifact, options: RunOptions, words: str) -> str:
    """Return the row of one artifact."""
    parity = verify(artifact, options)
    nodes = ", ".join(f"{name} {count}" for name, count in (parity.placement or {}).items())
    figure = describe(msgspec.structs.replace(parity, engine=""))
    shown = f"{verdict(parity.passed)}: {figure}"
    return f"| {words} | {artifact.name} | {parity.arithmetic} | {nodes or '-'} | {shown} |\n"


def main() -> None:
    """Append a row for each artifact."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("words")
    parser.add_argument("artifacts", type=Path, nargs="+")
    parser.add_argument("--accelerator", default="gpu")
    parser.add_argument("--precision", default="f32")
    parser.add_argument("--option", action="append", default=[])
    asked = parser.parse_args()
    extra = dict(option.split("=", 1) for option in asked.option)
    options = RunOptions(precision=asked.precision, accelerator=asked.accelerator, extra=extra)
    warnings.simplefilter("ignore")  # of nodes that run elsewhere: the table counts them
    text = asked.out.read_text() if asked.out.exists() else HEAD
    for path in asked.artifacts:
        text += line(Artifact.open(path), options, asked.words)
    asked.out.write_text(text)


if __name__ == "__main__":
    main()
