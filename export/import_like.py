"""Specs of ONNX files by the catalogue model that they are of: `edgepose import FILE.onnx --like NAME`."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from edge.catalog.entry import CatalogEntry
from edge.catalog.lookup import find, spec_of
from edge.catalog.specs import COCO_CLASSES
from edge.schema import KeypointSchema, KeypointSet, numbered_range, numbered_schema, schema_of
from edge.types import counted
from export.graph_match import Match, expected_outputs, match_outputs, usual_wh
from export.import_spec import ImportSpec
from export.onnx_graph import Graph, GraphTensor, Size, read_graph
from export.own_process import leave_outcome, run_apart
from runtimes.errors import EdgeposeError, InputError
from runtimes.record import Record
from runtimes.spec import Lineage, ModelSpec, TensorSpec
from runtimes.staging import scratch

PERSON = COCO_CLASSES[:1]
FREE = -1
USUAL_WH = (640, 640)  # of Ultralytics
TASKS = {"pose": "yolo-pose", "detect": "yolo-detect"}  # of Ultralytics, to names in the catalogue


@dataclass(frozen=True, slots=True)
class Described:
    """What the user says of a file: keypoints and classes; None or empty where the file or NAME is to tell."""

    keypoints: KeypointSchema | None = None
    classes: tuple[str, ...] = ()


NOTHING = Described()


class Found(Record, frozen=True, kw_only=True, tag="found"):
    """The graph that was read."""

    graph: Graph


def read_apart(path: Path, name: str | None, input_wh: Size | None) -> Graph:
    """Return what `read_like` does, read in a process of its own: a damaged file may crash the engine.

    Raises EngineError where it does.
    """
    resolved = path.resolve()
    size = "{}x{}".format(*input_wh) if input_wh else ""
    with scratch("graph") as folder:
        outcome = folder / "outcome.json"
        arguments = (str(resolved), name or "", size, str(outcome))
        try:
            found = run_apart(
                "export.import_like", arguments, outcome, str(path), "onnxruntime", Found
            )
        except EdgeposeError as error:
            raise type(error)(str(error).replace(str(resolved), str(path))) from error
    return replace(found.graph, path=str(path))


def read_like(path: Path, name: str | None, input_wh: Size | None) -> Graph:
    """Return the graph of an ONNX file, run at the size that it or the user fixes, else that of `name`, else 640x640.

    Raises as `export.onnx_graph.read_graph`.
    """
    if name is None:
        return read_graph(path, input_wh, lambda _: USUAL_WH)
    base = spec_of(find(name))
    return read_graph(path, input_wh, lambda outputs: usual_wh(base, outputs))


def spec_like(
    graph: Graph, name: str, described: Described = NOTHING
) -> tuple[ImportSpec, tuple[str, ...]]:
    """Return the spec of an ONNX file of the catalogue model `name`, and notes on what was assumed.

    Raises InputError, with the outputs found and those expected, where the file is another model's.
    """
    _check_task(graph)
    entry = find(name)
    base = spec_of(replace(entry, input_wh=graph.input_wh))
    base = msgspec.structs.replace(
        base, image=msgspec.structs.replace(base.image, wh=graph.input_wh)
    )
    own = described.keypoints
    asked = len(own) if own else None
    match = match_outputs(graph, base, asked)
    if match is None:
        found = ", ".join(map(str, graph.outputs))
        raise InputError(
            f"{graph.path}: its outputs are {found}; "
            f"{name} is expected to have {expected_outputs(graph, base, asked)}"
        )
    keypoints, of_keypoints = _keypoints(graph, base, match, own)
    classes, of_classes = _classes(graph, base, match, described.classes)
    changed = isinstance(keypoints, KeypointSchema)
    fields = {each: getattr(base, each) for each in ModelSpec.__struct_fields__} | {
        "model": f"{base.model}-{schema_of(keypoints).name}"
        if changed and keypoints
        else base.model,
        "inputs": (_image(graph, base, match),),
        "outputs": tuple(_output(match, *each) for each in match.outputs),
        "codec": match.codec,
        "keypoints": schema_of(keypoints).to_spec() if keypoints else None,
        "classes": classes,
    }
    spec = ImportSpec(**fields, runtime="onnxruntime", lineage=_lineage(entry))
    return spec, (*of_keypoints, *of_classes)


def like_of(graph: Graph) -> str | None:
    """Return the catalogue name that an ONNX file's own metadata means, as Ultralytics writes it; None without.

    Raises InputError for a task of Ultralytics other than pose and detect.
    """
    _check_task(graph)
    return TASKS.get(graph.notes.get("task", "")) if "stride" in graph.notes else None


def _check_task(graph: Graph) -> None:
    task = graph.notes.get("task", "")
    if "stride" in graph.notes and task and task not in TASKS:
        shown = task[:40] if task.isprintable() else ascii(task[:40])
        raise InputError(
            f"{graph.path}: an Ultralytics {shown} model; only {' and '.join(TASKS)} are read"
        )


def _keypoints(
    graph: Graph, base: ModelSpec, match: Match, own: KeypointSchema | None
) -> tuple[KeypointSet | None, tuple[str, ...]]:
    if base.keypoints is None:
        if own is not None:
            raise InputError(
                f"{graph.path}: {base.model} gives no keypoints; leave --keypoints out"
            )
        return None, ()
    count = match.keypoints or 0
    those = counted(count, "keypoint")
    if own is not None:
        if len(own) != count:
            raise InputError(
                f"{graph.path}: gives {those}, but {own.name} names {len(own)}; correct --keypoints"
            )
        return own, ()
    usual = base.keypoints
    if len(usual.names) == count:
        note = f"assumed {usual.name}, as {base.model}: the file does not name its {those}"
        return usual.name, (f"{note}; give --keypoints SCHEMA.json otherwise",)
    note = f"the file does not name its {those}; {numbered_range('kp', count)} without flip pairs"
    return numbered_schema(count), (f"{note}: give --keypoints SCHEMA.json to name them",)


def _classes(
    graph: Graph, base: ModelSpec, match: Match, asked: tuple[str, ...]
) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """Return a detector's classes: the user's, the file's own, else what their number means."""
    if not base.is_detector:
        if asked:
            raise InputError(f"{graph.path}: {base.model} is no detector; leave --classes out")
        return base.classes, ()
    count, usual = match.classes, base.classes or ()
    if asked:
        if len(set(asked)) < len(asked):
            raise InputError(f"--classes names a class twice: {', '.join(asked)}")
        if count not in {None, len(asked)}:
            has = counted(count or 0, "class", "classes")
            raise InputError(f"{graph.path}: has {has}, but --classes names {len(asked)}")
        return asked, ()
    named = _texts(graph.note("names"))
    if named and count in {None, len(named)}:
        return named, ()
    if count in {None, len(usual)}:
        many = len(usual) > 1
        note = f"assumed {base.model}'s {len(usual)} classes; give --classes a,b,... if they are others"
        return usual, (note,) if many else ()
    known = {1: PERSON, len(COCO_CLASSES): COCO_CLASSES}.get(count or 0)
    numbered = tuple(f"class{index}" for index in range(count or 0))
    classes = counted(count or 1, "class", "classes")
    note = f"the file does not name its {classes}: {numbered_range('class', count or 1)}"
    return known or numbered, () if known else (f"{note}; give --classes a,b,...",)


