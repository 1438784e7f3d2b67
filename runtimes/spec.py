"""What artifact.json holds: strict structs, unknown fields refused, a version from day one.

These are records on disk. They know neither engines nor poses: `codec` and `crop` are names and numbers here,
and `edge` gives them meaning.
"""

from typing import Literal

import msgspec

FORMAT = 1

Runtime = Literal["ncnn", "openvino", "tflite", "onnxruntime"]
Precision = Literal["fp32", "fp16", "int8"]
Task = Literal[
    "pose-topdown",
    "pose-bottomup",
    "pose-single",
    "detect",
    "segment",
    "depth",
    "normal",
    "embedding",
]
# Tasks whose result is a value a pixel of the frame.
DENSE_TASKS: tuple[Task, ...] = ("segment", "depth", "normal")


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every struct on disk."""


class FileRecord(Record, frozen=True, kw_only=True):
    """One engine file: a bare name inside the artifact directory, its size in bytes and its sha256."""

    path: str
    bytes: int
    sha256: str


class TensorSpec(Record, frozen=True, kw_only=True):
    """One tensor at the engine's side of the seam.

    `name` is ours (the key of `Session.run`), `engine_name` the engine's own. `shape` has -1 for the batch, which
    stands first even where the engine has none (ncnn); 1 there makes the adapter run a batch in turn.
    `layout` is NHWC, NCHW, or "" for what is no image.
    `scale` and `zero_point` are set where the engine's tensor is quantised; real = (q - zero_point) * scale.
    """

    name: str
    engine_name: str = ""
    dtype: str = "float32"
    shape: tuple[int, ...] = ()
    layout: str = ""
    scale: float | None = None
    zero_point: int | None = None


class ImageSpec(Record, frozen=True, kw_only=True):
    """How a uint8 BGR image becomes the network's tensor: reorder to `order`, subtract `mean`, divide by `std`.

    `wh` is the input size in pixels; mean and std are in `order`, on the 0..255 scale.
    `embedded`: the graph does all that itself and takes uint8 BGR NHWC; otherwise the adapter does it.
    """

    wh: tuple[int, int]
    order: Literal["RGB", "BGR"] = "RGB"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    embedded: bool = False


class CropSpec(Record, frozen=True, kw_only=True):
    """How a frame region becomes the input image.

    affine: the box, padded by `padding`, grown to the input's aspect, warped (mmpose's TopdownAffine, `udp` as there);
    letterbox: the whole frame, aspect kept, at the top left, the rest `pad_value`;
    square: the box padded to a square, warped; stretch: the box resized, aspect ignored.
    """

    kind: Literal["affine", "letterbox", "square", "stretch"]
    padding: float = 1.0
    udp: bool = False
    pad_value: int = 0


class SimCCCodec(Record, frozen=True, kw_only=True, tag="simcc", tag_field="kind"):
    """SimCC logits: x bins (B, K, W * split), y bins (B, K, H * split). RTMPose, arXiv:2303.07399."""

    split_ratio: float = 2.0


class HeatmapCodec(Record, frozen=True, kw_only=True, tag="heatmap", tag_field="kind"):
    """Heatmaps (B, K, h, w), one peak a keypoint.

    refine: "shift" moves a quarter bin to the higher neighbour, an axis at a time; "shift-inside" only where the peak
    has room on both axes (AlphaPose); "dark" is arXiv:1910.06278; "udp" is its form for UDP heatmaps
    (arXiv:1911.07524), whose bins span the input by W - 1 instead of W.
    """

    refine: Literal["none", "shift", "shift-inside", "dark", "udp"] = "shift"
    blur_kernel: int = 11
    shift_flip: bool = False


class IntegralCodec(Record, frozen=True, kw_only=True, tag="integral", tag_field="kind"):
    """Maps (B, K, h, w) whose mean position is the keypoint: symmetric integral regression, arXiv:2211.03375.

    norm makes a map positive before it is divided by its sum: "sigmoid" gives the score as well, its highest value;
    "softmax" and "divide_sum" give every keypoint the score 1.
    """

    norm: Literal["sigmoid", "softmax", "divide_sum"] = "sigmoid"
    shift_flip: bool = False


class YxsCodec(Record, frozen=True, kw_only=True, tag="yxs", tag_field="kind"):
    """Direct regression (B, 1, K, 3) as (y, x, score), y and x in 0..1 of the input (MoveNet)."""


class RTMDetCodec(Record, frozen=True, kw_only=True, tag="rtmdet", tag_field="kind"):
    """Anchor-free per-level logits and distances in pixels; points at (x * stride, y * stride). arXiv:2212.07784."""

    strides: tuple[int, ...] = (8, 16, 32)
    max_candidates: int = 1000
    max_detections: int = 100


class YOLOXCodec(Record, frozen=True, kw_only=True, tag="yolox", tag_field="kind"):
    """One (B, A, 5 + classes) tensor: (cx, cy, log w, log h) in strides, objectness, class scores. arXiv:2107.08430."""

    strides: tuple[int, ...] = (8, 16, 32)
    max_candidates: int = 1000
    max_detections: int = 100


class BoxesCodec(Record, frozen=True, kw_only=True, tag="boxes", tag_field="kind"):
    """NMS in the graph: dets (B, N, 5) as x0, y0, x1, y1, score in input pixels, and labels (B, N)."""


class DenseCodec(Record, frozen=True, kw_only=True, tag="dense", tag_field="kind"):
    """One map (B, C, h, w) over the whole input: class logits, depth, or surface normals.

    scale "unit": each pixel's C values are a direction and are brought to length 1 after resizing.
    """

    scale: Literal["none", "unit"] = "none"


class PafLimb(Record, frozen=True, kw_only=True):
    """A pair of keypoints that the net joins: `ends` are keypoints, `channels` the field's x and y components.

    starts: False for a pair that the skeleton does not need (an ear and a shoulder): it completes people, and is never
    the first to see one.
    """

    ends: tuple[int, int]
    channels: tuple[int, int]
    starts: bool = True


class PafCodec(Record, frozen=True, kw_only=True, tag="paf", tag_field="kind"):
    """Heatmaps (B, K + 1, h, w), the last the background, and affinity fields (B, 2 L, h, w), of all people at once.

    One output may hold both, heatmaps first. Lengths are in bins of the network's maps. OpenPose, arXiv:1812.08008.

    limbs: in the order people are put together. upsample: maps are enlarged by this (bicubic) before peaks are sought.
    refine: "parabola" places a peak between bins, "none" on the bin (what the references do, on enlarged maps).
    blur: sigma of a Gaussian over the heatmaps, 0 for none. Peaks under `peak_score` do not count; of those nearer than
    `separation` the leftmost stays. `alignment`: a point of a limb agrees where field times direction exceeds it.
    limb_score: "agreeing" is the mean over agreeing points; "all" over all points, less for limbs over half a map long.
    assembly: "attach" adds a limb to whoever owns its first end (OpenPose); "merge" also joins two halves of a person
    that a limb connects (pytorch-openpose). Who has fewer keypoints, or a lower score a keypoint, is dropped.
    """

    limbs: tuple[PafLimb, ...]
    upsample: int = 1
    refine: Literal["none", "parabola"] = "parabola"
    blur: float = 0.0
    peak_score: float = 0.1
    separation: float = 1.5
    alignment: float = 0.05
    limb_score: Literal["agreeing", "all"] = "agreeing"
    assembly: Literal["attach", "merge"] = "attach"
    min_keypoints: int = 3
    min_score: float = 0.2


Codec = (
    SimCCCodec
    | HeatmapCodec
    | IntegralCodec
    | YxsCodec
    | RTMDetCodec
    | YOLOXCodec
    | BoxesCodec
    | DenseCodec
    | PafCodec
)


class KeypointsSpec(Record, frozen=True, kw_only=True):
    """A keypoint set: names, 0-based edges, left/right index pairs, COCO sigmas (empty where none are published)."""

    name: str
    names: tuple[str, ...]
    edges: tuple[tuple[int, int], ...] = ()
    pairs: tuple[tuple[int, int], ...] = ()
    sigmas: tuple[float, ...] = ()


class Thresholds(Record, frozen=True, kw_only=True):
    """Defaults a model was published with: box score, box NMS IoU, keypoint score."""

    score: float = 0.3
    nms_iou: float = 0.6
    keypoint: float = 0.3


class ModelSpec(Record, frozen=True, kw_only=True):
    """What a model is, whatever runs it: `model` to `thresholds` of artifact.json."""

    model: str
    task: Task
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    image: ImageSpec
    crop: CropSpec
    codec: Codec
    keypoints: KeypointsSpec | None = None
    classes: tuple[str, ...] | None = None
    thresholds: Thresholds = Thresholds()


class KeptLayer(Record, frozen=True, kw_only=True):
    """A layer left in higher precision, and why."""

    layer: str
    precision: str
    reason: str


class Parity(Record, frozen=True, kw_only=True):
    """One comparison with a reference, as the gate judged it.

    basis "px": network-input pixels over decidable keypoints; "boxes": reference boxes matched by IoU;
    "raw": max|a-b| / max(1, max|ref|). `passed` is None where nothing was there to judge against (foreign imports).
    Numbers that the basis does not define are None. `limit` is in the basis' own unit.
    basis "ap": average precision against ground truth, 0 to 1, and the drop from the reference with its paired
    bootstrap interval; `passed` is None (undecided) where the interval spans the limit.
    """

    basis: Literal["px", "boxes", "raw", "ap"]
    reference: str
    passed: bool | None
    limit: float | None = None
    samples: int = 0
    raw_error: float | None = None
    decidable: int | None = None
    keypoints: int | None = None
    px_mean: float | None = None
    px_p95: float | None = None
    px_max: float | None = None
    oks_mean: float | None = None
    boxes: int | None = None
    matched: float | None = None
    ap: float | None = None
    ap_reference: float | None = None
    ap_drop: float | None = None
    ap_interval: tuple[float, float] | None = None
    inputs: str = ""
    arithmetic: str = "f32"
    isa: tuple[str, ...] = ()


class Calibration(Record, frozen=True, kw_only=True):
    """Where int8 ranges came from: source, number of images, content hash, method."""

    source: str
    samples: int
    sha256: str
    method: str


class Lineage(Record, frozen=True, kw_only=True):
    """Where the weights came from and what may be done with them."""

    weights: Literal["checkpoint", "random", "foreign"]
    checkpoint: str = ""
    checkpoint_sha256: str = ""
    parent: str = ""
    teacher: str = ""
    licences: tuple[str, ...] = ()
    commercial_use: bool | None = None


class Manifest(ModelSpec, frozen=True, kw_only=True):
    """artifact.json, whole."""

    runtime: Runtime
    precision: Precision
    lineage: Lineage
    format: int = FORMAT
    kept: tuple[KeptLayer, ...] = ()
    files: tuple[FileRecord, ...] = ()
    parity: tuple[Parity, ...] = ()
    calibration: Calibration | None = None
    tools: dict[str, str] = {}


def model_spec(manifest: Manifest) -> ModelSpec:
    """Return the runtime-independent part of a manifest, as engine files mirror it."""
    return ModelSpec(**{name: getattr(manifest, name) for name in ModelSpec.__struct_fields__})
