"""RTMDet (mmdet): detectors of people and of COCO's 80 classes."""

from edge.catalog.entry import CatalogEntry, SpecBuilder, by_name, hash_in
from edge.catalog.specs import COCO_CLASSES, rtmdet_spec
from runtimes.spec import ModelSpec, Runtime

MMPOSE = "https://download.openmmlab.com/mmpose/v1/projects/"
MMDET = "https://download.openmmlab.com/mmdetection/v3.0/rtmdet/"
# Sources of figures; all are box AP by their authors.
README = "mmpose projects/rtmpose/README.md (e1a6874), COCO val2017"
METAFILE = "mmdet configs/rtmdet/metafile.yml (1860671), COCO val2017"


def _spec(entry: CatalogEntry) -> ModelSpec:
    return rtmdet_spec(entry.name, entry.input_wh, entry.classes)


def _rtmdet(
    name: str,
    counts: tuple[float, float],
    ap: tuple[float, str],
    url: str,
    classes: tuple[str, ...],
    input_wh: tuple[int, int] = (640, 640),
    importable: tuple[Runtime, ...] = (),
) -> CatalogEntry:
    return CatalogEntry(
        name,
        "rtmdet",
        name.split("-")[1],
        "detect",
        input_wh,
        classes=classes,
        params_m=counts[0],
        gmacs=counts[1],
        ap=ap[0],
        ap_source=ap[1],
        url=url,
        sha256_prefix=hash_in(url),
        importable_runtimes=importable,
    )


# fmt: off
ENTRIES = by_name(
    _rtmdet("rtmdet-nano", (0.99, 0.31), (0.403, README),
            MMPOSE + "rtmpose/"
            "rtmdet_nano_8xb32-100e_coco-obj365-person-05d8511e.pth", COCO_CLASSES[:1], (320, 320),
            importable=("onnxruntime",)),
    _rtmdet("rtmdet-m", (27.32, 38.94), (0.625, README),
            MMPOSE + "rtmpose/"
            "rtmdet_m_8xb32-100e_coco-obj365-person-235e8209.pth", COCO_CLASSES[:1]),
    _rtmdet("rtmdet-tiny", (5.56, 8.04), (0.409, METAFILE),
            MMDET + "rtmdet_tiny_8xb32-300e_coco/"
            "rtmdet_tiny_8xb32-300e_coco_20220902_112414-78e30dcc.pth", COCO_CLASSES),
    _rtmdet("rtmdet-s", (10.07, 14.76), (0.445, METAFILE),
            MMDET + "rtmdet_s_8xb32-300e_coco/"
            "rtmdet_s_8xb32-300e_coco_20220905_161602-387a891e.pth", COCO_CLASSES),
)
# fmt: on
SPECS: dict[str, SpecBuilder] = {"rtmdet": _spec}
