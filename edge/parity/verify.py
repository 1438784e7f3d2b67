"""Replay of an artifact's reference on this machine, without torch; comparison of two artifacts."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from devices.detect import detect_machine
from edge.parity.compare import (
    PX_LIMITS,
    OutputParity,
    compare,
    judged_precision,
    with_px_limit,
)
from edge.parity.reference import Reference, load_reference, make_reference
from runtimes.artifact import REFERENCE, Artifact
from runtimes.base import Array, Effective, Outputs, RunOptions, Session
from runtimes.codec_spec import HeatmapCodec, SimCCCodec
from runtimes.errors import InputError
from runtimes.parity_spec import PxParity
from runtimes.registry import open_session
from runtimes.spec import Manifest

BATCH = 8
# Large inputs go in smaller batches: for eight of 768x1024 a network takes gigabytes.
BATCH_PIXELS = 1 << 20


def verify(artifact: Artifact, options: RunOptions) -> OutputParity:
    """Run the artifact on its own reference inputs and judge by the limits that it was exported with.

    In f16 or bf16 arithmetic, as the session reports it, the limits of half precision apply where they are looser.
    Artifacts converted by others have no PyTorch reference: they are compared with their own outputs at import, and
    `passed` stays None.
    """
    session = open_session(artifact, options)
    try:
        return _with_place(verify_session(session, artifact), session.effective, options)
    finally:
        session.close()


def verify_session(session: Session, artifact: Artifact) -> OutputParity:
    """Judge an open session of the artifact as `verify` does."""
    reference = load_reference(artifact.root / REFERENCE)
    parity = measure_session(session, artifact.manifest, reference)
    if artifact.manifest.lineage.weights == "foreign":
        return msgspec.structs.replace(parity, passed=None)
    return with_px_limit(parity, px_limit(artifact.manifest, parity.arithmetic))


def px_limit(manifest: Manifest, arithmetic: str) -> float | None:
    """Return the pixel limit that replaces the default one: the export's, None where no record has one.

    It was chosen for f32 arithmetic; in a coarser one the limit is at least that of half precision.
    """
    limits = (record.limit for record in manifest.parity if isinstance(record, PxParity))
    exported = next(limits, None)
    if exported is None or arithmetic == "f32":
        return exported
    return max(exported, PX_LIMITS[judged_precision(manifest.precision, arithmetic)])


def verify_against(artifact: Artifact, other: Artifact, options: RunOptions) -> OutputParity:
    """Compare `artifact` with `other`, which serves as the reference, on the other's inputs.

    Raises InputError where the two do not take the same images or give the same outputs.
    """
    ours, theirs = artifact.manifest, other.manifest
    if _meaning(ours) != _meaning(theirs):
        raise InputError(
            f"{artifact.name} and {other.name} differ in input size, codec, keypoints or classes; "
            "compare like with like"
        )
    images = load_reference(other.root / REFERENCE).images
    session = open_session(other, options)
    try:
        outputs = run_batches(session, theirs.inputs[0].name, images)
    finally:
        session.close()
    names = [tensor.name for tensor in theirs.outputs]
    renamed = {mine.name: outputs[name] for mine, name in zip(ours.outputs, names, strict=True)}
    reference = make_reference(images, renamed, ours, f"artifact {other.name}")
    return measure(artifact, reference, options)


def _meaning(manifest: Manifest) -> tuple[object, ...]:
    """Return the parts of a manifest that two artifacts must share for their outputs to be comparable."""
    names = manifest.keypoints.names if manifest.keypoints else ()
    codec = manifest.codec
    if isinstance(codec, SimCCCodec | HeatmapCodec):
        # it decodes nothing, and artifacts of earlier releases lack it
        codec = msgspec.structs.replace(codec, sigma=None)
    return manifest.image.wh, codec, names, manifest.classes, len(manifest.outputs)


def measure(artifact: Artifact, reference: Reference, options: RunOptions) -> OutputParity:
    """Run `artifact` over the reference's images and compare, recording arithmetic and the CPU's ISA."""
    session = open_session(artifact, options)
    try:
        parity = measure_session(session, artifact.manifest, reference)
        return _with_place(parity, session.effective, options)
    finally:
        session.close()


def _with_place(parity: OutputParity, effective: Effective, options: RunOptions) -> OutputParity:
    """Return the record with what executed the network, where an accelerator or an engine's option was asked for."""
    if options.accelerator == "cpu" and not options.extra:
        return parity
    return msgspec.structs.replace(
        parity,
        accelerator=effective.accelerator,
        engine=effective.engine,
        placement=dict(effective.placement.nodes) if effective.placement else None,
    )


def measure_session(session: Session, manifest: Manifest, reference: Reference) -> OutputParity:
    """Run an open session over the reference's images and compare, as `measure`.

    Judged by the file's precision or by the arithmetic in use, whichever is coarser.
    """
    outputs = run_batches(session, manifest.inputs[0].name, reference.images)
    arithmetic = session.effective.precision
    precision = judged_precision(manifest.precision, arithmetic)
    parity = compare(reference, outputs, manifest, precision)
    return msgspec.structs.replace(parity, arithmetic=arithmetic, isa=detect_machine().isa)


def run_batches(session: Session, name: str, images: NDArray[np.uint8]) -> Outputs:
    """Run uint8 images (S, H, W, 3) in batches of at most BATCH; returns the outputs joined, (S, ...)."""
    batch = max(1, min(BATCH, BATCH_PIXELS // (images.shape[1] * images.shape[2])))
    starts = range(0, len(images), batch)
    parts = [session.run({name: images[start : start + batch]}) for start in starts]
    return join_outputs(parts)


def join_outputs(parts: Sequence[Outputs]) -> Outputs:
    """Join the outputs of several batches in order, at least one; ragged ones are padded to the longest."""
    return {key: _joined([part[key] for part in parts]) for key in parts[0]}


def _joined(arrays: list[Array]) -> Array:
    """Join batches; ragged ones (boxes) come padded to their own longest, and are padded to the common one."""
    if len({array.shape[1:] for array in arrays}) == 1:
        return np.concatenate(arrays)
    longest = max(array.shape[1] for array in arrays)
    filler = -1 if arrays[0].dtype.kind == "i" else 0
    shape = (sum(map(len, arrays)), longest, *arrays[0].shape[2:])
    joined = np.full(shape, filler, arrays[0].dtype)
    start = 0
    for array in arrays:
        joined[start : start + len(array), : array.shape[1]] = array
        start += len(array)
    return joined
