"""RTMPose (mmpose): top-down SimCC, one row a published checkpoint; people, animals, faces and hands.

The first row of a size, input and keypoint set is the one that such weights are called by when nothing says more.
"""

from edge.catalog.entry import CatalogEntry, SpecBuilder, by_name, hash_in
from edge.catalog.specs import rtmpose_spec
from runtimes.spec import ModelSpec

MMPOSE = "https://download.openmmlab.com/mmpose/v1/projects/rtmposev1/"
# Where figures were read; all are their authors'. People: on a detector's boxes.
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
# What the mixed sets hold.
BODY7 = "AI Challenger, COCO, CrowdPose, MPII, sub-JHMDB, Halpe, PoseTrack18"
FACE6 = "COCO-WholeBody face, WFLW, 300W, COFW, Halpe, LaPa"
HAND5 = "COCO-WholeBody hand, OneHand10K, FreiHand2d, RHD2d, Halpe"

SMALL, TALL, SQUARE = (192, 256), (288, 384), (256, 256)
Published = tuple[dict[str, float], str]


def _spec(entry: CatalogEntry) -> ModelSpec:
    return rtmpose_spec(entry.name, entry.input_wh, entry.schema or "coco17")


def _read(figures: dict[str, float], source: str) -> Published:
    return figures, source


def _coco(ap: float, ap50: float, ap75: float, ar: float, ar50: float) -> Published:
    return {"AP": ap, "AP50": ap50, "AP75": ap75, "AR": ar, "AR50": ar50}, INDEX


def _body8(ap: float, pck: float) -> Published:
    return {"AP": ap, "PCK@0.1": pck}, BODY8


def _halpe26(pck: float, auc: float) -> Published:
    # published without an AP
    return {"PCK@0.1": pck, "AUC": auc}, BODY8


def _whole(*values: float) -> Published:
    parts = ("body", "face", "foot", "hand", "whole")
    names = [f"{part} {figure}" for part in parts for figure in ("AP", "AR")]
    return dict(zip(names, values, strict=True)), WHOLE


def _rtmpose(
    name: str,
    counts: tuple[float, float],
    schema: str,
    input_wh: tuple[int, int],
    trained_on: str,
    published: Published,
    file: str,
) -> CatalogEntry:
    figures, source = published
    url = MMPOSE + file
    return CatalogEntry(
        name,
        "rtmpose",
        name.split("-")[1],
        "pose-topdown",
        input_wh,
        schema=schema,
        params_m=counts[0],
        gmacs=counts[1],
        ap=figures.get("AP", figures.get("whole AP")),
        ap_source=source,
        figures=figures,
        trained_on=trained_on,
        url=url,
        sha256_prefix=hash_in(url),
    )


