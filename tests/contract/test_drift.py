"""Drift of an exported artifact from its PyTorch model, located in a block or in the comparison alone."""

import pytest

from edge.model import Model
from edge.parity.compare import compare
from edge.parity.reference import load_reference
from export.block_drift import first_drift, measure_block_drift
from runtimes.artifact import REFERENCE, Artifact
from runtimes.registry import ENGINES, open_session
from runtimes.spec import Runtime

SOURCE = "random:rtmpose-t"
PICTURES = {"onnxruntime": None}  # in the gate, elsewhere 8: the exports of test_export_contract
PRECISIONS = ("fp32", "fp16")


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ENGINES)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_right_weights_have_no_block_over_its_limit(exported, runtime, precision) -> None:
    runtime_name: Runtime = runtime
    made = exported(SOURCE, runtime_name, PICTURES.get(runtime, 8))[precision]
    artifact = Artifact.open(made.path)
    errors = measure_block_drift(artifact, "random")
    assert first_drift(errors) is None, errors
    names = [error.name for error in errors]
    assert names[0] == "backbone.stem.0"
    assert names[-2:] == ["simcc_x", "simcc_y"]
    assert "head.gau" in names
    if precision == "fp16":
        assert max(error.raw_error for error in errors) > 1e-5  # rounding is there to be seen


@pytest.mark.slow
def test_a_wrong_decision_is_the_comparisons_not_the_engines(exported) -> None:
    """The same outputs, judged on a reference with its decoded keypoints moved."""
    made = exported(SOURCE, "onnxruntime")["fp32"]
    artifact = Artifact.open(made.path)
    reference = load_reference(made.path / REFERENCE)
    with Model(artifact.manifest, open_session(artifact)) as model:
        outputs = model.session.run({"image": reference.images})
    assert compare(reference, outputs, artifact.manifest, "fp32").passed is True
    swapped = {"simcc_x": outputs["simcc_x"][::-1], "simcc_y": outputs["simcc_y"]}
    assert compare(reference, swapped, artifact.manifest, "fp16").passed is False
