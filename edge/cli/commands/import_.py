"""edgepose import: an already converted model as an artifact that every other verb can use."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.cli.checks import require_engine, require_torch, require_writable
from edge.cli.console import emit_json, emit_table, hint, say
from edge.cli.options import PATH, artifacts_option, force_option, json_option
from runtimes.errors import InputError

if TYPE_CHECKING:
    from export.import_model import Imported


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
    from export.engine_files import engine_files
    from export.import_model import import_model
    from export.import_spec import like_spec, read_spec

    runtime, paths = engine_files(list(files))
    described = read_spec(spec) if spec else like_spec(like or "", runtime)
    require_engine(runtime)
    require_writable(out)
    imported = import_model(paths, described, out, force=force)
    _show(imported, as_json)
    path = imported.artifact.root
    say(f"wrote {path}; its accuracy is unknown until measured")
    hint(f"edgepose eval {path} --images DIR --annotations COCO.json")


def _show(imported: "Imported", as_json: bool) -> None:
    path, manifest = imported.artifact.root, imported.artifact.manifest
    if as_json:
        emit_json(
            [
                {
                    "artifact": str(path),
                    "runtime": manifest.runtime,
                    "precision": manifest.precision,
                    "bytes": imported.bytes,
                    "passed": None,
                    "parity": [imported.parity],
                }
            ]
        )
        return
    unjudged = "unjudged: no PyTorch model to compare with"
    emit_table(
        ["artifact", "MB", "verdict"], [[path.name, f"{imported.bytes / 1e6:.2f}", unjudged]]
    )
