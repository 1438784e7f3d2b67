"""edgepose import: an already converted model as an artifact that every other verb can use."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.cli.checks import require_engine, require_writable
from edge.cli.console import command_line, emit_json, emit_table, hint, say
from edge.cli.options import (
    PATH,
    artifacts_option,
    force_option,
    json_option,
    keypoints_option,
    parse_wh,
)
from edge.codecs.people import parse_classes
from runtimes.errors import InputError
from runtimes.spec import Runtime

if TYPE_CHECKING:
    from export.import_like import Described
    from export.import_model import Imported
    from export.import_spec import ImportSpec


SAY = "say what the model is: --like NAME (see `edgepose models`) or --spec SPEC.json"


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=PATH)
@click.option("--like", help="Catalogue name of the model, such as tinypose-256x192.")
@click.option(
    "--spec",
    type=PATH,
    help="SPEC.json: the keys of artifact.json without files, parity and tools.",
)
@keypoints_option
@click.option(
    "--classes", help="Comma-separated class names of a detector. Default: the file's or NAME's."
)
@click.option("--input", "input_wh", help="Input size WxH of a .onnx file that takes any size.")
@artifacts_option
@force_option
@json_option
def command(
    files: tuple[Path, ...],
    like: str | None,
    spec: Path | None,
    keypoints: str | None,
    classes: str | None,
    input_wh: str | None,
    out: Path,
    force: bool,
    as_json: bool,
) -> None:
    """Wrap FILES (one graph, and its weights where they are separate) as an artifact.

    A .onnx file is matched with NAME by its outputs: mmdeploy's and rtmlib's end2end.onnx, YOLOX's, Ultralytics' and
    plain torch.onnx exports. Ultralytics' files say themselves what they are and need no --like.
    """
    if like is not None and spec is not None:
        raise InputError(f"{SAY}, not both")
    if spec is not None and (keypoints or classes or input_wh):
        raise InputError("--keypoints, --classes and --input are in SPEC.json; leave them out")
    from export.engine_files import engine_files
    from export.import_model import import_model
    from export.import_spec import read_spec

    runtime, paths = engine_files(list(files))
    if spec is None and like is None and runtime != "onnxruntime":
        raise InputError(SAY)
    require_engine(runtime)
    if spec is not None:
        described = read_spec(spec)
    else:
        wh = parse_wh(input_wh) if input_wh else None
        described = _like(runtime, paths[0], like, _described(keypoints, classes), wh)
    require_writable(out)
    imported = import_model(paths, described, out, force=force)
    _show(imported, as_json)
    path = imported.artifact.root
    say(f"wrote {path}; its accuracy is unknown until measured")
    hint(command_line("eval", path, "--images", "DIR", "--annotations", "COCO.json"))


def _described(keypoints: str | None, classes: str | None) -> "Described":
    from edge.catalog.keypoint_file import find_keypoints
    from export.import_like import Described

    return Described(find_keypoints(keypoints) if keypoints else None, parse_classes(classes))


def _like(
    runtime: Runtime,
    graph: Path,
    like: str | None,
    described: "Described",
    input_wh: tuple[int, int] | None,
) -> "ImportSpec":
    """Return the spec of a file of the model `like`, of its own metadata where None; say what was assumed."""
    from export.import_like import NOTHING, like_of, read_apart, spec_like
    from export.import_spec import like_spec

    if runtime != "onnxruntime":
        if described != NOTHING or input_wh:
            raise InputError(
                "--keypoints, --classes and --input are for .onnx files; write a --spec SPEC.json"
            )
        return like_spec(like or "", runtime)
    found = read_apart(graph, like, input_wh)
    like = like or like_of(found)
    if like is None:
        raise InputError(SAY)
    spec, notes = spec_like(found, like, described)
    for note in notes:
        say(f"{graph}: {note}")
    return spec


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
