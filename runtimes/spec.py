"""Structs of artifact.json, versioned; unknown fields are refused.

These are records on disk. They know neither engines nor poses: `codec` and `crop` are names and numbers here, which
`edge` implements.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from runtimes.codec_spec import Codec
from runtimes.parity_spec import Parity
from runtimes.record import (
    Axis,
    Byte,
    Dtype,
    Mean,
    Padding,
    Positive,
    Record,
    Share,
    Side,
    Sigma,
    Size,
    Std,
)

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
TrainedOn = Literal["unknown", "drawn"]
# Tasks whose result is a value a pixel of the frame.
DENSE_TASKS: tuple[Task, ...] = ("segment", "depth", "normal")
# Tasks whose input is one person's box.
CROP_TASKS: tuple[Task, ...] = ("pose-topdown", "pose-single", "embedding")


class FileRecord(Record, frozen=True, kw_only=True):
    """One engine file: a bare name inside the artifact directory, its size in bytes and its sha256."""

    path: str
    bytes: Size
    sha256: str


class TensorSpec(Record, frozen=True, kw_only=True):
    """One input or output tensor of the engine.

    `name` is ours (the key of `Session.run`), `engine_name` the engine's own. `shape` has -1 for the batch, which
    comes first even where the engine has none (ncnn); with 1 there, batches run image by image.
    `layout` is NHWC, NCHW, or "" for tensors that are no images.
    `scale` and `zero_point` are set where the engine's tensor is quantised; real = (q - zero_point) * scale.
    """

    name: str
    engine_name: str = ""
    dtype: Dtype = "float32"
    shape: tuple[Axis, ...] = ()
    layout: str = ""
    scale: Positive | None = None
    zero_point: Annotated[int, Meta(ge=-(1 << 31), le=1 << 31)] | None = None


class ImageSpec(Record, frozen=True, kw_only=True):
    """Preprocessing of a uint8 BGR image: reorder to `order`, subtract `mean`, divide by `std`.

    `wh` is the input size in pixels; mean and std are in `order`, on the 0..255 scale.
    `embedded`: the graph does all that itself and takes uint8 BGR NHWC; otherwise the adapter does it.
    """

    wh: tuple[Side, Side]
    order: Literal["RGB", "BGR"] = "RGB"
    mean: tuple[Mean, Mean, Mean] = (0.0, 0.0, 0.0)
    std: tuple[Std, Std, Std] = (1.0, 1.0, 1.0)
    embedded: bool = False


class CropSpec(Record, frozen=True, kw_only=True):
    """The crop of a frame that becomes the input image.

    affine: the box, padded by `padding`, grown to the input's aspect, warped (mmpose's TopdownAffine, `udp` as there);
    letterbox: the whole frame, aspect kept, at the top left, the rest `pad_value`; letterbox-centre: in the middle;
    square: the box padded to a square, warped; stretch: the box resized, aspect ignored.
    """

    kind: Literal["affine", "letterbox", "letterbox-centre", "square", "stretch"]
    padding: Padding = 1.0
    udp: bool = False
    pad_value: Byte = 0


class KeypointsSpec(Record, frozen=True, kw_only=True):
    """A keypoint set: names, 0-based edges, left/right index pairs, COCO sigmas (empty where none are published)."""

    name: str
    names: Annotated[tuple[str, ...], Meta(min_length=1)]
    edges: tuple[tuple[int, int], ...] = ()
    pairs: tuple[tuple[int, int], ...] = ()
    sigmas: tuple[Sigma, ...] = ()


class Thresholds(Record, frozen=True, kw_only=True):
    """Thresholds a model was published with: box score, box NMS IoU, keypoint score."""

    score: Share = 0.3
    nms_iou: Share = 0.6
    keypoint: Share = 0.3


class ModelSpec(Record, frozen=True, kw_only=True):
    """The runtime-independent description of a model: `model` to `thresholds` of artifact.json."""

    model: str
    task: Task
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    image: ImageSpec
    crop: CropSpec
    codec: Codec
    keypoints: KeypointsSpec | None = None
    classes: Annotated[tuple[str, ...], Meta(min_length=1)] | None = None
    thresholds: Thresholds = Thresholds()

    @property
    def is_detector(self) -> bool:
        """Whether the result is boxes."""
        return self.task == "detect"

    @property
    def is_dense(self) -> bool:
        """Whether the result is a map: a value, or one a class, for each pixel of the frame."""
        return self.task in DENSE_TASKS

    @property
    def is_embedding(self) -> bool:
        """Whether the result describes the appearance of the person in a box."""
        return self.task == "embedding"

    @property
    def is_top_down(self) -> bool:
        """Whether it estimates the pose of the one person in a detector's box."""
        return self.task == "pose-topdown"

    @property
    def is_bottom_up(self) -> bool:
        """Whether it finds all people of a frame in one run, without a detector."""
        return self.task == "pose-bottomup"

    @property
    def gives_keypoints(self) -> bool:
        """Whether the result is poses, of one person or of many."""
        return self.task.startswith("pose")

    @property
    def takes_boxes(self) -> bool:
        """Whether its input is a crop around one person's box; other models take the whole frame."""
        return self.task in CROP_TASKS


class KeptLayer(Record, frozen=True, kw_only=True):
    """A layer left in higher precision, with the reason."""

    layer: str
    precision: str
    reason: str


class Calibration(Record, frozen=True, kw_only=True):
    """Method of quantization, and the images that gave activation ranges: source, number, content hash.

    Without images where activations are rounded by their own range in each run (dynamic) or stay float (weight-only).
    """

    method: str
    source: str = ""
    samples: Size = 0
    sha256: str = ""


class Lineage(Record, frozen=True, kw_only=True):
    """Origin of the weights, and the licences they are under.

    trained_on: "drawn" where the weights have seen no people but those of `edge.synth`.
    """

    weights: Literal["checkpoint", "random", "foreign"]
    checkpoint: str = ""
    checkpoint_sha256: str = ""
    parent: str = ""
    teacher: str = ""
    licences: tuple[str, ...] = ()
    commercial_use: bool | None = None
    trained_on: TrainedOn = "unknown"


# Of one run: a thousand times the largest networks' work, and few enough to be summed as bytes.
Amount = Annotated[int, Meta(ge=0, le=1 << 50)]


class Cost(Record, frozen=True, kw_only=True):
    """What one run on one image takes at least, counted on the PyTorch model.

    macs: multiply-accumulates of convolutions, linear layers and matrix products. parameters: numbers in its weights.
    io_bytes: of the uint8 image and the float32 outputs.
    """

    macs: Amount
    parameters: Amount
    io_bytes: Amount


class Manifest(ModelSpec, frozen=True, kw_only=True):
    """artifact.json. cost: None of what others converted, and of artifacts of earlier releases."""

    runtime: Runtime
    precision: Precision
    lineage: Lineage
    format: int = FORMAT
    kept: tuple[KeptLayer, ...] = ()
    files: tuple[FileRecord, ...] = ()
    parity: tuple[Parity, ...] = ()
    calibration: Calibration | None = None
    cost: Cost | None = None
    tools: dict[str, str] = msgspec.field(default_factory=dict)


def model_spec(manifest: Manifest) -> ModelSpec:
    """Return the runtime-independent part of a manifest, as engine files mirror it."""
    return ModelSpec(**{name: getattr(manifest, name) for name in ModelSpec.__struct_fields__})
