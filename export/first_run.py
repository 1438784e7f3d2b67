"""The first run of a converted model, in a process of its own, which alone ends where the engine crashes.

Engines trust their files: a changed byte may end a process with SIGSEGV, or make it ask for all memory. The process is
started as `python -m export.first_run DIRECTORY`. It runs the sealed artifact there on drawn inputs, writes its
reference.npz, and leaves OUTCOME beside the directory.
"""

import sys
from pathlib import Path

import numpy as np

from edge.parity.reference import Reference, make_reference, save_reference
from edge.parity.verify import run_batches
from export.import_spec import codec_tag, output_axes
from export.inputs import drawn_inputs
from export.own_process import leave_outcome, run_apart
from runtimes.artifact import MANIFEST, REFERENCE, Artifact, read_manifest
from runtimes.base import RunOptions
from runtimes.errors import EngineError
from runtimes.record import Record
from runtimes.registry import installed_engine, open_session
from runtimes.spec import model_spec

OUTCOME = "outcome.json"


class Ran(Record, frozen=True, kw_only=True, tag="ran"):
    """It ran on so many samples; `inputs` says where they came from."""

    samples: int
    inputs: str


def first_run(artifact: Artifact) -> Ran:
    """Run a sealed artifact on drawn inputs and write its reference.npz, in a process of its own.

    artifact: in a staging directory. Raises EngineError where the engine refuses it, crashes or does not end, and where
    its outputs are not what its codec decodes.
    """
    root = artifact.root.resolve()
    return run_apart(
        "export.first_run",
        (str(root),),
        root.parent / OUTCOME,
        str(artifact.root),
        artifact.manifest.runtime,
        Ran,
    )


def run_here(root: Path) -> Ran:
    """Run the artifact in this process and write its reference; raises EngineError where its manifest is wrong."""
    artifact = Artifact(root, read_manifest(root / MANIFEST))
    manifest = artifact.manifest
    inputs = drawn_inputs(manifest)
    session = open_session(artifact, RunOptions())
    try:
        outputs = run_batches(session, manifest.inputs[0].name, inputs.images)
    finally:
        session.close()
    for tensor, axes in zip(manifest.outputs, output_axes(manifest), strict=True):
        got = outputs[tensor.name].shape
        if len(got) != axes:
            raise EngineError(
                f"output {tensor.name} has shape {got}, codec {codec_tag(manifest.codec)} reads {axes} "
                "axes; correct the spec"
            )
    label = f"itself, when imported with {installed_engine(manifest.runtime)}"
    reference = make_reference(inputs.images, outputs, model_spec(manifest), label)
    _check_keypoints(artifact, reference)
    save_reference(root / REFERENCE, reference)
    return Ran(samples=len(inputs.images), inputs=inputs.label)


def _check_keypoints(artifact: Artifact, reference: Reference) -> None:
    names = artifact.manifest.keypoints.names if artifact.manifest.keypoints else ()
    given = {poses.xy.shape[1] for poses in reference.poses} - {len(names)}
    if given:
        raise EngineError(
            f"the file gives {given.pop()} keypoints, the spec names {len(names)}; correct the spec"
        )


def main(root: Path) -> None:
    """Run, within this machine's memory and without core dumps, and leave the outcome."""
    np.seterr(all="ignore")  # a damaged file's outputs may be anything
    leave_outcome(root.parent / OUTCOME, lambda: run_here(root))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
