"""RTMPose (mmpose): top-down SimCC, one row a published checkpoint; people, animals, faces and hands.

The first row of a size, input and keypoint set names weights of that kind when nothing else tells them apart.
"""

from dataclasses import dataclass

from edge.catalog.entry import CatalogEntry, SpecBuilder, by_name, hash_in
from edge.catalog.specs import rtmpose_spec
from runtimes.spec import ModelSpec

MMPOSE = "https://download.openmmlab.com/mmpose/v1/projects/rtmposev1/"
# Sources of figures; all are their authors'. People: in a detector's boxes.
INDEX = "mmpose model-index (759b39c), COCO val2017, flip test"
BODY8 = "mmpose model-index (759b39c), listed under Body8, flip test"
WHOLE = "mmpose model-index (759b39c), COCO-WholeBody val, whole AP, flip test"
AP10K = "mmpose model-index (759b39c), AP-10K val, flip test"
CROWD = "mmpose model-index (759b39c), CrowdPose test, flip test"
MPII = "mmpose model-index (759b39c), MPII val, flip test"
FACE68 = "mmpose model-index (759b39c), COCO-WholeBody val, faces, NME"
FACE6_TEST = "mmpose model-index (759b39c), Face6, NME in percent"
LAPA = "mmpose model-index (759b39c), LaPa, NME in percent"
WFLW = "mmpose model-index (759b39c), WFLW, NME in percent"
HAND = "mmpose model-index (759b39c), COCO-WholeBody val, hands"
HAND5_TEST = "mmpose model-index (759b39c), Hand5"
README = "mmpose projects/rtmpose/README.md (e1a6874), COCO val2017"
README_WHOLE = README.replace("COCO val2017", "COCO-WholeBody val, whole AP")
# Contents of the mixed data sets.
BODY7 = "AI Challenger, COCO, CrowdPose, MPII, sub-JHMDB, Halpe, PoseTrack18"
FACE6 = "COCO-WholeBody face, WFLW, 300W, COFW, Halpe, LaPa"
HAND5 = "COCO-WholeBody hand, OneHand10K, FreiHand2d, RHD2d, Halpe"

SMALL, TALL, SQUARE = (192, 256), (288, 384), (256, 256)
Size = tuple[int, int]

# Names of an entry's figures, group by group.
COCO = ("AP", "AP50", "AP75", "AR", "AR50")
BODY_PCK = ("AP", "PCK@0.1")
HALPE = ("PCK@0.1", "AUC")  # published without an AP
WHOLE_PARTS = tuple(
    f"{part} {figure}"
    for part in ("body", "face", "foot", "hand", "whole")
    for figure in ("AP", "AR")
)
CROWD_LEVELS = ("AP", "AP50", "AP75", "AP easy", "AP medium", "AP hard")

# fmt: off
# Millions of parameters, and 1e9 multiply-accumulates.
COSTS: dict[str, dict[tuple[str, Size], tuple[float, float]]] = {
    "coco17": {
        ("t", SMALL): (3.34, 0.35), ("s", SMALL): (5.47, 0.68), ("m", SMALL): (13.59, 1.92),
        ("l", SMALL): (27.66, 4.14),
        ("m", TALL): (13.72, 4.3), ("l", TALL): (27.79, 9.31), ("x", TALL): (49.43, 17.16),
    },
    "body26": {
        ("t", SMALL): (3.51, 0.37), ("s", SMALL): (5.7, 0.69), ("m", SMALL): (13.93, 1.94),
        ("l", SMALL): (28.11, 4.17),
        ("m", TALL): (14.06, 4.35), ("l", TALL): (28.24, 9.36), ("x", TALL): (50.0, 17.23),
    },
    "coco133": {
        ("m", SMALL): (17.95, 2.22), ("l", SMALL): (33.48, 4.51),
        ("l", TALL): (33.61, 10.04), ("x", TALL): (56.71, 18.05),
    },
    "crowdpose14": {("m", SMALL): (13.47, 1.91)},
    "mpii16": {("m", SQUARE): (13.59, 2.55)},
    "ap10k17": {("m", SQUARE): (13.62, 2.55)},
    "face68": {("m", SQUARE): (15.54, 2.71)},
    "face98": {("m", SQUARE): (16.67, 2.81)},
    "face106": {("t", SQUARE): (5.05, 0.65), ("s", SQUARE): (7.74, 1.11), ("m", SQUARE): (16.97, 2.84)},
    "hand21": {("m", SQUARE): (13.78, 2.57)},
}
# fmt: on


