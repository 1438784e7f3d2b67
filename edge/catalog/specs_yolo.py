"""Model specs of YOLOX (Megvii, mmdet) and of Ultralytics' YOLOs, as their own exports write them to ONNX."""

from edge.catalog.specs import COCO_CLASSES, PAD_VALUE, image_input
from edge.schema import KeypointSet, schema_of
from runtimes.codec_spec import YoloCodec, YOLOXCodec
from runtimes.spec import CropSpec, ImageSpec, ModelSpec, TensorSpec, Thresholds

STRIDES = (8, 16, 32)


def yolox_spec(model: str, input_wh: tuple[int, int], classes: tuple[str, ...]) -> ModelSpec:
    """Detector: the whole frame, BGR as it is, to one tensor (B, A, 5 + classes), A the cells at strides 8, 16, 32."""
    return ModelSpec(
        model=model,
        task="detect",
        inputs=(image_input(input_wh),),
        outputs=(TensorSpec(name="output", shape=(-1, cells(input_wh), 5 + len(classes))),),
        image=ImageSpec(wh=input_wh, order="BGR"),
        crop=CropSpec(kind="letterbox", pad_value=PAD_VALUE),
        codec=YOLOXCodec(strides=STRIDES),
        classes=classes,
        thresholds=Thresholds(score=0.05, nms_iou=0.65),
    )


def yolo_detect_spec(model: str, input_wh: tuple[int, int]) -> ModelSpec:
    """Ultralytics' detector of COCO's 80 classes: the whole frame to `output0` (B, 4 + classes, A)."""
    channels = 4 + len(COCO_CLASSES)
    return ModelSpec(
        model=model,
        task="detect",
        inputs=(image_input(input_wh),),
        outputs=(TensorSpec(name="output0", shape=(-1, channels, cells(input_wh))),),
        image=_image(input_wh),
        crop=_CROP,
        codec=YoloCodec(),
        classes=COCO_CLASSES,
        thresholds=Thresholds(score=0.05, nms_iou=0.7),
    )


def yolo_pose_spec(model: str, input_wh: tuple[int, int], schema: KeypointSet) -> ModelSpec:
    """Ultralytics' pose model of one class: the whole frame to `output0` (B, 5 + 3 K, A), all people at once."""
    keypoints = schema_of(schema)
    channels = 5 + 3 * len(keypoints)
    return ModelSpec(
        model=model,
        task="pose-bottomup",
        inputs=(image_input(input_wh),),
        outputs=(TensorSpec(name="output0", shape=(-1, channels, cells(input_wh))),),
        image=_image(input_wh),
        crop=_CROP,
        codec=YoloCodec(),
        keypoints=keypoints.to_spec(),
        # those of its predictor; a keypoint is drawn above .5
        thresholds=Thresholds(score=0.25, nms_iou=0.7, keypoint=0.5),
    )


def cells(input_wh: tuple[int, int]) -> int:
    """Return the number of cells at strides 8, 16 and 32."""
    return sum((input_wh[0] // stride) * (input_wh[1] // stride) for stride in STRIDES)


def _image(input_wh: tuple[int, int]) -> ImageSpec:
    return ImageSpec(wh=input_wh, order="RGB", std=(255.0, 255.0, 255.0))


_CROP = CropSpec(kind="letterbox-centre", pad_value=PAD_VALUE)
