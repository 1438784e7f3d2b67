"""edgepose verify: an artifact checked against its stored reference on this machine; needs no torch."""

from pathlib import Path

import click

from edge.cli.checks import require_torch
from edge.cli.console import command_line, describe, emit_json, emit_table, hint, say, verdict
from edge.cli.options import (
    ARTIFACT,
    heads_option,
    json_option,
    run_options,
    size_option,
    task_option,
)
from edge.cli.summary import reasons
from edge.cli.verb import Verb
from runtimes.artifact import Artifact
from runtimes.base import RunOptions
from runtimes.errors import InputError
from runtimes.parity_spec import Parity

FIGURES = ("raw_error", "px_mean", "px_p95", "px_max", "oks_mean")


@click.command("verify", cls=Verb)
@click.argument("artifact", type=ARTIFACT)
@click.option("--against", type=ARTIFACT, help="Another artifact to compare with.")
@click.option(
    "--layers", is_flag=True, help="Name the first block that drifts (needs --weights and torch)."
)
@click.option("--weights", help="As given to `edgepose export`, for --layers.")
@task_option
@heads_option
@size_option
@json_option
@run_options
def command(
    artifact: Path,
    against: Path | None,
    layers: bool,
    weights: str | None,
    task: str | None,
    heads: int | None,
    size: str,
    as_json: bool,
    options: RunOptions,
) -> int:
    """Compare ARTIFACT with PyTorch's stored outputs for its reference inputs; exit 3 where it drifts.

    In --precision f16 or bf16, where the CPU has it, an fp32 file is judged by the limits of an fp16 file.
    """
    from edge.parity.verify import verify, verify_against

    opened = Artifact.open(artifact)
    if layers:
        return _layers(opened, weights, task, heads, size, as_json)
    described = {"--weights": weights, "--task": task, "--heads": heads, "--size": size}
    for option, value in described.items():
        if value:
            raise InputError(
                f"{option} goes with --layers; verify replays the reference inside the artifact"
            )
    other = Artifact.open(against) if against else None
    parity = verify_against(opened, other, options) if other else verify(opened, options)
    _show(opened, parity, as_json)
    if parity.passed is False:
        say(f"refused: {opened.name}: {reasons([parity])}")
        again = command_line("verify", artifact, "--layers", "--weights", "CHECKPOINT")
        hint(f"{again} names the first block that drifts")
        return 3
    hint(_next_step(opened))
    return 0


def _show(artifact: Artifact, parity: Parity, as_json: bool) -> None:
    manifest = artifact.manifest
    if as_json:
        emit_json(
            {
                "passed": parity.passed,
                "runtime": manifest.runtime,
                "precision": manifest.precision,
                "basis": parity.basis,
                "arithmetic": parity.arithmetic,
                "accelerator": parity.accelerator,
                "placement": parity.placement,
                "limit": parity.limit,
                # every key always: null where the basis has no such figure
                **{name: getattr(parity, name, None) for name in FIGURES},
            }
        )
        return
    emit_table(
        ["artifact", "verdict", "figure", "reference", "arithmetic"],
        [
            [
                artifact.name,
                verdict(parity.passed),
                describe(parity),
                parity.reference,
                parity.arithmetic,
            ]
        ],
    )


def _layers(
    artifact: Artifact,
    weights: str | None,
    task: str | None,
    heads: int | None,
    size: str,
    as_json: bool,
) -> int:
    if artifact.manifest.lineage.weights == "foreign":
        raise InputError(
            f"{artifact.name} was imported: there is no PyTorch model to compare its layers with"
        )
    if weights is None:
        raise InputError(
            "--layers re-exports the model, so it needs --weights CHECKPOINT (or: random)"
        )
    require_torch()
    from export.block_drift import first_drift, measure_block_drift

    errors = measure_block_drift(artifact, weights, heads, size, task)
    worst = first_drift(errors)
    if as_json:
        emit_json({"first": worst, "layers": errors})
    else:
        rows = [[row.name, f"{row.raw_error:.2e}", f"{row.limit:.0e}"] for row in errors]
        emit_table(["block", "raw error", "limit"], rows)
        click.echo(f"first over its limit: {worst.name}" if worst else "no block is over its limit")
    hint("export with --precision fp32, or to another --format" if worst else _next_step(artifact))
    return 3 if worst else 0


def _next_step(artifact: Artifact) -> str:
    """Return the next command for an artifact that passed; only one that gives keypoints can be run on pictures."""
    verb = ("run", "synth", "--pose") if artifact.manifest.keypoints else ("info",)
    return command_line(*verb, artifact.root)
