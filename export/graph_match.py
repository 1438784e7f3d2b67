"""Outputs of ONNX files that a model's own toolchain writes, matched with its codec by their shapes.

mmdeploy's and rtmlib's end2end.onnx, YOLOX's, Ultralytics' and plain torch.onnx exports: names differ, shapes do not.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge.catalog.label_sigma import with_label_sigma
from edge.catalog.specs_yolo import cells
from export.onnx_graph import Graph, GraphTensor, Size
from runtimes.codec_spec import (
    BoxesCodec,
    Codec,
    DenseCodec,
    HeatmapCodec,
    IntegralCodec,
    PafCodec,
    RTMDetCodec,
    SimCCCodec,
    YoloCodec,
    YoloRowsCodec,
    YOLOXCodec,
    YxsCodec,
)
from runtimes.spec import ModelSpec

LEVELS = 3
MOST_ROWS = 2000  # boxes after NMS; the cells of 320x320, a small input, are 2100
P6_STRIDE = 64

Named = tuple[tuple[str, GraphTensor], ...]


@dataclass(frozen=True, slots=True)
class Match:
    """Outputs under our names in the codec's order, the codec, and the counts that the shapes show (None: they do not).

    free_rows: the second axis has as many entries as there are boxes. one: images must be run one by one.
    """

    outputs: Named
    codec: Codec
    keypoints: int | None = None
    classes: int | None = None
    free_rows: bool = False
    one: bool = False


def match_outputs(graph: Graph, base: ModelSpec, keypoints: int | None) -> Match | None:
    """Return how the file's outputs fit `base`, a spec at the file's input size; None where they do not.

    keypoints: the number that the user gives, where he gives one.
    """
    if isinstance(base.codec, (YoloCodec, YoloRowsCodec)):
        return _yolo_pose(graph, keypoints) if base.gives_keypoints else _yolo(graph)
    return _MATCHERS[type(base.codec)](graph, base)


def expected_outputs(graph: Graph, base: ModelSpec, keypoints: int | None) -> str:
    """Describe the outputs that a model of this codec has at the file's input size, for a message.

    keypoints: as in `match_outputs`.
    """
    width, height = graph.input_wh
    usual = cells(graph.input_wh)
    if isinstance(base.codec, (YoloCodec, YoloRowsCodec)):
        at = f"A = {usual} at {width}x{height} (P6: {usual + _p6_cells(graph.input_wh)})"
        if not base.gives_keypoints:
            return f"one (1, 4 + classes, A) or (1, N, 6) with {at}"
        noted = graph.note("kpt_shape")
        points = f", kpt_shape {noted} as the metadata says" if noted else ""
        if not noted and keypoints is not None:
            points = f", K = {keypoints} as the keypoints given"
        return f"one (1, 5 + 3 K, A) or (1, N, 6 + 3 K) with {at}{points}"
    return _EXPECTED[type(base.codec)].format(width=width, height=height, cells=usual)


def usual_wh(base: ModelSpec, outputs: Sequence[GraphTensor]) -> Size:
    """Return the input size that SimCC's bins or a heatmap's cells imply, else the catalogue's."""
    width, height = base.image.wh
    if isinstance(base.codec, SimCCCodec):
        bins = [tensor.shape[2] for tensor in outputs if len(tensor.shape) == 3]
        if len(bins) == 2 and min(bins) > 0:
            return int(bins[0] / base.codec.split_ratio), int(bins[1] / base.codec.split_ratio)
    if isinstance(base.codec, (HeatmapCodec, IntegralCodec)) and len(outputs) == 1:
        stride = width // base.outputs[0].shape[3]
        rows, columns = outputs[0].shape[2:] if len(outputs[0].shape) == 4 else (-1, -1)
        if min(rows, columns) > 0:
            return columns * stride, rows * stride
    return width, height


def _simcc(graph: Graph, base: ModelSpec) -> Match | None:
    pair = _of_rank(graph, 3)
    if len(pair) != 2 or pair[0].shape[1] != pair[1].shape[1]:
        return None
    (a, b), (width, height) = pair, graph.input_wh
    fitting = [
        (x, y)
        for x, y in ((a, b), (b, a))
        if x.shape[2] * height == y.shape[2] * width and x.shape[2] >= width
    ]
    if not fitting:
        return None
    # of a square input both orders fit: then names decide, and else the order in the file
    x, y = fitting[-1] if "y" in a.name.lower() and "x" in b.name.lower() else fitting[0]
    split, usual = x.shape[2] / width, base.codec
    codec: Codec = SimCCCodec(split_ratio=split)
    if isinstance(usual, SimCCCodec) and usual.split_ratio == split:
        codec = usual
    return Match((("simcc_x", x), ("simcc_y", y)), codec, keypoints=x.shape[1])


