"""Model specs of ViTPose (arXiv:2204.12484) and ViTPose++ (arXiv:2212.04246)."""

from edge.catalog.specs import MEAN_RGB, STD_RGB, heatmap_spec, map_cells
from edge.catalog.specs_ae import ae_spec
from edge.schema import KeypointSchema, KeypointSet
from runtimes.codec_spec import Codec, HeatmapCodec, IntegralCodec
from runtimes.spec import (
    CropSpec,
    ImageSpec,
    ModelSpec,
)

PATCH = 16
HEATMAP_STRIDE = 4
# The authors train and test COCO and MPII with unbiased data processing, and the other sets of ViTPose++ without: then
# crops and bins are the classic ones, a peak moves a quarter bin, and the flip test shifts the mirrored map
# (configs of ViTAE-Transformer/ViTPose; mmpose's own ViTPose are COCO's, which one's own data start from).
UDP_SCHEMAS = ("coco17", "mpii16")
UDP_CODEC = HeatmapCodec(refine="udp", blur_kernel=11)
CLASSIC_CODEC = HeatmapCodec(refine="shift-inside", shift_flip=True)
# Codecs by `codec` of a variant, with UDP and without. Integral regression is for our students only; its bins are the
# classic ones, W / w pixels each, in either crop.
INTEGRAL_CODEC = IntegralCodec(norm="sigmoid", shift_flip=True)
CODECS: dict[str, tuple[Codec, Codec]] = {
    "": (UDP_CODEC, CLASSIC_CODEC),
    "integral": (INTEGRAL_CODEC, INTEGRAL_CODEC),
}


def vitpose_spec(
    model: str,
    input_wh: tuple[int, int],
    schema: KeypointSet,
    codec: str = "",
    map_stride: int = HEATMAP_STRIDE,
) -> ModelSpec:
    """Top-down: one person (or animal) crop to `heatmap` (B, K, H / map_stride, W / map_stride).

    codec: "" for heatmaps, "integral" for a student trained by symmetric integral regression (logits then).
    Raises InputError unless both sides are multiples of 16.
    """
    cells = map_cells(model, input_wh, PATCH, map_stride)
    udp = isinstance(schema, KeypointSchema) or schema in UDP_SCHEMAS
    with_udp, without = CODECS[codec]
    image = ImageSpec(wh=input_wh, order="RGB", mean=MEAN_RGB, std=STD_RGB)
    crop = CropSpec(kind="affine", padding=1.25, udp=udp)
    return heatmap_spec(model, schema, cells, with_udp if udp else without, image, crop)


def vitpose_ae_spec(
    model: str, input_wh: tuple[int, int], schema: KeypointSet, map_stride: int = HEATMAP_STRIDE
) -> ModelSpec:
    """Bottom-up (arXiv:2212.04246, eq. 5): the whole frame to `heatmap` and `tags`, (B, K, H / 4, W / 4) each.

    Raises InputError unless both sides are multiples of 16.
    """
    cells = map_cells(model, input_wh, PATCH, map_stride)
    image = ImageSpec(wh=input_wh, order="RGB", mean=MEAN_RGB, std=STD_RGB)
    return ae_spec(model, schema, cells, image)
