"""The gate on an accelerator, which follows the CPU's and has its own record.

ONNX Runtime's CPU provider, asked for by name, stands for an accelerator that computes right: every build has it.
"""

import dataclasses
from pathlib import Path

import msgspec
import pytest

pytest.importorskip("onnxruntime")

from edge.cli.console import describe
from edge.parity.reference import Reference, load_reference
from edge.parity.refusals import find_refusals
from edge.parity.verify import verify
from export.accelerated import judge_on, options_for
from runtimes.artifact import REFERENCE, Artifact
from runtimes.base import RunOptions
from runtimes.errors import EngineError
from runtimes.parity_spec import PxParity

DATA = Path(__file__).resolve().parents[2] / "data" / "artifact_f373529"
NAMED = RunOptions(extra={"provider": "cpu"})
# TensorRT drives GPUs, on any machine
NOWHERE = RunOptions(accelerator="npu", extra={"provider": "tensorrt"})
PASSED = PxParity(reference="PyTorch", passed=True, limit=0.2, px_p95=0.0, inputs="spots")


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    return Artifact.open(DATA / "spots-64x64.onnxruntime-fp32")


@pytest.fixture(scope="module")
def reference(artifact) -> Reference:
    return load_reference(artifact.root / REFERENCE)


def test_what_passes_there_has_a_second_record_that_says_where(artifact, reference) -> None:
    first, second = judge_on(NAMED, artifact, reference, [PASSED])
    assert first is PASSED
    assert first.where == ""
    assert second.passed is True
    assert (second.basis, second.inputs) == ("px", "spots")
    assert second.limit == PASSED.limit  # the export's, which is not the default of fp32
    assert second.engine.startswith("ONNX Runtime ")
    assert second.engine.endswith("CPUExecutionProvider")
    assert (second.accelerator, second.arithmetic) == ("cpu", "f32")
    assert second.placement is None  # of the CPU's own kernels
    assert describe(second).startswith(f"cpu f32, {second.engine}: p95 ")


def test_other_results_there_are_refused_with_the_place(artifact, reference) -> None:
    """Pictures in another order give keypoints of other people."""
    turned = dataclasses.replace(reference, images=reference.images[::-1].copy())
    *_, second = judge_on(NAMED, artifact, turned, [PASSED])
    assert second.passed is False
    (said,) = find_refusals(second)
    assert said.startswith(f"on cpu f32, {second.engine}: keypoints p95 ")


def test_nothing_runs_there_where_nothing_was_asked_or_the_cpu_failed(artifact, reference) -> None:
    assert judge_on(None, artifact, reference, [PASSED]) == (PASSED,)
    failed = msgspec.structs.replace(PASSED, passed=False)
    assert judge_on(NOWHERE, artifact, reference, [failed]) == (failed,)


def test_an_accelerator_that_is_not_there_fails_this_artifact_alone(artifact, reference) -> None:
    with pytest.raises(EngineError, match="does not run on the npu; use --accelerator gpu"):
        judge_on(NOWHERE, artifact, reference, [PASSED])


@pytest.mark.parametrize(
    ("file", "arithmetic"), [("fp32", "f32"), ("fp16", "f16"), ("int8", "f32")]
)
def test_each_file_runs_in_the_arithmetic_that_it_stands_for(file, arithmetic) -> None:
    options = options_for(dataclasses.replace(NOWHERE, threads=3), file)
    assert options == dataclasses.replace(NOWHERE, threads=3, precision=arithmetic)


def test_records_name_the_backends_and_their_nodes(artifact) -> None:
    parity = msgspec.structs.replace(
        PASSED,
        accelerator="gpu",
        arithmetic="f16",
        engine="E",
        placement={"TensorRT": 148, "CPU": 2},
    )
    assert parity.where == "gpu f16, TensorRT 148, CPU 2"
    assert verify(artifact, NAMED).engine
    assert verify(artifact, RunOptions()).engine == ""
