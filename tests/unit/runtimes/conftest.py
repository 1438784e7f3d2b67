"""The manifest of a small model."""

import pytest

from runtimes.codec_spec import HeatmapCodec
from runtimes.spec import CropSpec, ImageSpec, Lineage, Manifest, TensorSpec


@pytest.fixture
def manifest() -> Manifest:
    """A manifest that lists no files yet."""
    return Manifest(
        model="tiny",
        task="pose-topdown",
        runtime="onnxruntime",
        precision="fp32",
        inputs=(TensorSpec(name="image"),),
        outputs=(TensorSpec(name="heatmap"),),
        image=ImageSpec(wh=(6, 8)),
        crop=CropSpec(kind="affine"),
        codec=HeatmapCodec(),
        lineage=Lineage(weights="random"),
    )
