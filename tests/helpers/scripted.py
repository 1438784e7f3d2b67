"""Specs of scripted models: a pose model of 17 keypoints and a detector, whose outputs a test's function gives."""

from edge.schema import load_schema
from runtimes.codec_spec import BoxesCodec, YxsCodec
from runtimes.spec import CropSpec, ImageSpec, ModelSpec, TensorSpec, Thresholds

COCO = load_schema("coco17")


def pose_spec(side: int, *, padding: float = 1.0) -> ModelSpec:
    """Spec of a pose model with square inputs; "yxs" (N, 1, 17, 3): y, x as shares of the crop, score."""
    return ModelSpec(
        model="pose",
        task="pose-topdown",
        inputs=(TensorSpec(name="image"),),
        outputs=(TensorSpec(name="yxs"),),
        image=ImageSpec(wh=(side, side)),
        crop=CropSpec(kind="square", padding=padding),
        codec=YxsCodec(),
        keypoints=COCO.to_spec(),
    )


def detector_spec(wh: tuple[int, int], *, score: float = 0.05) -> ModelSpec:
    """Spec of a detector; "dets" (1, N, 5): x0, y0, x1, y1 in input pixels, score; "labels" (1, N)."""
    return ModelSpec(
        model="detector",
        task="detect",
        inputs=(TensorSpec(name="image"),),
        outputs=(TensorSpec(name="dets"), TensorSpec(name="labels")),
        image=ImageSpec(wh=wh),
        crop=CropSpec(kind="letterbox"),
        codec=BoxesCodec(),
        thresholds=Thresholds(score=score),
    )
