"""Model specs, as artifact.json has them: one builder a family, shared by catalogue and export.

Names, shapes, preprocessing, codec and thresholds, and the tensor names of the published files that
`edgepose import --like` takes.
"""

import msgspec

from edge.catalog.label_sigma import simcc_label_sigma, with_label_sigma
from edge.catalog.specs_openpose import openpose_tf_spec
from edge.schema import KeypointSet, load_schema, schema_of
from runtimes.codec_spec import (
    BoxesCodec,
    Codec,
    HeatmapCodec,
    RTMDetCodec,
    SimCCCodec,
    YxsCodec,
)
from runtimes.errors import InputError
from runtimes.spec import (
    CropSpec,
    ImageSpec,
    ModelSpec,
    Runtime,
    TensorSpec,
    Thresholds,
)

# ImageNet statistics on the 0..255 scale, in RGB order (mmpose and mmdet configs).
MEAN_RGB = (123.675, 116.28, 103.53)
STD_RGB = (58.395, 57.12, 57.375)
PAD_VALUE = 114
RTMDET_STRIDES = (8, 16, 32)
SIMCC_SPLIT = 2.0

# Keypoint schemas by the number of keypoints, where nothing else is known, and by the name of a data set.
SCHEMA_OF_COUNT = {
    14: "crowdpose14",
    16: "mpii16",
    17: "coco17",
    21: "hand21",
    26: "body26",
    68: "face68",
    98: "face98",
    106: "face106",
    133: "coco133",
    136: "halpe136",
    308: "sapiens308",
}
SCHEMA_OF_DATASET = {
    "aic": "aic14",
    "ap10k": "ap10k17",
    "apt36k": "ap10k17",
    "coco": "coco17",
    "coco_wholebody": "coco133",
    "coco_wholebody_face": "face68",
    "coco_wholebody_hand": "hand21",
    "crowdpose": "crowdpose14",
    "goliath": "sapiens308",
    "halpe": "halpe136",
    "halpe26": "body26",
    "lapa": "face106",
    "mpii": "mpii16",
    "posetrack18": "posetrack18",
    "wflw": "face98",
    "wholebody": "coco133",
}

# fmt: off
COCO_CLASSES = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli",
    "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet",
    "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink",
    "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)
# fmt: on


def image_input(input_wh: tuple[int, int]) -> TensorSpec:
    """Return the one input of a torch module: "image", float32 NCHW, any batch."""
    width, height = input_wh
    return TensorSpec(name="image", shape=(-1, 3, height, width), layout="NCHW")


def map_cells(model: str, input_wh: tuple[int, int], multiple: int, stride: int) -> tuple[int, int]:
    """Return rows and columns of a map of that stride; raises InputError unless both sides are multiples."""
    width, height = input_wh
    if width % multiple or height % multiple:
        raise InputError(
            f"{model}: input sides must be multiples of {multiple}, not {width}x{height}"
        )
    return height // stride, width // stride


def heatmap_spec(
    model: str,
    schema: KeypointSet,
    cells: tuple[int, int],
    codec: Codec,
    image: ImageSpec,
    crop: CropSpec,
) -> ModelSpec:
    """Return the spec of a top-down heatmap model: one person crop to `heatmap` (B, K, *cells).

    codec: without the labels' sigma, which is added here.
    """
    keypoints = schema_of(schema)
    return ModelSpec(
        model=model,
        task="pose-topdown",
        inputs=(image_input(image.wh),),
        outputs=(TensorSpec(name="heatmap", shape=(-1, len(keypoints), *cells)),),
        image=image,
        crop=crop,
        codec=with_label_sigma(codec, cells),
        keypoints=keypoints.to_spec(),
    )


def rtmpose_spec(
    model: str,
    input_wh: tuple[int, int],
    schema: KeypointSet,
    sigma: tuple[float, float] | None = None,
) -> ModelSpec:
    """Top-down SimCC: one person crop to `simcc_x` (B, K, 2 W) and `simcc_y` (B, K, 2 H) logits (mmpose configs).

    sigma: (x, y) of the labels in bins; None for RTMPose's.
    """
    width, height = input_wh
    keypoints = schema_of(schema)
    count = len(keypoints)
    return ModelSpec(
        model=model,
        task="pose-topdown",
        inputs=(image_input(input_wh),),
        outputs=(
            TensorSpec(name="simcc_x", shape=(-1, count, int(width * SIMCC_SPLIT))),
            TensorSpec(name="simcc_y", shape=(-1, count, int(height * SIMCC_SPLIT))),
        ),
        image=ImageSpec(wh=input_wh, order="RGB", mean=MEAN_RGB, std=STD_RGB),
        crop=CropSpec(kind="affine", padding=1.25),
        codec=SimCCCodec(
            split_ratio=SIMCC_SPLIT, sigma=sigma or simcc_label_sigma(input_wh, SIMCC_SPLIT)
        ),
        keypoints=keypoints.to_spec(),
    )


