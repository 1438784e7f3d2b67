"""The gate: a converted artifact against the PyTorch model it came from, on the same inputs, through the same code."""

from typing import Any

import msgspec

from edge.parity import Reference, make_reference, with_px_limit
from edge.verify import measure, run_batches
from export.inputs import GateInputs
from export.torch_session import TorchSession
from runtimes.artifact import Artifact
from runtimes.base import RunOptions
from runtimes.spec import ModelSpec, Parity

REFERENCE_LABEL = "PyTorch float32"


def torch_reference(module: Any, spec: ModelSpec, inputs: GateInputs) -> Reference:
    """Run the unfolded PyTorch module on the gate's inputs."""
    session = TorchSession(module, spec)
    outputs = run_batches(session, "image", inputs.images)
    return make_reference(inputs.images, outputs, spec, REFERENCE_LABEL)


def judge(
    artifact: Artifact, reference: Reference, inputs: GateInputs, max_px: float | None
) -> Parity:
    """Compare in f32 arithmetic and judge; `max_px` replaces the pixel limit, where pixels are the basis."""
    parity = measure(artifact, reference, RunOptions())
    return with_px_limit(msgspec.structs.replace(parity, inputs=inputs.label), max_px)