@dataclass(frozen=True, slots=True)
class Group:
    """Checkpoints trained alike: `suffix` of their names, keypoint set, data, names and source of their figures.

    file: the part of a file's name between size and input; tiny: its word for size "t".
    """

    suffix: str
    schema: str
    trained_on: str
    figures: tuple[str, ...]
    source: str
    file: str
    tiny: str = "t"


def _spec(entry: CatalogEntry) -> ModelSpec:
    return rtmpose_spec(entry.name, entry.input_wh, entry.schema or "coco17")


def _entry(
    group: Group, size: str, input_wh: Size, tail: str, values: tuple[float, ...]
) -> CatalogEntry:
    """Return one row; `tail` is the hash and the date in the file's name."""
    width, height = input_wh
    figures = dict(zip(group.figures, values, strict=True))
    size_word = group.tiny if size == "t" else size
    url = f"{MMPOSE}rtmpose-{size_word}_{group.file}-{height}x{width}-{tail}.pth"
    params_m, gmacs = COSTS[group.schema][size, input_wh]
    return CatalogEntry(
        f"rtmpose-{size}{group.suffix}{'' if input_wh == SMALL else f'-{height}x{width}'}",
        "rtmpose",
        size,
        "pose-topdown",
        input_wh,
        schema=group.schema,
        params_m=params_m,
        gmacs=gmacs,
        ap=figures.get("AP", figures.get("whole AP")),
        ap_source=group.source,
        figures=figures,
        trained_on=group.trained_on,
        url=url,
        sha256_prefix=hash_in(url),
    )