def _texts(names: Any) -> tuple[str, ...]:
    """Return class names of a list or a dict by index."""
    if isinstance(names, dict):
        names = [names.get(index) for index in range(len(names))]
    texts = isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names)
    return tuple(names) if texts and len(set(names)) == len(names) else ()


def _image(graph: Graph, base: ModelSpec, match: Match) -> TensorSpec:
    image, usual = graph.image, base.inputs[0]
    # pixels as whole numbers: the graph normalises them itself, as only MoveNet's is known to
    if image.dtype != usual.dtype and not (
        usual.dtype == "uint8" and image.dtype in {"int32", "float32"}
    ):
        raise InputError(
            f"{graph.path}: its input {image.name} is {image.dtype}, {base.model} takes {usual.dtype}; "
            "write a --spec SPEC.json"
        )
    width, height = graph.input_wh
    sides = (3, height, width) if graph.layout == "NCHW" else (height, width, 3)
    batch = FREE if graph.free_batch and not match.one else 1
    return TensorSpec(
        name="image",
        engine_name=image.name,
        dtype=image.dtype,
        shape=(batch, *sides),
        layout=graph.layout,
    )


def _output(match: Match, name: str, tensor: GraphTensor) -> TensorSpec:
    shape = (FREE, *tensor.shape[1:])
    if match.free_rows:
        shape = (FREE, FREE, *tensor.shape[2:])
    return TensorSpec(name=name, engine_name=tensor.name, dtype=tensor.dtype, shape=shape)


def _lineage(entry: CatalogEntry) -> Lineage:
    """Return the origin of weights that may be the user's own: the publisher's licence, and no verdict on their use."""
    return Lineage(
        weights="foreign",
        licences=(entry.licence,),
        commercial_use=entry.commercial_use or None,
        checkpoint=entry.url or "",
    )


def main(path: str, name: str, size: str, outcome: str) -> None:
    """Read a graph and leave it, or the error, in the file `outcome`."""
    width, _, height = size.partition("x")
    input_wh = (int(width), int(height)) if size else None
    leave_outcome(Path(outcome), lambda: Found(graph=read_like(Path(path), name or None, input_wh)))


if __name__ == "__main__":
    main(*sys.argv[1:])