# fmt: off
ENTRIES = by_name(
    _rtmpose("rtmpose-t", (3.34, 0.35), "coco17", SMALL, "AI Challenger, COCO",
             _coco(0.685, 0.88, 0.761, 0.738, 0.918),
             "rtmpose-tiny_simcc-aic-coco_pt-aic-coco_420e-256x192-cfc8f33d_20230126.pth"),
    _rtmpose("rtmpose-s", (5.47, 0.68), "coco17", SMALL, "AI Challenger, COCO",
             _coco(0.722, 0.892, 0.794, 0.772, 0.929),
             "rtmpose-s_simcc-aic-coco_pt-aic-coco_420e-256x192-fcb2599b_20230126.pth"),
    _rtmpose("rtmpose-m", (13.59, 1.92), "coco17", SMALL, "AI Challenger, COCO",
             _coco(0.758, 0.903, 0.826, 0.806, 0.94),
             "rtmpose-m_simcc-aic-coco_pt-aic-coco_420e-256x192-63eb25f7_20230126.pth"),
    _rtmpose("rtmpose-l", (27.66, 4.14), "coco17", SMALL, "AI Challenger, COCO",
             _coco(0.765, 0.906, 0.835, 0.813, 0.942),
             "rtmpose-l_simcc-aic-coco_pt-aic-coco_420e-256x192-f016ffe0_20230126.pth"),
    _rtmpose("rtmpose-m-384x288", (13.72, 4.3), "coco17", TALL, "AI Challenger, COCO",
             _coco(0.77, 0.908, 0.833, 0.816, 0.943),
             "rtmpose-m_simcc-aic-coco_pt-aic-coco_420e-384x288-a62a0b32_20230228.pth"),
    _rtmpose("rtmpose-l-384x288", (27.79, 9.31), "coco17", TALL, "AI Challenger, COCO",
             _coco(0.773, 0.907, 0.835, 0.819, 0.942),
             "rtmpose-l_simcc-aic-coco_pt-aic-coco_420e-384x288-97d6cb0f_20230228.pth"),
    _rtmpose("rtmpose-x-384x288", (49.43, 17.16), "coco17", TALL, BODY7,
             _read({"AP": 0.788}, README),
             "rtmpose-x_simcc-body7_pt-body7_700e-384x288-71d7b7e9_20230629.pth"),
    _rtmpose("rtmpose-t-coco", (3.34, 0.35), "coco17", SMALL, "COCO",
             _coco(0.682, 0.883, 0.759, 0.736, 0.92),
             "rtmpose-tiny_simcc-coco_pt-aic-coco_420e-256x192-e613ba3f_20230127.pth"),
    _rtmpose("rtmpose-s-coco", (5.47, 0.68), "coco17", SMALL, "COCO",
             _coco(0.716, 0.892, 0.789, 0.768, 0.929),
             "rtmpose-s_simcc-coco_pt-aic-coco_420e-256x192-8edcf0d7_20230127.pth"),
    _rtmpose("rtmpose-m-coco", (13.59, 1.92), "coco17", SMALL, "COCO",
             _coco(0.746, 0.899, 0.817, 0.795, 0.935),
             "rtmpose-m_simcc-coco_pt-aic-coco_420e-256x192-d8dd5ca4_20230127.pth"),
    _rtmpose("rtmpose-l-coco", (27.66, 4.14), "coco17", SMALL, "COCO",
             _coco(0.758, 0.906, 0.826, 0.806, 0.942),
             "rtmpose-l_simcc-coco_pt-aic-coco_420e-256x192-1352a4d2_20230127.pth"),
    _rtmpose("rtmpose-t-body8", (3.34, 0.35), "coco17", SMALL, BODY7,
             _body8(0.659, 0.914),
             "rtmpose-t_simcc-body7_pt-body7_420e-256x192-026a1439_20230504.pth"),
    _rtmpose("rtmpose-s-body8", (5.47, 0.68), "coco17", SMALL, BODY7,
             _body8(0.697, 0.925),
             "rtmpose-s_simcc-body7_pt-body7_420e-256x192-acd4a1ef_20230504.pth"),
    _rtmpose("rtmpose-m-body8", (13.59, 1.92), "coco17", SMALL, BODY7,
             _body8(0.749, 0.943),
             "rtmpose-m_simcc-body7_pt-body7_420e-256x192-e48f03d0_20230504.pth"),
    _rtmpose("rtmpose-l-body8", (27.66, 4.14), "coco17", SMALL, BODY7,
             _body8(0.767, 0.951),
             "rtmpose-l_simcc-body7_pt-body7_420e-256x192-4dba18fc_20230504.pth"),
    _rtmpose("rtmpose-m-body8-384x288", (13.72, 4.3), "coco17", TALL, BODY7,
             _body8(0.766, 0.946),
             "rtmpose-m_simcc-body7_pt-body7_420e-384x288-65e718c4_20230504.pth"),
    _rtmpose("rtmpose-l-body8-384x288", (27.79, 9.31), "coco17", TALL, BODY7,
             _body8(0.783, 0.964),
             "rtmpose-l_simcc-body7_pt-body7_420e-384x288-3f5a1437_20230504.pth"),
    _rtmpose("rtmpose-t-humanart", (3.34, 0.35), "coco17", SMALL, "COCO, Human-Art",
             _coco(0.665, 0.875, 0.739, 0.721, 0.916),
             "rtmpose-t_8xb256-420e_humanart-256x192-60b68c98_20230612.pth"),
    _rtmpose("rtmpose-s-humanart", (5.47, 0.68), "coco17", SMALL, "COCO, Human-Art",
             _coco(0.706, 0.888, 0.78, 0.759, 0.928),
             "rtmpose-s_8xb256-420e_humanart-256x192-5a3ac943_20230611.pth"),
    _rtmpose("rtmpose-m-humanart", (13.59, 1.92), "coco17", SMALL, "COCO, Human-Art",
             _coco(0.725, 0.892, 0.795, 0.775, 0.929),
             "rtmpose-m_8xb256-420e_humanart-256x192-8430627b_20230611.pth"),
    _rtmpose("rtmpose-l-humanart", (27.66, 4.14), "coco17", SMALL, "COCO, Human-Art",
             _coco(0.748, 0.901, 0.816, 0.796, 0.938),
             "rtmpose-l_8xb256-420e_humanart-256x192-389f2cb0_20230611.pth"),
    _rtmpose("rtmpose-m-crowdpose", (13.47, 1.91), "crowdpose14", SMALL, "CrowdPose",
             _read({"AP": 0.706, "AP50": 0.841, "AP75": 0.765,
                    "AP easy": 0.799, "AP medium": 0.719, "AP hard": 0.582}, CROWD),
             "rtmpose-m_simcc-crowdpose_pt-aic-coco_210e-256x192-e6192cac_20230224.pth"),
    _rtmpose("rtmpose-m-mpii-256x256", (13.59, 2.55), "mpii16", SQUARE, "MPII",
             _read({"PCKh@0.5": 0.907, "PCKh@0.1": 0.348}, MPII),
             "rtmpose-m_simcc-mpii_pt-aic-coco_210e-256x256-ec4dbec8_20230206.pth"),
    _rtmpose("rtmpose-t-halpe26", (3.51, 0.37), "body26", SMALL, BODY7,
             _halpe26(0.919, 0.664),
             "rtmpose-t_simcc-body7_pt-body7-halpe26_700e-256x192-6020f8a6_20230605.pth"),
    _rtmpose("rtmpose-s-halpe26", (5.7, 0.69), "body26", SMALL, BODY7,
             _halpe26(0.93, 0.682),
             "rtmpose-s_simcc-body7_pt-body7-halpe26_700e-256x192-7f134165_20230605.pth"),
    _rtmpose("rtmpose-m-halpe26", (13.93, 1.94), "body26", SMALL, BODY7,
             _halpe26(0.947, 0.719),
             "rtmpose-m_simcc-body7_pt-body7-halpe26_700e-256x192-4d3e73dd_20230605.pth"),
    _rtmpose("rtmpose-l-halpe26", (28.11, 4.17), "body26", SMALL, BODY7,
             _halpe26(0.954, 0.732),
             "rtmpose-l_simcc-body7_pt-body7-halpe26_700e-256x192-2abb7558_20230605.pth"),
    _rtmpose("rtmpose-m-halpe26-384x288", (14.06, 4.35), "body26", TALL, BODY7,
             _halpe26(0.952, 0.736),
             "rtmpose-m_simcc-body7_pt-body7-halpe26_700e-384x288-89e6428b_20230605.pth"),
    _rtmpose("rtmpose-l-halpe26-384x288", (28.24, 9.36), "body26", TALL, BODY7,
             _halpe26(0.956, 0.744),
             "rtmpose-l_simcc-body7_pt-body7-halpe26_700e-384x288-734182ce_20230605.pth"),
    _rtmpose("rtmpose-x-halpe26-384x288", (50.0, 17.23), "body26", TALL, BODY7,
             _halpe26(0.957, 0.748),
             "rtmpose-x_simcc-body7_pt-body7-halpe26_700e-384x288-7fb6e239_20230606.pth"),
    _rtmpose("rtmpose-m-wholebody", (17.95, 2.22), "coco133", SMALL, "COCO-WholeBody",
             _whole(0.673, 0.75, 0.813, 0.871, 0.615, 0.752, 0.475, 0.589, 0.582, 0.674),
             "rtmpose-m_simcc-coco-wholebody_pt-aic-coco_270e-256x192-cd5e845c_20230123.pth"),
    _rtmpose("rtmpose-l-wholebody", (33.48, 4.51), "coco133", SMALL, "COCO-WholeBody",
             _whole(0.695, 0.769, 0.833, 0.887, 0.658, 0.785, 0.519, 0.628, 0.611, 0.7),
             "rtmpose-l_simcc-coco-wholebody_pt-aic-coco_270e-256x192-6f206314_20230124.pth"),
    _rtmpose("rtmpose-l-wholebody-384x288", (33.61, 10.04), "coco133", TALL, "COCO-WholeBody",
             _whole(0.712, 0.781, 0.882, 0.919, 0.693, 0.811, 0.579, 0.677, 0.648, 0.73),
             "rtmpose-l_simcc-coco-wholebody_pt-aic-coco_270e-384x288-eaeb96c8_20230125.pth"),
    _rtmpose("rtmpose-x-wholebody-384x288", (56.71, 18.05), "coco133", TALL, "COCO-WholeBody",
             _read({"whole AP": 0.653}, README_WHOLE),
             "rtmpose-x_simcc-coco-wholebody_pt-body7_270e-384x288-401dfc90_20230629.pth"),
    _rtmpose("rtmpose-m-ap10k-256x256", (13.62, 2.55), "ap10k17", SQUARE, "AP-10K",
             _read({"AP": 0.722, "AP50": 0.939, "AP75": 0.788, "APL": 0.728, "APM": 0.569}, AP10K),
             "rtmpose-m_simcc-ap10k_pt-aic-coco_210e-256x256-7a041aa1_20230206.pth"),
    _rtmpose("rtmpose-m-wholebody-face-256x256", (15.54, 2.71), "face68", SQUARE, "COCO-WholeBody face",
             _read({"NME": 0.0466}, FACE68),
             "rtmpose-m_simcc-coco-wholebody-face_pt-aic-coco_60e-256x256-62026ef2_20230228.pth"),
    _rtmpose("rtmpose-t-face6-256x256", (5.05, 0.65), "face106", SQUARE, FACE6,
             _read({"NME": 1.67}, FACE6_TEST),
             "rtmpose-t_simcc-face6_pt-in1k_120e-256x256-df79d9a5_20230529.pth"),
    _rtmpose("rtmpose-s-face6-256x256", (7.74, 1.11), "face106", SQUARE, FACE6,
             _read({"NME": 1.59}, FACE6_TEST),
             "rtmpose-s_simcc-face6_pt-in1k_120e-256x256-d779fdef_20230529.pth"),
    _rtmpose("rtmpose-m-face6-256x256", (16.97, 2.84), "face106", SQUARE, FACE6,
             _read({"NME": 1.44}, FACE6_TEST),
             "rtmpose-m_simcc-face6_pt-in1k_120e-256x256-72a37400_20230529.pth"),
    _rtmpose("rtmpose-m-lapa-256x256", (16.97, 2.84), "face106", SQUARE, "LaPa",
             _read({"NME": 1.29}, LAPA),
             "rtmpose-m_simcc-lapa_pt-aic-coco_120e-256x256-762b1ae2_20230422.pth"),
    _rtmpose("rtmpose-m-wflw-256x256", (16.67, 2.81), "face98", SQUARE, "WFLW",
             _read({"NME": 4.01}, WFLW),
             "rtmpose-m_simcc-wflw_pt-aic-coco_60e-256x256-dc1dcdcf_20230228.pth"),
    _rtmpose("rtmpose-m-wholebody-hand-256x256", (13.78, 2.57), "hand21", SQUARE, "COCO-WholeBody hand",
             _read({"AUC": 0.815, "EPE": 4.51, "PCK@0.2": 0.837}, HAND),
             "rtmpose-m_simcc-coco-wholebody-hand_pt-aic-coco_210e-256x256-99477206_20230228.pth"),
    _rtmpose("rtmpose-m-hand5-256x256", (13.78, 2.57), "hand21", SQUARE, HAND5,
             _read({"PCK@0.2": 0.964, "AUC": 0.839, "EPE": 5.06}, HAND5_TEST),
             "rtmpose-m_simcc-hand5_pt-aic-coco_210e-256x256-74fb594_20230320.pth"),
)
# fmt: on
SPECS: dict[str, SpecBuilder] = {"rtmpose": _spec}
