"""edgepose info: the manifest of an artifact, whose files are verified as it is read."""

from pathlib import Path

import click
import msgspec

from edge.cli.console import command_line, describe, emit_json, emit_table, hint, verdict
from edge.cli.options import ARTIFACT, json_option
from edge.schema import SCHEMAS
from runtimes.artifact import Artifact
from runtimes.spec import KeypointsSpec, Manifest, TensorSpec


@click.command("info")
@click.argument("artifact", type=ARTIFACT)
@json_option
def command(artifact: Path, as_json: bool) -> None:
    """Verify ARTIFACT's files and show its manifest."""
    opened = Artifact.open(artifact)
    manifest = opened.manifest
    if as_json:
        emit_json(manifest)
    else:
        _show(manifest)
    hint(command_line("verify", artifact))


def _show(manifest: Manifest) -> None:
    lineage = manifest.lineage
    rows = [
        ["model", manifest.model],
        ["task", manifest.task],
        ["runtime", f"{manifest.runtime} {manifest.precision}"],
        ["input", f"{manifest.image.wh[0]}x{manifest.image.wh[1]} {manifest.image.order}"],
        ["codec", msgspec.json.encode(manifest.codec).decode()],
        ["outputs", ", ".join(_shaped(output) for output in manifest.outputs)],
        *_keypoint_rows(manifest.keypoints),
        ["classes", ", ".join(manifest.classes or ()) or "-"],
        ["weights", f"{lineage.weights} {lineage.checkpoint}".strip()],
        ["licences", ", ".join(lineage.licences) or "unknown"],
        ["commercial use", {True: "yes", False: "no", None: "unknown"}[lineage.commercial_use]],
        ["bytes", str(sum(record.bytes for record in manifest.files))],
        *[
            ["parity", f"{verdict(record.passed)}: {describe(record)}"]
            for record in manifest.parity
        ],
        ["tools", ", ".join(f"{name} {version}" for name, version in manifest.tools.items())],
    ]
    emit_table(["field", "value"], rows)


def _keypoint_rows(keypoints: KeypointsSpec | None) -> list[list[str]]:
    """Return the rows of a keypoint set: its name and, where it is no known set, all that is in it."""
    if keypoints is None:
        return [["keypoints", "-"]]
    names = keypoints.names
    rows = [["keypoints", f"{keypoints.name}, {len(names)}"]]
    if keypoints.name in SCHEMAS:
        return rows
    pairs = ", ".join(f"{names[left]} / {names[right]}" for left, right in keypoints.pairs)
    sigmas = ", ".join(f"{sigma:g}" for sigma in keypoints.sigmas)
    return [
        *rows,
        ["names", ", ".join(names)],
        ["left/right pairs", pairs or "none"],
        ["sigmas", sigmas or "none"],
    ]


def _shaped(tensor: TensorSpec) -> str:
    """Write a tensor as name and shape, "?" for a free axis: logits ?x28x512x384."""
    shape = "x".join("?" if size < 0 else str(size) for size in tensor.shape)
    return f"{tensor.name} {shape}".strip()