def _heatmap(graph: Graph, base: ModelSpec) -> Match | None:
    width, height = graph.input_wh
    maps = [
        tensor
        for tensor in _of_rank(graph, 4)
        if tensor.shape[3] * height == tensor.shape[2] * width and tensor.shape[3] <= width
    ]
    if len(maps) != 1:
        return None
    codec = base.codec
    if maps[0].shape[2:] != base.outputs[0].shape[2:]:
        rows, columns = maps[0].shape[2:]
        codec = with_label_sigma(codec, (rows, columns))
    return Match(((base.outputs[0].name, maps[0]),), codec, keypoints=maps[0].shape[1])


def _yxs(graph: Graph, base: ModelSpec) -> Match | None:
    found = [each for each in _of_rank(graph, 4) if (each.shape[1], each.shape[3]) == (1, 3)]
    if len(found) != 1:
        return None
    return Match(((base.outputs[0].name, found[0]),), base.codec, keypoints=found[0].shape[2])


def _paf(graph: Graph, base: ModelSpec) -> Match | None:
    """The last stage's heatmaps and fields, by their channels; earlier stages come first."""
    if not isinstance(base.codec, PafCodec) or base.keypoints is None:
        return None
    count = len(base.keypoints.names)
    widths = (count + 1, 2 * len(base.codec.limbs))
    maps = {tensor.shape[1]: tensor for tensor in _of_rank(graph, 4)}
    if all(width in maps for width in widths):
        outputs: Named = (("heatmap", maps[widths[0]]), ("paf", maps[widths[1]]))
    elif sum(widths) in maps:
        outputs = (("maps", maps[sum(widths)]),)
    else:
        return None
    return Match(outputs, base.codec, keypoints=count)


def _dets(graph: Graph) -> Match | None:
    """Mmdeploy's detectors with NMS in the graph: dets (1, N, 5) and labels (1, N)."""
    dets = [tensor for tensor in _of_rank(graph, 3) if tensor.shape[2] == 5]
    labels = [tensor for tensor in _of_rank(graph, 2) if tensor.dtype.startswith("int")]
    if len(dets) != 1 or len(labels) != 1:
        return None
    outputs = (("dets", dets[0]), ("labels", labels[0]))
    # the file may declare a free batch, but its NMS fails above one image
    return Match(outputs, BoxesCodec(), free_rows=True, one=True)


def _rtmdet(graph: Graph, base: ModelSpec) -> Match | None:
    if (with_nms := _dets(graph)) is not None:
        return with_nms
    maps = _of_rank(graph, 4)
    sides = [tensor for tensor in maps if tensor.shape[1] == 4]
    if len(maps) != 2 * LEVELS or len(sides) not in {LEVELS, 2 * LEVELS}:
        return None
    regs = sides[-LEVELS:]
    logits = [tensor for tensor in maps if tensor not in regs]
    wanted = [tensor.shape[2:] for tensor in base.outputs[:LEVELS]]
    regs, logits = (sorted(each, key=lambda tensor: -tensor.shape[2]) for each in (regs, logits))
    if [each.shape[2:] for each in regs] != wanted or [each.shape[2:] for each in logits] != wanted:
        return None
    if len({tensor.shape[1] for tensor in logits}) != 1:
        return None
    names = [tensor.name for tensor in base.outputs]
    outputs = tuple(zip(names, (*logits, *regs), strict=True))
    return Match(outputs, base.codec, classes=logits[0].shape[1])


def _yolox(graph: Graph, base: ModelSpec) -> Match | None:
    if (with_nms := _dets(graph)) is not None:
        return with_nms
    found = _of_rank(graph, 3)
    if len(found) != 1 or found[0].shape[1] != cells(graph.input_wh) or found[0].shape[2] < 6:
        return None
    return Match((("output", found[0]),), base.codec, classes=found[0].shape[2] - 5)


