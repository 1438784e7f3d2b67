"""OpenPose: bottom-up, any number of people in one pass. CMU's networks are for non-commercial research only."""

from edge.catalog.entry import CatalogEntry, SpecBuilder, by_name
from edge.catalog.specs_openpose import openpose_spec, openpose_tf_spec
from runtimes.spec import ModelSpec

# OpenPose's LICENSE file covers its networks and their weights.
CMU = "CMU OpenPose (academic or non-profit, non-commercial research)"
# A copy of the file that pytorch-openpose publishes (CMU's COCO weights) on drives without direct links.
COPY = "https://huggingface.co/lllyasviel/Annotators/resolve/main/body_pose_model.pth"
# Apache-2.0 by the LICENSE files of lightweight-human-pose-estimation.pytorch and of tf-pose-estimation.
LIGHT = "https://download.01.org/opencv/openvino_training_extensions/models/human_pose_estimation/"


def _spec(entry: CatalogEntry) -> ModelSpec:
    return openpose_spec(entry.name, entry.input_wh, entry.schema or "openpose18")


def _tf_spec(_entry: CatalogEntry) -> ModelSpec:
    return openpose_tf_spec()


ENTRIES = by_name(
    CatalogEntry(
        "openpose-coco18",
        "openpose",
        "coco18",
        "pose-bottomup",
        (656, 368),
        schema="openpose18",
        params_m=52.31,
        gmacs=242.32,
        licence=CMU,
        commercial_use=False,
        licence_covers="model",
        url=COPY,
        sha256_prefix="25a948c16078b0f08e236bda51a385d855ef4c153598947c28c0d47ed94bb746",
        trained_on="COCO",
    ),
    # Published as a .caffemodel only; ports that keep the layers' names load.
    CatalogEntry(
        "openpose-body25",
        "openpose_body25",
        "body25",
        "pose-bottomup",
        (656, 368),
        schema="body25",
        params_m=26.17,
        gmacs=143.63,
        licence=CMU,
        commercial_use=False,
        licence_covers="model",
        trained_on="COCO, MPII, CMU foot keypoints",
    ),
    CatalogEntry(
        "openpose-light",
        "openpose_light",
        "mobilenet",
        "pose-bottomup",
        (456, 256),
        schema="openpose18",
        params_m=4.09,
        gmacs=7.66,
        ap=0.40,
        ap_source="lightweight-human-pose-estimation.pytorch README.md, COCO val2017, one scale, no flip",
        url=LIGHT + "checkpoint_iter_370000.pth",
        trained_on="COCO",
    ),
    CatalogEntry(
        "openpose-mobilenet-tf",
        "openpose_tf",
        "mobilenet-v2-small",
        "pose-bottomup",
        (432, 368),
        schema="openpose18",
        importable_runtimes=("onnxruntime",),
        trained_on="COCO",
    ),
)
SPECS: dict[str, SpecBuilder] = {
    "openpose": _spec,
    "openpose_body25": _spec,
    "openpose_light": _spec,
    "openpose_tf": _tf_spec,
}
