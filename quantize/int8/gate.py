"""The gate of int8: an artifact against its float parent, on the same runtime and on images it never saw."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from devices.detect import detect_machine
from edge.codecs import decode
from edge.parity.compare import Reference, compare, make_reference, with_px_limit
from edge.parity.sanity import symptoms
from edge.parity.verify import run_batches
from runtimes.artifact import Artifact
from runtimes.base import Outputs, RunOptions
from runtimes.registry import open_session
from runtimes.spec import Manifest, Parity


def float_reference(parent: Artifact, images: NDArray[np.uint8]) -> Reference:
    """Return what the float artifact says of inputs uint8 BGR (N, H, W, 3), in f32 arithmetic."""
    outputs, _ = run_artifact(parent, images)
    return make_reference(images, outputs, parent.manifest, f"artifact {parent.name}")


def judge_int8(
    artifact: Artifact, reference: Reference, label: str, max_px: float | None
) -> Parity:
    """Compare with the reference and judge; what is broken outright is named and never passes.

    Where the reference decides under half of its keypoints there is no limit in pixels: ground truth has to judge.
    """
    outputs, arithmetic = run_artifact(artifact, reference.images)
    manifest: Manifest = artifact.manifest
    parity = compare(reference, outputs, manifest, manifest.precision)
    broken = symptoms(reference.outputs, outputs, reference.decoded, decode(outputs, manifest))
    parity = msgspec.structs.replace(
        with_px_limit(parity, max_px),
        inputs=label,
        arithmetic=arithmetic,
        isa=detect_machine().isa,
        symptoms=broken,
    )
    return msgspec.structs.replace(parity, passed=False) if broken else parity


def run_artifact(artifact: Artifact, images: NDArray[np.uint8]) -> tuple[Outputs, str]:
    """Return an artifact's outputs, and the arithmetic that they were computed in."""
    session = open_session(artifact, RunOptions())
    try:
        outputs = run_batches(session, artifact.manifest.inputs[0].name, images)
        return outputs, session.effective.precision
    finally:
        session.close()
