"""Sapiens: four sizes, each for three keypoint sets, two sets of body parts, depth and surface normals.

All are CC-BY-NC-4.0. Entries without a URL are configs of the authors whose weights are not published.
"""

from dataclasses import dataclass, field

from edge.catalog.entry import CatalogEntry, SpecBuilder, by_name
from edge.catalog.specs_sapiens import (
    GOLIATH_PARTS,
    LIP_PARTS,
    SAPIENS_WH,
    sapiens_dense_spec,
    sapiens_pose_spec,
)
from runtimes.spec import ModelSpec, Task

POSES = "https://huggingface.co/noahcao/sapiens-pose-coco/resolve/main/sapiens_host/"
META = "https://huggingface.co/facebook/sapiens/resolve/main/sapiens_host/"
# Sources of figures; all are the authors'.
COCO = "sapiens docs/evaluate/POSE_README.md (617f834), COCO val2017, flip test"
WHOLE = "sapiens docs/evaluate/POSE_README.md (617f834), COCO-WholeBody val, whole AP, flip test"
GOLIATH_POSE = "name of the file in sapiens docs/POSE_README.md (617f834), Goliath test"
GOLIATH_SEG = "name of the file in sapiens docs/SEG_README.md, Goliath test"


@dataclass(frozen=True, slots=True)
class Published:
    """URL of the weights, their figures, and the figures' source."""

    url: str | None = None
    figures: dict[str, float] = field(default_factory=dict)
    source: str | None = None


def _spec(entry: CatalogEntry) -> ModelSpec:
    if entry.schema:
        return sapiens_pose_spec(entry.name, entry.input_wh, entry.schema)
    return sapiens_dense_spec(entry.name, entry.input_wh, entry.task, entry.classes)


def _sapiens(
    name: str,
    counts: tuple[float, float],
    task: Task,
    trained_on: str,
    *,
    schema: str | None = None,
    classes: tuple[str, ...] = (),
    published: Published,
) -> CatalogEntry:
    figures = published.figures
    return CatalogEntry(
        name,
        "sapiens",
        name.split("-")[1],
        task,
        SAPIENS_WH,
        schema=schema,
        classes=classes,
        params_m=counts[0],
        gmacs=counts[1],
        ap=figures.get("AP", figures.get("whole AP")),
        ap_source=published.source,
        licence="CC-BY-NC-4.0",
        commercial_use=False,
        # the authors' licence covers code and weights, and no published hash identifies their files
        licence_covers="model",
        url=published.url,
        figures=figures,
        trained_on=trained_on,
    )


def _coco(size: str, counts: tuple[float, float], *figures: float) -> CatalogEntry:
    names = ("AP", "AP50", "AP75", "APM", "APL", "AR")
    known = dict(zip(names, figures, strict=True))
    file = f"sapiens_{size}_coco_best_coco_AP_{known['AP'] * 1000:.0f}.pth"
    return _sapiens(
        f"sapiens-{size}",
        counts,
        "pose-topdown",
        "COCO",
        schema="coco17",
        published=Published(f"{POSES}pose/checkpoints/sapiens_{size}/{file}", known, COCO),
    )


def _whole(size: str, counts: tuple[float, float], rounded: int, *figures: float) -> CatalogEntry:
    """Return the entry with 133 keypoints; `rounded`: the AP in the file's name, which may differ from the table's."""
    names = ("body AP", "foot AP", "face AP", "hand AP", "whole AP")
    known = dict(zip(names, figures, strict=True))
    file = f"sapiens_{size}_coco_wholebody_best_coco_wholebody_AP_{rounded}.pth"
    return _sapiens(
        f"sapiens-{size}-wholebody",
        counts,
        "pose-topdown",
        "COCO-WholeBody",
        schema="coco133",
        published=Published(f"{POSES}pose/checkpoints/sapiens_{size}/{file}", known, WHOLE),
    )


def _goliath(size: str, counts: tuple[float, float], ap: float | None) -> CatalogEntry:
    published = Published()
    if ap is not None:
        file = f"sapiens_{size}_goliath_best_goliath_AP_{ap * 1000:.0f}.pth"
        url = f"{META}pose/checkpoints/sapiens_{size}/{file}"
        published = Published(url, {"AP": ap}, GOLIATH_POSE)
    return _sapiens(
        f"sapiens-{size}-308",
        counts,
        "pose-topdown",
        "Goliath",
        schema="sapiens308",
        published=published,
    )


