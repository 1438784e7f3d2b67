"""Model specs of Sapiens (arXiv:2408.12569): keypoints of one person, or a map over the whole frame.

Preprocessing is that of training (mmpose and mmseg configs of facebookresearch/sapiens); the authors' lite demo
rounds mean and std, and for poses first crops at the image's own aspect.
"""

from edge.catalog.specs import MEAN_RGB, STD_RGB, image_input
from edge.schema import KeypointSet, schema_of
from runtimes.codec_spec import DenseCodec, HeatmapCodec
from runtimes.errors import InputError
from runtimes.spec import (
    CropSpec,
    ImageSpec,
    ModelSpec,
    Task,
    TensorSpec,
)

SAPIENS_WH = (768, 1024)
PATCH = 16
# Times that the head doubles the patch grid, by task.
POSE_DOUBLINGS = 2
# Bins, at every published size.
LABEL_SIGMA = (6.0, 6.0)
DOUBLINGS: dict[Task, int] = {"segment": 3, "depth": 4, "normal": 3}
OUTPUT_NAMES: dict[Task, str] = {"segment": "logits", "depth": "depth", "normal": "normal"}
CHANNELS: dict[Task, int] = {"depth": 1, "normal": 3}

# fmt: off
# docs/SEG_README.md of the authors' repository.
GOLIATH_PARTS = (
    "Background", "Apparel", "Face_Neck", "Hair", "Left_Foot", "Left_Hand", "Left_Lower_Arm", "Left_Lower_Leg",
    "Left_Shoe", "Left_Sock", "Left_Upper_Arm", "Left_Upper_Leg", "Lower_Clothing", "Right_Foot", "Right_Hand",
    "Right_Lower_Arm", "Right_Lower_Leg", "Right_Shoe", "Right_Sock", "Right_Upper_Arm", "Right_Upper_Leg", "Torso",
    "Upper_Clothing", "Lower_Lip", "Upper_Lip", "Lower_Teeth", "Upper_Teeth", "Tongue",
)
# seg/mmseg/datasets/lip.py and cihp.py there: one list for both.
LIP_PARTS = (
    "Background", "Hat", "Hair", "Glove", "Sunglasses", "UpperClothes", "Dress", "Coat", "Socks", "Pants", "Jumpsuits",
    "Scarf", "Skirt", "Face", "Left-arm", "Right-arm", "Left-leg", "Right-leg", "Left-shoe", "Right-shoe",
)
# fmt: on
PARTS_OF_COUNT = {len(parts): parts for parts in (LIP_PARTS, GOLIATH_PARTS)}


def sapiens_pose_spec(model: str, input_wh: tuple[int, int], schema: KeypointSet) -> ModelSpec:
    """Top-down UDP heatmaps: one person crop to `heatmap` (B, K, H / 4, W / 4), trained with sigma 6.

    The decoder blurs with mmpose's default kernel of 11 bins, which the configs leave as it is.
    """
    keypoints = schema_of(schema)
    return ModelSpec(
        model=model,
        task="pose-topdown",
        inputs=(image_input(input_wh),),
        outputs=(
            TensorSpec(
                name="heatmap",
                shape=(-1, len(keypoints), *_map_hw(model, input_wh, POSE_DOUBLINGS)),
            ),
        ),
        image=ImageSpec(wh=input_wh, order="RGB", mean=MEAN_RGB, std=STD_RGB),
        crop=CropSpec(kind="affine", padding=1.25, udp=True),
        codec=HeatmapCodec(refine="udp", blur_kernel=11, sigma=LABEL_SIGMA),
        keypoints=keypoints.to_spec(),
    )


def sapiens_dense_spec(
    model: str, input_wh: tuple[int, int], task: Task, classes: tuple[str, ...]
) -> ModelSpec:
    """The whole frame, stretched, to a map: body parts, depth, or surface normals, as `task` says.

    segment: `logits` (B, classes, H / 2, W / 2), `classes` names the parts; depth: `depth` (B, 1, H, W), relative,
    larger is farther; normal: `normal` (B, 3, H / 2, W / 2).
    """
    channels = len(classes) if task == "segment" else CHANNELS[task]
    map_hw = _map_hw(model, input_wh, DOUBLINGS[task])
    return ModelSpec(
        model=model,
        task=task,
        inputs=(image_input(input_wh),),
        outputs=(TensorSpec(name=OUTPUT_NAMES[task], shape=(-1, channels, *map_hw)),),
        image=ImageSpec(wh=input_wh, order="RGB", mean=MEAN_RGB, std=STD_RGB),
        crop=CropSpec(kind="stretch"),
        codec=DenseCodec(scale="unit" if task == "normal" else "none"),
        classes=classes or None,
    )


def _map_hw(model: str, input_wh: tuple[int, int], doublings: int) -> tuple[int, int]:
    width, height = input_wh
    if width % PATCH or height % PATCH:
        raise InputError(f"{model}: input sides must be multiples of {PATCH}, not {width}x{height}")
    return height // PATCH << doublings, width // PATCH << doublings