def rtmdet_spec(model: str, input_wh: tuple[int, int], classes: tuple[str, ...]) -> ModelSpec:
    """Detector: the whole frame to `cls0..2` logits and `reg0..2` distances in pixels (mmdet configs).

    Raises InputError unless both sides of the input are multiples of 32.
    """
    cells = [map_cells(model, input_wh, RTMDET_STRIDES[-1], stride) for stride in RTMDET_STRIDES]
    channels = (("cls", len(classes)), ("reg", 4))
    return ModelSpec(
        model=model,
        task="detect",
        inputs=(image_input(input_wh),),
        outputs=tuple(
            TensorSpec(name=f"{kind}{level}", shape=(-1, depth, *cell))
            for kind, depth in channels
            for level, cell in enumerate(cells)
        ),
        image=_rtmdet_image(input_wh),
        crop=CropSpec(kind="letterbox", pad_value=PAD_VALUE),
        codec=RTMDetCodec(strides=RTMDET_STRIDES),
        classes=classes,
        thresholds=Thresholds(score=0.05, nms_iou=0.6),
    )


def rtmdet_boxes_spec(model: str, input_wh: tuple[int, int], classes: tuple[str, ...]) -> ModelSpec:
    """RTMDet as mmdeploy exports it, with the NMS in the graph: `dets` (B, N, 5) and `labels` (B, N)."""
    width, height = input_wh
    # the file declares a dynamic batch, but its NMS fails above one image
    one = msgspec.structs.replace(image_input(input_wh), shape=(1, 3, height, width))
    return ModelSpec(
        model=model,
        task="detect",
        inputs=(one,),
        outputs=(
            TensorSpec(name="dets", shape=(-1, -1, 5)),
            TensorSpec(name="labels", dtype="int64", shape=(-1, -1)),
        ),
        image=_rtmdet_image(input_wh),
        crop=CropSpec(kind="letterbox", pad_value=PAD_VALUE),
        codec=BoxesCodec(),
        classes=classes,
        thresholds=Thresholds(score=0.05, nms_iou=0.6),
    )


def tinypose_spec() -> ModelSpec:
    """PP-TinyPose 256x192 (PaddleDetection): one person crop to `heatmap` (B, 17, 64, 48)."""
    return ModelSpec(
        model="tinypose-256x192",
        task="pose-topdown",
        inputs=(image_input((192, 256)),),
        outputs=(TensorSpec(name="heatmap", shape=(-1, 17, 64, 48)),),
        image=ImageSpec(wh=(192, 256), order="RGB", mean=MEAN_RGB, std=STD_RGB),
        crop=CropSpec(kind="affine", padding=1.25),
        codec=HeatmapCodec(refine="shift", sigma=(2.0, 2.0)),
        keypoints=load_schema("coco17").to_spec(),
    )


def movenet_spec() -> ModelSpec:
    """MoveNet Lightning: RGB uint8 192x192 to `keypoints` (B, 1, 17, 3) as (y, x, score) in 0..1.

    Single-person: the pipeline runs it on each box, padded to a square, or without boxes on the whole frame.
    """
    return ModelSpec(
        model="movenet-lightning",
        task="pose-single",
        inputs=(TensorSpec(name="image", dtype="uint8", shape=(-1, 192, 192, 3), layout="NHWC"),),
        outputs=(TensorSpec(name="keypoints", shape=(-1, 1, 17, 3)),),
        image=ImageSpec(wh=(192, 192), order="RGB"),
        crop=CropSpec(kind="square", padding=1.4),
        codec=YxsCodec(),
        keypoints=load_schema("coco17").to_spec(),
    )


def published_spec(name: str, runtime: Runtime) -> ModelSpec | None:
    """Return the spec of a file published in an engine's format, engine names included; None where none is known.

    `name` is a catalogue name. The codec may differ from our own export's: mmdeploy puts the NMS into the graph.
    """
    match name, runtime:
        case "tinypose-256x192", "ncnn":
            return _engine_names(tinypose_spec(), "image", "save_infer_model/scale_0.tmp_1")
        case "tinypose-256x192", "openvino":
            return _engine_names(tinypose_spec(), "image", "conv2d_441.tmp_1")
        case "movenet-lightning", "tflite":
            return _engine_names(
                movenet_spec(), "serving_default_input:0", "StatefulPartitionedCall:0"
            )
        case "rtmdet-nano", "onnxruntime":
            boxes = rtmdet_boxes_spec(name, (320, 320), COCO_CLASSES[:1])
            return _engine_names(boxes, "input", "dets", "labels")
        case "openpose-mobilenet-tf", "onnxruntime":
            return openpose_tf_spec("image:0", "Openpose/concat_stage7:0")
        case _:
            return None


def _engine_names(spec: ModelSpec, image: str, *outputs: str) -> ModelSpec:
    (entry,) = spec.inputs
    return msgspec.structs.replace(
        spec,
        inputs=(msgspec.structs.replace(entry, engine_name=image),),
        outputs=tuple(
            msgspec.structs.replace(tensor, engine_name=engine_name)
            for tensor, engine_name in zip(spec.outputs, outputs, strict=True)
        ),
    )


def _rtmdet_image(input_wh: tuple[int, int]) -> ImageSpec:
    # mmdet feeds RTMDet BGR, so its statistics are ImageNet's in reverse.
    return ImageSpec(wh=input_wh, order="BGR", mean=MEAN_RGB[::-1], std=STD_RGB[::-1])
