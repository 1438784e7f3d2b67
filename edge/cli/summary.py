"""Summary of the artifacts that `export` and `quantize` made or refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge.cli.console import describe, emit_json, emit_table, say, verdict
from runtimes.artifact import Artifact
from runtimes.naming import Target
from runtimes.parity_spec import Parity

if TYPE_CHECKING:
    from export import Exported


@dataclass(frozen=True, slots=True)
class PlacedArtifact:
    """An artifact that is in place; the fields of `export.Exported`, without torch."""

    path: Path
    target: Target
    bytes: int
    parity: tuple[Parity, ...]
    passed: bool = True
    error: str = ""


def placed(artifact: Artifact) -> PlacedArtifact:
    """Return what the summary shows of an artifact."""
    manifest = artifact.manifest
    size = sum(record.bytes for record in manifest.files)
    passed = all(record.passed is not False for record in manifest.parity)
    target = Target(manifest.runtime, manifest.precision)
    return PlacedArtifact(artifact.root, target, size, manifest.parity, passed)


def emit_artifacts(
    results: "Sequence[Exported | PlacedArtifact]", against: str, *, as_json: bool
) -> None:
    """Print one row for each artifact on stdout; `against` heads the column of comparisons."""
    if as_json:
        emit_json(
            [
                {
                    "artifact": str(result.path),
                    "runtime": result.target.runtime,
                    "precision": result.target.precision,
                    "bytes": result.bytes,
                    "passed": result.passed,
                    "parity": result.parity,
                }
                for result in results
            ]
        )
        return
    rows = [
        [
            result.path.name,
            f"{result.bytes / 1e6:.2f}",
            _verdict(result),
            "; ".join(describe(record) for record in result.parity),
        ]
        for result in results
    ]
    emit_table(["artifact", "MB", "verdict", against], rows)


def report_written(results: "Sequence[Exported]") -> "list[Exported]":
    """Say on stderr which artifacts were written, and why others are not in place; return the latter."""
    refused = [result for result in results if not result.passed]
    for result in results:
        if result.passed:
            say(f"wrote {result.path}")
        elif result.error:
            say(f"failed: {result.path.name}: {' '.join(result.error.split())}")
        elif _undecided(result):
            say(
                f"undecided, kept for study: {result.path}: {reasons(result.parity)}; more images decide it"
            )
        else:
            say(
                f"refused, kept for study: {result.path} (report: {result.path}.report.json): {reasons(result.parity)}"
            )
    return refused


def reasons(parity: Sequence[Parity]) -> str:
    """Return every figure that did not hold its limit, on one line."""
    from edge.parity.refusals import find_refusals

    figures = [figure for record in parity for figure in find_refusals(record)]
    return "; ".join(figures) or "nothing judged it"


def _verdict(result: "Exported | PlacedArtifact") -> str:
    if result.error:
        return "FAILED"
    return "UNDECIDED" if _undecided(result) else verdict(result.passed)


def _undecided(result: "Exported | PlacedArtifact") -> bool:
    """Return whether no comparison failed, and at least one could not be decided either way."""
    judged = [record for record in result.parity if record.limit is not None]
    return any(record.passed is None for record in judged) and all(
        record.passed is not False for record in judged
    )
