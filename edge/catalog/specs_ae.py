"""Specs of bottom-up models by associative embedding: the whole frame to heatmaps and tags."""

from edge.catalog.specs import image_input
from edge.schema import KeypointSet, schema_of
from runtimes.codec_spec import AssociativeEmbeddingCodec
from runtimes.spec import CropSpec, ImageSpec, ModelSpec, TensorSpec

# mmpose's order of joining people: the head, then shoulders and hips, then limbs (configs of HigherHRNet).
JOINING_ORDER = {"coco17": (0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 9, 10, 13, 14, 15, 16)}


def ae_spec(model: str, schema: KeypointSet, cells: tuple[int, int], image: ImageSpec) -> ModelSpec:
    """Return the spec of a bottom-up model: the whole frame to `heatmap` and `tags`, (B, K, *cells) each."""
    keypoints = schema_of(schema)
    shape = (-1, len(keypoints), *cells)
    order = JOINING_ORDER.get(schema, ()) if isinstance(schema, str) else ()
    return ModelSpec(
        model=model,
        task="pose-bottomup",
        inputs=(image_input(image.wh),),
        outputs=(TensorSpec(name="heatmap", shape=shape), TensorSpec(name="tags", shape=shape)),
        image=image,
        crop=CropSpec(kind="letterbox-centre"),
        codec=AssociativeEmbeddingCodec(keypoint_order=order),
        keypoints=keypoints.to_spec(),
    )
