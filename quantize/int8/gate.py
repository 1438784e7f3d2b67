"""The int8 gate: an artifact against its float parent, on the same runtime and on images that calibrated nothing."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from devices.detect import detect_machine
from edge.codecs import decode
from edge.parity.boxes import judge_by_interval
from edge.parity.compare import OutputParity, compare, with_px_limit
from edge.parity.reference import Reference, make_reference
from edge.parity.sanity import find_symptoms
from edge.parity.verify import run_batches
from runtimes.artifact import Artifact
from runtimes.base import Outputs, RunOptions
from runtimes.parity_spec import BoxesParity
from runtimes.registry import open_session


def float_reference(parent: Artifact, images: NDArray[np.uint8]) -> Reference:
    """Return the float artifact's outputs on inputs uint8 BGR (N, H, W, 3), in f32 arithmetic, as a reference."""
    outputs, _ = run_artifact(parent, images)
    return make_reference(images, outputs, parent.manifest, f"artifact {parent.name}")


def judge_int8(
    artifact: Artifact, reference: Reference, label: str, max_px: float | None
) -> OutputParity:
    """Compare with the reference and judge; failed sanity checks are named and never pass.

    Boxes are judged by the interval of the share matched: the images are a sample. Where the reference decides under
    half of its keypoints there is no limit in pixels: ground truth has to judge.
    """
    outputs, arithmetic = run_artifact(artifact, reference.images)
    manifest = artifact.manifest
    parity = with_px_limit(compare(reference, outputs, manifest, manifest.precision), max_px)
    if isinstance(parity, BoxesParity):
        parity = judge_by_interval(parity)
    broken = find_symptoms(
        reference.outputs, outputs, reference.poses or reference.boxes, decode(outputs, manifest)
    )
    parity = msgspec.structs.replace(
        parity,
        inputs=label,
        arithmetic=arithmetic,
        isa=detect_machine().isa,
        symptoms=broken,
    )
    return msgspec.structs.replace(parity, passed=False) if broken else parity


def run_artifact(artifact: Artifact, images: NDArray[np.uint8]) -> tuple[Outputs, str]:
    """Return an artifact's outputs, and the arithmetic in use."""
    session = open_session(artifact, RunOptions())
    try:
        outputs = run_batches(session, artifact.manifest.inputs[0].name, images)
        return outputs, session.effective.precision
    finally:
        session.close()
