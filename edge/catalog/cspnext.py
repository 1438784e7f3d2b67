"""CSPNeXt-UDP (mmpose): RTMPose's backbones under heatmap heads, as pre-trained for it; and the same with a light head.

The light ones (`-fpn`) are students of this project: no weights of them are published.
"""

from edge.catalog.entry import CatalogEntry, SpecBuilder, by_name, hash_in
from edge.catalog.specs import MEAN_RGB, STD_RGB, heatmap_spec, map_cells
from edge.catalog.specs_ae import ae_spec
from edge.schema import KeypointSet
from runtimes.codec_spec import HeatmapCodec
from runtimes.spec import CropSpec, ImageSpec, ModelSpec

STRIDE = 32
HEATMAP_STRIDE = 4
# mmpose's UDPHeatmap, of every keypoint set: bins and crops run from the first pixel to the last (arXiv:1911.07524).
CODEC = HeatmapCodec(refine="udp", blur_kernel=11)

MMPOSE = "https://download.openmmlab.com/mmpose/v1/projects/rtmposev1/"
INDEX = "mmpose model-index (dd9a4ce), COCO val2017, flip test"
INPUT_WH = (192, 256)
FIGURES = ("AP", "AP50", "AP75", "AR", "AR50")
# Millions of parameters, and 1e9 multiply-accumulates.
DECONV = {"t": (6.02, 1.42), "s": (8.58, 1.77), "m": (17.53, 3.05), "l": (32.44, 5.31)}
LIGHT = {"t-fpn": (2.45, 0.39), "s-fpn": (4.56, 0.75), "m-fpn": (12.67, 2.10)}


def cspnext_spec(model: str, input_wh: tuple[int, int], schema: KeypointSet) -> ModelSpec:
    """Top-down: one person crop to `heatmap` (B, K, H / 4, W / 4) (mmpose's configs `cspnext-*_udp_*`).

    Raises InputError unless both sides are multiples of 32.
    """
    cells = map_cells(model, input_wh, STRIDE, HEATMAP_STRIDE)
    image = ImageSpec(wh=input_wh, order="RGB", mean=MEAN_RGB, std=STD_RGB)
    crop = CropSpec(kind="affine", padding=1.25, udp=True)
    return heatmap_spec(model, schema, cells, CODEC, image, crop)


def cspnext_ae_spec(model: str, input_wh: tuple[int, int], schema: KeypointSet) -> ModelSpec:
    """Bottom-up: the whole frame to `heatmap` and `tags`, (B, K, H / 4, W / 4) each.

    Raises InputError unless both sides are multiples of 32.
    """
    cells = map_cells(model, input_wh, STRIDE, HEATMAP_STRIDE)
    image = ImageSpec(wh=input_wh, order="RGB", mean=MEAN_RGB, std=STD_RGB)
    return ae_spec(model, schema, cells, image)


def _spec(entry: CatalogEntry) -> ModelSpec:
    return cspnext_spec(entry.name, entry.input_wh, entry.schema or "coco17")


def _published(size: str, tail: str, values: tuple[float, ...]) -> CatalogEntry:
    """Return one checkpoint of mmpose; `tail` is the hash and the date in the file's name."""
    figures = dict(zip(FIGURES, values, strict=True))
    word = "tiny" if size == "t" else size
    url = f"{MMPOSE}cspnext-{word}_udp-coco_pt-in1k_210e-256x192-{tail}.pth"
    return CatalogEntry(
        f"cspnext-{size}",
        "cspnext",
        size,
        "pose-topdown",
        INPUT_WH,
        schema="coco17",
        params_m=DECONV[size][0],
        gmacs=DECONV[size][1],
        ap=figures["AP"],
        ap_source=INDEX,
        figures=figures,
        trained_on="COCO",
        url=url,
        sha256_prefix=hash_in(url),
    )


def _light(size: str) -> CatalogEntry:
    params_m, gmacs = LIGHT[size]
    return CatalogEntry(
        f"cspnext-{size}",
        "cspnext",
        size,
        "pose-topdown",
        INPUT_WH,
        schema="coco17",
        params_m=params_m,
        gmacs=gmacs,
    )


ENTRIES = by_name(
    _published("t", "0908dd2d_20230123", (0.665, 0.874, 0.723, 0.723, 0.917)),
    _published("s", "92dbfc1d_20230123", (0.697, 0.886, 0.776, 0.753, 0.929)),
    _published("m", "95f5967e_20230123", (0.732, 0.896, 0.806, 0.785, 0.937)),
    _published("l", "661cdd8c_20230123", (0.75, 0.904, 0.822, 0.8, 0.941)),
    *(_light(size) for size in LIGHT),
)
SPECS: dict[str, SpecBuilder] = {"cspnext": _spec}