# fmt: off
# size, input, the end of the file's name (hash and date), figures
GROUPS: tuple[tuple[Group, tuple[tuple[str, Size, str, tuple[float, ...]], ...]], ...] = (
    (Group("", "coco17", "AI Challenger, COCO", COCO, INDEX, "simcc-aic-coco_pt-aic-coco_420e", tiny="tiny"), (
        ("t", SMALL, "cfc8f33d_20230126", (0.685, 0.88, 0.761, 0.738, 0.918)),
        ("s", SMALL, "fcb2599b_20230126", (0.722, 0.892, 0.794, 0.772, 0.929)),
        ("m", SMALL, "63eb25f7_20230126", (0.758, 0.903, 0.826, 0.806, 0.94)),
        ("l", SMALL, "f016ffe0_20230126", (0.765, 0.906, 0.835, 0.813, 0.942)),
        ("m", TALL, "a62a0b32_20230228", (0.77, 0.908, 0.833, 0.816, 0.943)),
        ("l", TALL, "97d6cb0f_20230228", (0.773, 0.907, 0.835, 0.819, 0.942)),
    )),
    (Group("", "coco17", BODY7, ("AP",), README, "simcc-body7_pt-body7_700e"), (
        ("x", TALL, "71d7b7e9_20230629", (0.788,)),
    )),
    (Group("-coco", "coco17", "COCO", COCO, INDEX, "simcc-coco_pt-aic-coco_420e", tiny="tiny"), (
        ("t", SMALL, "e613ba3f_20230127", (0.682, 0.883, 0.759, 0.736, 0.92)),
        ("s", SMALL, "8edcf0d7_20230127", (0.716, 0.892, 0.789, 0.768, 0.929)),
        ("m", SMALL, "d8dd5ca4_20230127", (0.746, 0.899, 0.817, 0.795, 0.935)),
        ("l", SMALL, "1352a4d2_20230127", (0.758, 0.906, 0.826, 0.806, 0.942)),
    )),
    (Group("-body8", "coco17", BODY7, BODY_PCK, BODY8, "simcc-body7_pt-body7_420e"), (
        ("t", SMALL, "026a1439_20230504", (0.659, 0.914)),
        ("s", SMALL, "acd4a1ef_20230504", (0.697, 0.925)),
        ("m", SMALL, "e48f03d0_20230504", (0.749, 0.943)),
        ("l", SMALL, "4dba18fc_20230504", (0.767, 0.951)),
        ("m", TALL, "65e718c4_20230504", (0.766, 0.946)),
        ("l", TALL, "3f5a1437_20230504", (0.783, 0.964)),
    )),
    (Group("-humanart", "coco17", "COCO, Human-Art", COCO, INDEX, "8xb256-420e_humanart"), (
        ("t", SMALL, "60b68c98_20230612", (0.665, 0.875, 0.739, 0.721, 0.916)),
        ("s", SMALL, "5a3ac943_20230611", (0.706, 0.888, 0.78, 0.759, 0.928)),
        ("m", SMALL, "8430627b_20230611", (0.725, 0.892, 0.795, 0.775, 0.929)),
        ("l", SMALL, "389f2cb0_20230611", (0.748, 0.901, 0.816, 0.796, 0.938)),
    )),
    (Group("-crowdpose", "crowdpose14", "CrowdPose", CROWD_LEVELS, CROWD, "simcc-crowdpose_pt-aic-coco_210e"), (
        ("m", SMALL, "e6192cac_20230224", (0.706, 0.841, 0.765, 0.799, 0.719, 0.582)),
    )),
    (Group("-mpii", "mpii16", "MPII", ("PCKh@0.5", "PCKh@0.1"), MPII, "simcc-mpii_pt-aic-coco_210e"), (
        ("m", SQUARE, "ec4dbec8_20230206", (0.907, 0.348)),
    )),
    (Group("-halpe26", "body26", BODY7, HALPE, BODY8, "simcc-body7_pt-body7-halpe26_700e"), (
        ("t", SMALL, "6020f8a6_20230605", (0.919, 0.664)),
        ("s", SMALL, "7f134165_20230605", (0.93, 0.682)),
        ("m", SMALL, "4d3e73dd_20230605", (0.947, 0.719)),
        ("l", SMALL, "2abb7558_20230605", (0.954, 0.732)),
        ("m", TALL, "89e6428b_20230605", (0.952, 0.736)),
        ("l", TALL, "734182ce_20230605", (0.956, 0.744)),
        ("x", TALL, "7fb6e239_20230606", (0.957, 0.748)),
    )),
    (Group("-wholebody", "coco133", "COCO-WholeBody", WHOLE_PARTS, WHOLE,
           "simcc-coco-wholebody_pt-aic-coco_270e"), (
        ("m", SMALL, "cd5e845c_20230123", (0.673, 0.75, 0.813, 0.871, 0.615, 0.752, 0.475, 0.589, 0.582, 0.674)),
        ("l", SMALL, "6f206314_20230124", (0.695, 0.769, 0.833, 0.887, 0.658, 0.785, 0.519, 0.628, 0.611, 0.7)),
        ("l", TALL, "eaeb96c8_20230125", (0.712, 0.781, 0.882, 0.919, 0.693, 0.811, 0.579, 0.677, 0.648, 0.73)),
    )),
    (Group("-wholebody", "coco133", "COCO-WholeBody", ("whole AP",), README_WHOLE,
           "simcc-coco-wholebody_pt-body7_270e"), (
        ("x", TALL, "401dfc90_20230629", (0.653,)),
    )),
    (Group("-ap10k", "ap10k17", "AP-10K", ("AP", "AP50", "AP75", "APL", "APM"), AP10K,
           "simcc-ap10k_pt-aic-coco_210e"), (
        ("m", SQUARE, "7a041aa1_20230206", (0.722, 0.939, 0.788, 0.728, 0.569)),
    )),
    (Group("-wholebody-face", "face68", "COCO-WholeBody face", ("NME",), FACE68,
           "simcc-coco-wholebody-face_pt-aic-coco_60e"), (
        ("m", SQUARE, "62026ef2_20230228", (0.0466,)),
    )),
    (Group("-face6", "face106", FACE6, ("NME",), FACE6_TEST, "simcc-face6_pt-in1k_120e"), (
        ("t", SQUARE, "df79d9a5_20230529", (1.67,)),
        ("s", SQUARE, "d779fdef_20230529", (1.59,)),
        ("m", SQUARE, "72a37400_20230529", (1.44,)),
    )),
    (Group("-lapa", "face106", "LaPa", ("NME",), LAPA, "simcc-lapa_pt-aic-coco_120e"), (
        ("m", SQUARE, "762b1ae2_20230422", (1.29,)),
    )),
    (Group("-wflw", "face98", "WFLW", ("NME",), WFLW, "simcc-wflw_pt-aic-coco_60e"), (
        ("m", SQUARE, "dc1dcdcf_20230228", (4.01,)),
    )),
    (Group("-wholebody-hand", "hand21", "COCO-WholeBody hand", ("AUC", "EPE", "PCK@0.2"), HAND,
           "simcc-coco-wholebody-hand_pt-aic-coco_210e"), (
        ("m", SQUARE, "99477206_20230228", (0.815, 4.51, 0.837)),
    )),
    (Group("-hand5", "hand21", HAND5, ("PCK@0.2", "AUC", "EPE"), HAND5_TEST, "simcc-hand5_pt-aic-coco_210e"), (
        ("m", SQUARE, "74fb594_20230320", (0.964, 0.839, 5.06)),
    )),
)
# fmt: on
ENTRIES = by_name(*(_entry(group, *row) for group, rows in GROUPS for row in rows))
SPECS: dict[str, SpecBuilder] = {"rtmpose": _spec}
