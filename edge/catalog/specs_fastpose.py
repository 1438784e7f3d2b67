"""Model spec of FastPose (AlphaPose)."""

from edge.catalog.specs import heatmap_spec, map_cells
from edge.schema import KeypointSet
from runtimes.codec_spec import Codec, HeatmapCodec, IntegralCodec
from runtimes.spec import (
    CropSpec,
    ImageSpec,
    ModelSpec,
)

# AlphaPose subtracts (.406, .457, .480) from the channels R, G, B of a 0..1 image and divides by nothing. Those are
# about ImageNet's means in the order B, G, R: a mistake that all published weights were trained with.
MEAN_SWAPPED = (0.406 * 255, 0.457 * 255, 0.480 * 255)
STD_UNIT = (255.0, 255.0, 255.0)
STRIDE = 32
HEATMAP_STRIDE = 4

# Codecs by `codec` of a variant. Both shift the mirrored maps of a flip test one bin to the right.
CODECS: dict[str, Codec] = {
    "": HeatmapCodec(refine="shift-inside", shift_flip=True),
    "integral": IntegralCodec(norm="sigmoid", shift_flip=True),
}


def fastpose_spec(
    model: str, input_wh: tuple[int, int], schema: KeypointSet, codec: str = ""
) -> ModelSpec:
    """Top-down: one person crop to `heatmap` (B, K, H / 4, W / 4) (AlphaPose, arXiv:2211.03375).

    codec: "" for heatmaps, "integral" for weights trained by symmetric integral regression (logits then).
    Raises InputError unless both sides are multiples of 32.
    """
    cells = map_cells(model, input_wh, STRIDE, HEATMAP_STRIDE)
    image = ImageSpec(wh=input_wh, order="RGB", mean=MEAN_SWAPPED, std=STD_UNIT)
    crop = CropSpec(kind="affine", padding=1.25)
    return heatmap_spec(model, schema, cells, CODECS[codec], image, crop)
