"""Input and outputs of an ONNX file, with the shapes that one run gives: declared ones are often symbolic."""

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from runtimes.adapters.onnxruntime_adapter import (
    DTYPES,
    ERRORS_ONLY,
    engine_errors,
    import_onnxruntime,
)
from runtimes.errors import EngineError, InputError

Size = tuple[int, int]
NOTE_LIMIT = 100_000  # characters of a note in the file; names of a thousand classes have 20,000


@dataclass(frozen=True, slots=True)
class GraphTensor:
    """One tensor; -1 in `shape` where the file leaves the length free."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} ({', '.join('?' if side < 0 else str(side) for side in self.shape)})"


@dataclass(frozen=True, slots=True)
class Graph:
    """An ONNX file: its one image input, and its outputs with the shapes of a run on one image of `input_wh`.

    layout: NCHW or NHWC. free_batch: any number of images may be run at once. notes: the file's own metadata.
    """

    path: str
    image: GraphTensor
    layout: str
    input_wh: Size
    outputs: tuple[GraphTensor, ...]
    free_batch: bool
    notes: dict[str, str]

    def note(self, key: str) -> Any:
        """Return a Python literal of the metadata, such as Ultralytics' `names`; None where there is none."""
        text = self.notes.get(key, "")
        try:
            return ast.literal_eval(text) if len(text) <= NOTE_LIMIT else None
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return None


def read_graph(
    path: Path, asked_wh: Size | None, usual_wh: Callable[[Sequence[GraphTensor]], Size]
) -> Graph:
    """Load the file and run it once on a black image, in this process: a damaged file may end it.

    asked_wh: the input size that the user gives; else the file's own; else what `usual_wh` makes of the declared
    outputs. Raises InputError where the file takes no image or another size, EngineError where ONNX Runtime refuses it,
    MissingDependencyError.
    """
    ort = import_onnxruntime()
    errors = engine_errors(ort)
    settings = ort.SessionOptions()
    settings.log_severity_level = ERRORS_ONLY
    try:
        session = ort.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    except errors as error:
        raise EngineError(f"{path}: ONNX Runtime cannot load it ({_reason(error)})") from error
    image, layout = _image(path, [_tensor(value) for value in session.get_inputs()])
    declared = [_tensor(value) for value in session.get_outputs()]
    width, height = input_wh = _input_wh(path, image, layout, asked_wh) or usual_wh(declared)
    shape = (1, 3, height, width) if layout == "NCHW" else (1, height, width, 3)
    try:
        found = session.run(None, {image.name: np.zeros(shape, image.dtype)})
    except errors as error:
        raise EngineError(
            f"{path}: does not run on an image of {width}x{height} ({_reason(error)}); give --input WxH"
        ) from error
    return Graph(
        path=str(path),
        image=image,
        layout=layout,
        input_wh=input_wh,
        outputs=tuple(
            GraphTensor(each.name, each.dtype, tuple(map(int, np.shape(value))))
            for each, value in zip(declared, found, strict=True)
        ),
        free_batch=image.shape[0] < 0,
        notes=dict(session.get_modelmeta().custom_metadata_map),
    )


def _tensor(value: Any) -> GraphTensor:
    # a free axis comes as its name or None
    shape = tuple(side if isinstance(side, int) and side > 0 else -1 for side in value.shape)
    return GraphTensor(value.name, DTYPES.get(value.type, value.type), shape)


def _image(path: Path, inputs: Sequence[GraphTensor]) -> tuple[GraphTensor, str]:
    """Return the one input and its layout; raises InputError where it takes no image."""
    listed = ", ".join(map(str, inputs))
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        raise InputError(
            f"{path}: its inputs are {listed}; expected one image (N, 3, H, W) or (N, H, W, 3)"
        )
    (image,) = inputs
    if image.dtype not in DTYPES.values():
        raise InputError(f"{path}: its input {image} holds {image.dtype}; expected an image")
    if image.shape[0] not in {-1, 1}:
        raise InputError(
            f"{path}: its batch is fixed at {image.shape[0]}; export it with 1, or free"
        )
    if image.shape[1] == 3 or (image.shape[1] < 0 and image.shape[3] != 3):
        return image, "NCHW"
    if image.shape[3] == 3:
        return image, "NHWC"
    raise InputError(
        f"{path}: its input is {listed}; expected one image (N, 3, H, W) or (N, H, W, 3)"
    )


def _input_wh(path: Path, image: GraphTensor, layout: str, asked: Size | None) -> Size | None:
    """Return the size that the file fixes or the user asks for; None where neither does."""
    height, width = image.shape[2:] if layout == "NCHW" else image.shape[1:3]
    fixed = (width, height)
    if asked is None:
        return fixed if min(fixed) > 0 else None
    if any(own not in {-1, side} for own, side in zip(fixed, asked, strict=True)):
        raise InputError(
            f"{path}: its input is {image}, not {asked[0]}x{asked[1]}; leave --input out"
        )
    return asked


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split())[-200:]
