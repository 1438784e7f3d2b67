"""FastPose (AlphaPose): top-down heatmaps, or symmetric integral regression where the name ends in `-integral`.

Weights are on Google Drive, without a hash in their names, and for non-commercial use.
"""

from edge.catalog.entry import CatalogEntry, SpecBuilder, by_name
from edge.catalog.specs_fastpose import fastpose_spec
from runtimes.spec import ModelSpec

DRIVE = "https://drive.google.com/file/d/"
LICENCE = "AlphaPose (non-commercial)"
# Sources of figures; all by the authors, boxes of YOLOv3, flip test.
ZOO = "AlphaPose docs/MODEL_ZOO.md (5002003)"
COCO = f"{ZOO}, COCO val2017"
HALPE = f"{ZOO}, Halpe-FullBody val"
WHOLE = f"{ZOO}, COCO-WholeBody val"


def _spec(entry: CatalogEntry) -> ModelSpec:
    return fastpose_spec(entry.name, entry.input_wh, entry.schema or "coco17", entry.codec)


def _fastpose(
    name: str,
    size: str,
    schema: str,
    counts: tuple[float, float],
    ap: tuple[float, str] | None,
    drive: str | None,
) -> CatalogEntry:
    return CatalogEntry(
        name,
        "fastpose",
        size,
        "pose-topdown",
        (192, 256),
        schema=schema,
        params_m=counts[0],
        gmacs=counts[1],
        ap=ap and ap[0],
        ap_source=ap and ap[1],
        licence=LICENCE,
        commercial_use=False,
        licence_covers="model",
        url=drive and f"{DRIVE}{drive}/view",
        codec="integral" if name.endswith("-integral") else "",
    )


# fmt: off
ENTRIES = by_name(
    _fastpose("fastpose-res50", "res50", "coco17", (40.58, 5.89), (0.72, COCO),
              "1kQhnMRURFiy7NsdS8EFL-8vtqEXOgECn"),
    # Halpe's 26 keypoints are published without an AP.
    _fastpose("fastpose-res50-halpe26", "res50", "body26", (40.59, 5.92), None,
              "1S-ROA28de-1zvLv-hVfPFJ5tFBYOSITb"),
    _fastpose("fastpose-res50-halpe136", "res50-wide", "halpe136", (42.05, 7.7), (0.417, HALPE),
              "1LbKM2TOxKdpIZoDxCo6ldmOf62pw6z8A"),
    # Of the two published files for this network, the one its authors recommend (trained on several domains).
    _fastpose("fastpose-res50-halpe136-integral", "res50-wide", "halpe136", (42.05, 7.7), (0.501, HALPE),
              "1Bb3kPoFFt-M0Y3ceqNO8DTXi1iNDd4gI"),
    _fastpose("fastpose-res50-wholebody-integral", "res50", "coco133", (40.71, 6.3), (0.554, WHOLE),
              "1WQlwRw7KiKBI2Wyb-lvnQX29R29NbhLz"),
    # Sizes that are defined but not published with plain heatmaps.
    _fastpose("fastpose-res101", "res101", "coco17", (59.57, 9.52), None, None),
    _fastpose("fastpose-res152", "res152", "coco17", (75.21, 13.16), None, None),
)
# fmt: on
SPECS: dict[str, SpecBuilder] = {"fastpose": _spec}
