"""ViTPose's options over every runtime: patches that overlap, windows, minimal and bottom-up decoders."""

import pytest

from edge.parity.verify import verify
from runtimes.artifact import Artifact
from runtimes.base import RunOptions
from runtimes.registry import ENGINES, installed_engine
from runtimes.spec import model_spec

torch = pytest.importorskip("torch")

from export import Target, export_model  # noqa: E402
from export.inputs import drawn_inputs  # noqa: E402
from export.random_weights import random_variant  # noqa: E402
from export.registry import Variant  # noqa: E402

WINDOWS = "32x3x2-stride8-window4x4-shift-pool-full3-relpos-pixelshuffle"
BOTTOM_UP = "32x2x2-stride8-window4x4-ae"
# ncnn has the fewest axes, no roll and no gather; the others confirm what it shows.
QUICK = [(BOTTOM_UP, "ncnn")]
CASES = [
    pytest.param(size, runtime, marks=[pytest.mark.slow] * ((size, runtime) not in QUICK))
    for size in (WINDOWS, BOTTOM_UP)
    for runtime in ENGINES
]


@pytest.mark.parametrize(("size", "runtime"), CASES)
def test_the_gate_lets_it_through(size, runtime, tmp_path) -> None:
    if installed_engine(runtime) is None:
        pytest.skip(f"{runtime} is not installed")
    loaded = random_variant(Variant("vitpose", size, (64, 96), schema="coco17"))
    with torch.no_grad():
        for block in loaded.module.backbone.layers:
            block.attn.qkv.weight.mul_(8)
            block.attn.proj.weight.mul_(8)
    targets = [Target(runtime, "fp32"), Target(runtime, "fp16")]
    for made in export_model(loaded, targets, tmp_path, inputs=drawn_inputs(loaded.spec, 4)):
        assert made.passed, (made.target, made.parity, made.error)
        artifact = Artifact.open(made.path)
        assert verify(artifact, RunOptions()).passed
        assert model_spec(artifact.manifest).codec == loaded.spec.codec
