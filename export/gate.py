"""The parity gate: an artifact against the PyTorch model that it was converted from, on the same inputs."""

from collections.abc import Sequence
from typing import Any

import msgspec

from edge.evaluation.dataset import Dataset
from edge.model import Model
from edge.parity.compare import with_px_limit
from edge.parity.reference import Reference, make_reference
from edge.parity.verify import measure, run_batches
from export.accuracy import AccuracyGate, ap_gate
from export.checkpoint import LoadedModel
from export.inputs import GateInputs
from export.torch_session import TorchSession
from runtimes.artifact import Artifact
from runtimes.base import RunOptions
from runtimes.parity_spec import Parity
from runtimes.spec import ModelSpec

REFERENCE_LABEL = "PyTorch float32"


def torch_reference(module: Any, spec: ModelSpec, inputs: GateInputs) -> Reference:
    """Run the unfolded PyTorch module on the gate's inputs."""
    session = TorchSession(module, spec)
    outputs = run_batches(session, "image", inputs.images)
    return make_reference(inputs.images, outputs, spec, REFERENCE_LABEL)


def torch_ap_gate(
    loaded: LoadedModel,
    dataset: Dataset,
    max_drop: float | None,
    det_classes: Sequence[str] = (),
) -> AccuracyGate:
    """Return the accuracy gate of artifacts of `loaded`; see `ap_gate`."""
    model = Model(loaded.spec, TorchSession(loaded.module, loaded.spec))
    return ap_gate(model, REFERENCE_LABEL, dataset, max_drop, det_classes)


def judge_parity(
    artifact: Artifact, reference: Reference, inputs: GateInputs, max_px: float | None
) -> Parity:
    """Compare an artifact with the reference in f32 arithmetic; `max_px` replaces the limit of a record in pixels."""
    parity = measure(artifact, reference, RunOptions())
    return with_px_limit(msgspec.structs.replace(parity, inputs=inputs.label), max_px)
