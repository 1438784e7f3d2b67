"""ViTPose, as published by mmpose, and ViTPose++, as published by its authors: one file a size, six tasks in each.

ViTPose++ is on OneDrive without direct links, so its entries have no URL. Deployed, one task's network costs the same
as a plain ViTPose.
"""

from edge.catalog.entry import CatalogEntry, SpecBuilder, by_name, hash_in
from edge.catalog.specs_vitpose import vitpose_spec
from runtimes.spec import ModelSpec

MMPOSE = "https://download.openmmlab.com/mmpose/v1/body_2d_keypoint/topdown_heatmap/"
# Sources of figures; all with flip test.
INDEX = "mmpose model-index (759b39c), COCO val2017, flip test"
README = "ViTPose README (ViTAE-Transformer), "
INPUT_WH = (192, 256)
SIX = "COCO, AI Challenger, MPII, AP-10K, APT-36K, COCO-WholeBody"
Figures = dict[str, float]
FIGURES = ("AP", "AP50", "AP75", "AR", "AR50")  # of mmpose's rows
SIZES = {"s": "small", "b": "base", "l": "large", "h": "huge"}


def _spec(entry: CatalogEntry) -> ModelSpec:
    return vitpose_spec(entry.name, entry.input_wh, entry.schema or "coco17")


def _row(
    suffix: str, file: str, size: str, tail: str, figures: tuple[float, ...], trained_on: str
) -> CatalogEntry:
    """Return one checkpoint of mmpose; `tail` is the hash and the date in the file's name."""
    kind = "-simple" if suffix == "-simple" else ""
    params_m, gmacs = (SIMPLE if kind else BODY)[size]
    url = f"{MMPOSE}{file.format(size=SIZES[size])}-256x192-{tail}.pth"
    known = dict(zip(FIGURES, figures, strict=True))
    return CatalogEntry(
        f"vitpose-{size}{suffix}",
        "vitpose",
        size + kind,
        "pose-topdown",
        INPUT_WH,
        schema="coco17",
        params_m=params_m,
        gmacs=gmacs,
        ap=known["AP"],
        ap_source=INDEX,
        figures=known,
        trained_on=trained_on,
        url=url,
        sha256_prefix=hash_in(url),
    )


def _plus(
    size: str, task: str, schema: str, counts: tuple[float, float], figures: Figures, data: str
) -> CatalogEntry:
    """Return one task of a ViTPose++; COCO is the first and the default."""
    return CatalogEntry(
        f"vitpose++-{size}" if task == "coco" else f"vitpose++-{size}-{task}",
        "vitpose",
        size,
        "pose-topdown",
        INPUT_WH,
        schema=schema,
        params_m=counts[0],
        gmacs=counts[1],
        ap=figures.get("AP", figures.get("whole AP")),
        ap_source=README + data,
        figures=figures,
        trained_on=SIX,
        dataset="" if task == "coco" else task,
    )


# Parameters (millions) and GMACs of each size, with few keypoints and with 133.
BODY = {"s": (24.29, 5.59), "b": (89.99, 18.52), "l": (308.54, 61.57), "h": (637.21, 125.83)}
WHOLE = {"s": (24.32, 5.69), "b": (90.02, 18.61), "l": (308.57, 61.66), "h": (637.24, 125.92)}
SIMPLE = {"s": (21.72, 4.65), "b": (85.91, 17.46), "l": (303.45, 60.43), "h": (631.11, 124.61)}

# COCO AP and AR, AIC AP and AR, MPII PCKh, AP-10K AP, APT-36K AP, COCO-WholeBody whole AP
PLUS = {
    "s": (0.758, 0.826, 0.297, 0.343, 0.927, 0.714, 0.742, 0.544),
    "b": (0.770, 0.826, 0.318, 0.363, 0.928, 0.745, 0.759, 0.574),
    "l": (0.786, 0.841, 0.343, 0.389, 0.940, 0.804, 0.808, 0.606),
    "h": (0.794, 0.848, 0.348, 0.391, 0.942, 0.824, 0.823, 0.612),
}


def _tasks(size: str) -> tuple[CatalogEntry, ...]:
    ap, ar, aic_ap, aic_ar, pckh, ap10k, apt36k, whole = PLUS[size]
    cost = BODY[size]
    return (
        _plus(size, "coco", "coco17", cost, {"AP": ap, "AR": ar}, "COCO val2017"),
        _plus(size, "aic", "aic14", cost, {"AP": aic_ap, "AR": aic_ar}, "AI Challenger test"),
        _plus(size, "mpii", "mpii16", cost, {"PCKh": pckh}, "MPII val"),
        _plus(size, "ap10k", "ap10k17", cost, {"AP": ap10k}, "AP-10K test"),
        _plus(size, "apt36k", "ap10k17", cost, {"AP": apt36k}, "APT-36K val"),
        _plus(size, "wholebody", "coco133", WHOLE[size], {"whole AP": whole}, "COCO-WholeBody val"),
    )


# fmt: off
# suffix, file, data; then size, the end of the file's name (hash and date), COCO figures
Row = tuple[str, str, tuple[float, ...]]
GROUPS: tuple[tuple[str, str, str, tuple[Row, ...]], ...] = (
    ("", "coco/td-hm_ViTPose-{size}_8xb64-210e_coco", "COCO", (
        ("s", "62d7a712_20230314", (0.739, 0.903, 0.816, 0.792, 0.942)),
        ("b", "216eae50_20230314", (0.757, 0.905, 0.829, 0.81, 0.946)),
        ("l", "53609f55_20230314", (0.782, 0.914, 0.85, 0.834, 0.952)),
        ("h", "e32adcd4_20230314", (0.788, 0.917, 0.855, 0.839, 0.954)),
    )),
    ("-simple", "coco/td-hm_ViTPose-{size}-simple_8xb64-210e_coco", "COCO", (
        ("s", "4c101a76_20230314", (0.736, 0.9, 0.811, 0.79, 0.94)),
        ("b", "0b8234ea_20230407", (0.756, 0.906, 0.826, 0.809, 0.946)),
        ("l", "3a7ee9e1_20230314", (0.78, 0.914, 0.851, 0.833, 0.952)),
        ("h", "ffd48c05_20230314", (0.789, 0.916, 0.856, 0.839, 0.953)),
    )),
    ("-humanart", "human_art/td-hm_ViTPose-{size}_8xb64-210e_humanart", "COCO, Human-Art", (
        ("s", "5cbe2bfc_20230611", (0.737, 0.902, 0.811, 0.792, 0.942)),
        ("b", "b417f546_20230611", (0.758, 0.906, 0.829, 0.812, 0.946)),
        ("l", "9aba9345_20230614", (0.782, 0.914, 0.849, 0.835, 0.953)),
        ("h", "603bb573_20230612", (0.788, 0.914, 0.853, 0.841, 0.956)),
    )),
)
# fmt: on
ENTRIES = by_name(
    *(_row(suffix, file, *row, data) for suffix, file, data, rows in GROUPS for row in rows),
    *(entry for size in PLUS for entry in _tasks(size)),
)
SPECS: dict[str, SpecBuilder] = {"vitpose": _spec}
