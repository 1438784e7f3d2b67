"""edgepose import: an already converted model as an artifact that every other verb can use."""

from pathlib import Path

import click

from edge.cli.checks import require_engine, require_torch, require_writable
from edge.cli.console import emit_json, emit_table, hint, say
from edge.cli.options import PATH, artifacts_option, force_option, json_option
from runtimes.errors import InputError


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=PATH)
@click.option("--like", help="Catalogue name of the model, such as tinypose-256x192.")
@click.option(
    "--spec",
    type=PATH,
    help="SPEC.json: the keys of artifact.json without files, parity and tools.",
)
@artifacts_option
@force_option
@json_option
def command(
    files: tuple[Path, ...],
    like: str | None,
    spec: Path | None,
    out: Path,
    force: bool,
    as_json: bool,
) -> None:
    """Wrap FILES (one graph, and its weights where they are separate) as an artifact."""
    if (like is None) == (spec is None):
        raise InputError(
            "say what the model is: --like NAME (see `edgepose models`) or --spec SPEC.json"
        )
    require_torch()
    from export.import_model import engine_files, import_model, like_spec, read_spec

    runtime, paths = engine_files(list(files))
    described = read_spec(spec) if spec else like_spec(like or "", runtime)
    require_engine(runtime)
    require_writable(out)
    imported = import_model(paths, described, out, force=force)
    path = imported.artifact.root
    if as_json:
        emit_json(
            [
                {
                    "artifact": str(path),
                    "runtime": described.runtime,
                    "precision": described.precision,
                    "bytes": imported.bytes,
                    "passed": None,
                    "parity": [imported.parity],
                }
            ]
        )
    else:
        emit_table(
            ["artifact", "MB", "verdict"],
            [
                [
                    path.name,
                    f"{imported.bytes / 1e6:.2f}",
                    "unjudged: no PyTorch model to compare with",
                ]
            ],
        )
    say(f"wrote {path}; its accuracy is unknown until measured")
    hint(f"edgepose eval {path} --images DIR --annotations COCO.json")