def _parts28(size: str, counts: tuple[float, float], miou: float, epoch: int) -> CatalogEntry:
    file = f"sapiens_{size}_goliath_best_goliath_mIoU_{miou * 1e4:.0f}_epoch_{epoch}.pth"
    return _sapiens(
        f"sapiens-{size}-seg28",
        counts,
        "segment",
        "Goliath",
        classes=GOLIATH_PARTS,
        published=Published(
            f"{META}seg/checkpoints/sapiens_{size}/{file}", {"mIoU": miou}, GOLIATH_SEG
        ),
    )


def _parts20(size: str, counts: tuple[float, float]) -> CatalogEntry:
    return _sapiens(
        f"sapiens-{size}-seg20",
        counts,
        "segment",
        "LIP or CIHP",
        classes=LIP_PARTS,
        published=Published(),
    )


def _rendered(
    size: str, task: Task, counts: tuple[float, float], stem: str, epoch: int
) -> CatalogEntry:
    url = f"{META}{task}/checkpoints/sapiens_{size}/sapiens_{size}_{stem}_epoch_{epoch}.pth"
    return _sapiens(
        f"sapiens-{size}-{task}", counts, task, "RenderPeople", published=Published(url)
    )


def _depth(size: str, counts: tuple[float, float], epoch: int) -> CatalogEntry:
    return _rendered(size, "depth", counts, "render_people", epoch)


def _normal(size: str, counts: tuple[float, float], epoch: int) -> CatalogEntry:
    return _rendered(size, "normal", counts, "normal_render_people", epoch)


ENTRIES = by_name(
    _coco("0.3b", (329.46, 1607.23), 0.796, 0.930, 0.857, 0.760, 0.856, 0.836),
    _coco("0.6b", (660.96, 2931.76), 0.812, 0.938, 0.873, 0.776, 0.872, 0.849),
    _coco("1b", (1168.67, 4874.76), 0.821, 0.942, 0.882, 0.784, 0.883, 0.859),
    _coco("2b", (2166.17, 8514.04), 0.822, 0.941, 0.881, 0.785, 0.884, 0.860),
    _whole("0.3b", (329.55, 1611.61), 620, 0.664, 0.673, 0.871, 0.581, 0.620),
    _whole("0.6b", (661.05, 2936.13), 695, 0.743, 0.794, 0.895, 0.654, 0.695),
    _whole("1b", (1168.76, 4879.14), 727, 0.774, 0.830, 0.907, 0.692, 0.727),
    _whole("2b", (2166.26, 8518.42), 745, 0.792, 0.841, 0.912, 0.704, 0.744),
    _goliath("0.3b", (329.68, 1618.21), 0.575),
    _goliath("0.6b", (661.18, 2942.74), 0.600),
    _goliath("1b", (1168.89, 4885.74), 0.640),
    _goliath("2b", (2166.39, 8525.02), None),
    _parts28("0.3b", (339.50, 2364.58), 0.7673, 194),
    _parts28("0.6b", (670.99, 3689.11), 0.7777, 178),
    _parts28("1b", (1178.71, 5632.11), 0.7994, 151),
    _parts28("2b", (2176.20, 9271.39), 0.8179, 181),
    _parts20("0.3b", (339.49, 2363.37)),
    _parts20("0.6b", (670.99, 3687.90)),
    _parts20("1b", (1178.70, 5630.90)),
    _parts20("2b", (2176.20, 9270.18)),
    _depth("0.3b", (319.91, 2254.35), 100),
    _depth("0.6b", (649.84, 3574.05), 70),
    _depth("1b", (1155.97, 5512.22), 88),
    _depth("2b", (2151.11, 9144.25), 25),
    _normal("0.3b", (339.48, 2360.81), 66),
    _normal("0.6b", (670.97, 3685.33), 200),
    _normal("1b", (1178.69, 5628.34), 115),
    _normal("2b", (2176.18, 9267.62), 70),
)
SPECS: dict[str, SpecBuilder] = {"sapiens": _spec}
