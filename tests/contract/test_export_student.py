"""A student taught by a knowledge token, one body over every runtime: the frozen token is part of the graph."""

import numpy as np
import pytest

from edge.parity.verify import run_batches, verify
from runtimes.artifact import Artifact
from runtimes.base import RunOptions
from runtimes.registry import ENGINES, installed_engine, open_session

torch = pytest.importorskip("torch")

from export import LoadedModel, Target, export_model, load_checkpoint  # noqa: E402
from export.inputs import drawn_inputs  # noqa: E402
from export.student_file import Card, write_student  # noqa: E402
from export.torch_session import TorchSession  # noqa: E402
from quantize.distill.methods.token import add_token, apply_projection, token_variant  # noqa: E402
from quantize.distill.student import new_student, student_variant  # noqa: E402

WH = (96, 128)
PEOPLE = 4
WIDTH, TEACHERS_WIDTH = 48, 96
LIMITS = {"fp32": 1e-3, "fp16": 3e-2}


@pytest.fixture(scope="module")
def student(tmp_path_factory) -> LoadedModel:
    """A student of a wider teacher: the token is projected to its width, written, and read again from its file.

    Attention and decoder are made loud: what a token says is heard, and outputs are near 1.
    """
    variant = token_variant(student_variant("vitpose-48x2x3-simple", WH))
    network = new_student(variant, 0)
    token = torch.randn(1, 1, TEACHERS_WIDTH, generator=torch.Generator().manual_seed(1))
    add_token(network, token, 0)
    with torch.no_grad():
        network.head.final_layer.weight.mul_(50)
        for block in network.backbone.layers:
            block.attn.qkv.weight.mul_(8)
            block.attn.proj.weight.mul_(8)
    bare = apply_projection(variant, network.state_dict(), TEACHERS_WIDTH)
    path = tmp_path_factory.mktemp("student") / "student.safetensors"
    card = Card(
        model="taught",
        family="vitpose",
        size=variant.size,
        input_wh=WH,
        schema="coco17",
        teacher="t",
    )
    write_student(path, bare, card)
    return load_checkpoint(path)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, id=name, marks=[pytest.mark.slow] * (name == "openvino"))
        for name in ENGINES
    ],
)
def made(request, student, tmp_path_factory):
    if installed_engine(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    targets = [Target(request.param, "fp32"), Target(request.param, "fp16")]
    inputs = drawn_inputs(student.spec, PEOPLE)
    return export_model(student, targets, tmp_path_factory.mktemp("out"), inputs=inputs)


def test_the_gate_lets_it_through(made) -> None:
    for result in made:
        assert result.passed, (result.target, result.parity, result.error)
        assert verify(Artifact.open(result.path), RunOptions()).passed


def test_the_token_is_in_the_graph(made, student) -> None:
    """One input, the image; outputs are those with the token, and far from those without."""
    images = drawn_inputs(student.spec, PEOPLE).images
    with_it = TorchSession(student.module, student.spec).run({"image": images})["heatmap"]
    variant = student_variant("vitpose-48x2x3-simple", WH)
    bare = new_student(variant, 0)
    bare.load_state_dict(
        {k: v for k, v in student.module.state_dict().items() if k != "backbone.token"}
    )
    without = TorchSession(bare, student.spec).run({"image": images})["heatmap"]
    largest = max(1.0, float(np.abs(with_it).max()))
    assert np.abs(with_it - without).max() / largest > 3 * LIMITS["fp16"]
    for result in made:
        artifact = Artifact.open(result.path)
        assert [each.name for each in artifact.manifest.inputs] == ["image"]
        session = open_session(artifact)
        outputs = run_batches(session, "image", images)["heatmap"]
        session.close()
        error = np.abs(outputs - with_it).max() / largest
        assert error < LIMITS[result.target.precision]