def _yolo(graph: Graph) -> Match | None:
    found = _yolo_output(graph)
    if found is None or graph.notes.get("task", "detect") != "detect":
        return None
    if _is_raw(graph, found):
        classes = found.shape[1] - 4
        return Match((("output0", found),), YoloCodec(), classes=classes) if classes > 0 else None
    if found.shape[2] != 6:
        return None
    return Match((("output0", found),), YoloRowsCodec(), free_rows=True)


def _yolo_pose(graph: Graph, keypoints: int | None) -> Match | None:
    found = _yolo_output(graph)
    if found is None:
        return None
    raw = _is_raw(graph, found)
    classes = _class_count(graph.note("names")) if raw else None
    extra = found.shape[1] - 4 - (classes or 1) if raw else found.shape[2] - 6
    layout = _point_layout(extra, graph.note("kpt_shape"), keypoints)
    if layout is None:
        return None
    points, values = layout
    codec: Codec = YoloCodec(point_values=values) if raw else YoloRowsCodec(point_values=values)
    return Match((("output0", found),), codec, keypoints=points, free_rows=not raw)


def _point_layout(extra: int, noted: Any, asked: int | None) -> tuple[int, Any] | None:
    """Return keypoints and values a keypoint in `extra` numbers: as the file notes, the user asks, else 3 before 2."""
    if isinstance(noted, (list, tuple)) and len(noted) == 2:
        points, values = noted
        fits = values in {2, 3} and isinstance(points, int) and points * values == extra
        return (points, values) if fits else None
    for values in (3, 2):
        points, rest = divmod(extra, values)
        if points > 0 and not rest and asked in {None, points}:
            return points, values
    return None


def _class_count(names: Any) -> int | None:
    return len(names) if isinstance(names, (dict, list)) and names else None


def _yolo_output(graph: Graph) -> GraphTensor | None:
    found = _of_rank(graph, 3)
    known = len(found) == 1 and (_is_raw(graph, found[0]) or found[0].shape[1] <= MOST_ROWS)
    return found[0] if known else None


def _is_raw(graph: Graph, tensor: GraphTensor) -> bool:
    """Return whether the last axis is the cells of the input, with or without the coarse level of the P6 networks."""
    usual = cells(graph.input_wh)
    return tensor.shape[2] in {usual, usual + _p6_cells(graph.input_wh)}


def _p6_cells(input_wh: Size) -> int:
    width, height = input_wh
    return (width // P6_STRIDE) * (height // P6_STRIDE)


def _dense(graph: Graph, base: ModelSpec) -> Match | None:
    (wanted,) = base.outputs
    maps = [tensor for tensor in _of_rank(graph, 4) if tensor.shape[1] == wanted.shape[1]]
    return Match(((wanted.name, maps[0]),), base.codec) if len(maps) == 1 else None


def _of_rank(graph: Graph, rank: int) -> list[GraphTensor]:
    return [tensor for tensor in graph.outputs if len(tensor.shape) == rank]


_MATCHERS: Mapping[type, Callable[[Graph, ModelSpec], Match | None]] = {
    SimCCCodec: _simcc,
    HeatmapCodec: _heatmap,
    IntegralCodec: _heatmap,
    YxsCodec: _yxs,
    PafCodec: _paf,
    RTMDetCodec: _rtmdet,
    YOLOXCodec: _yolox,
    DenseCodec: _dense,
}
_EXPECTED: Mapping[type, str] = {
    SimCCCodec: "simcc_x (1, K, X) and simcc_y (1, K, Y) with X : Y = {width} : {height}, X at least {width}",
    HeatmapCodec: "one heatmap (1, K, h, w) with w : h = {width} : {height}",
    IntegralCodec: "one map (1, K, h, w) with w : h = {width} : {height}",
    YxsCodec: "one (1, 1, K, 3)",
    PafCodec: "heatmaps (1, K + 1, h, w) and fields (1, 2 L, h, w), or both in one",
    RTMDetCodec: "dets (1, N, 5) and labels (1, N), or three (1, classes, h, w) and three (1, 4, h, w) "
    "of strides 8, 16 and 32 at {width}x{height}",
    YOLOXCodec: "one (1, A, 5 + classes) with A = {cells} at {width}x{height}, or dets (1, N, 5) and labels (1, N)",
    DenseCodec: "one map (1, C, h, w)",
}
