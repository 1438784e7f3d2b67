"""Model spec of the CSPNeXt-UDP heatmap networks (mmpose), and of our students of that form."""

from edge.catalog.label_sigma import with_label_sigma
from edge.catalog.specs import MEAN_RGB, STD_RGB, image_input
from edge.schema import KeypointSet, schema_of
from runtimes.codec_spec import HeatmapCodec
from runtimes.errors import InputError
from runtimes.spec import CropSpec, ImageSpec, ModelSpec, TensorSpec

STRIDE = 32
HEATMAP_STRIDE = 4
# mmpose's UDPHeatmap, of every keypoint set: bins and crops run from the first pixel to the last (arXiv:1911.07524).
CODEC = HeatmapCodec(refine="udp", blur_kernel=11)


def cspnext_spec(model: str, input_wh: tuple[int, int], schema: KeypointSet) -> ModelSpec:
    """Top-down: one person crop to `heatmap` (B, K, H / 4, W / 4) (mmpose's configs `cspnext-*_udp_*`).

    Raises InputError unless both sides are multiples of 32.
    """
    width, height = input_wh
    if width % STRIDE or height % STRIDE:
        raise InputError(
            f"{model}: input sides must be multiples of {STRIDE}, not {width}x{height}"
        )
    keypoints = schema_of(schema)
    cells = (height // HEATMAP_STRIDE, width // HEATMAP_STRIDE)
    return ModelSpec(
        model=model,
        task="pose-topdown",
        inputs=(image_input(input_wh),),
        outputs=(TensorSpec(name="heatmap", shape=(-1, len(keypoints), *cells)),),
        image=ImageSpec(wh=input_wh, order="RGB", mean=MEAN_RGB, std=STD_RGB),
        crop=CropSpec(kind="affine", padding=1.25, udp=True),
        codec=with_label_sigma(CODEC, cells),
        keypoints=keypoints.to_spec(),
    )
