"""The first run of a converted model, in a process of its own, which alone ends where the engine crashes.

Engines trust their files: a changed byte may end a process with SIGSEGV, or make it ask for all memory. The process is
started as `python -m export.first_run DIRECTORY`. It runs the sealed artifact there on drawn inputs, writes its
reference.npz, and leaves OUTCOME beside the directory.
"""

import resource
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np

from devices.detect import detect_machine
from edge.parity.reference import Reference, make_reference, save_reference
from edge.parity.verify import run_batches
from export.import_spec import codec_tag, output_axes
from export.inputs import drawn_inputs
from runtimes.artifact import MANIFEST, REFERENCE, Artifact, read_manifest
from runtimes.base import RunOptions
from runtimes.errors import ArtifactError, EdgeposeError, EngineError, InputError
from runtimes.record import Record
from runtimes.registry import installed_engine, open_session
from runtimes.spec import model_spec

OUTCOME = "outcome.json"
TIME_LIMIT_S = 900.0
LAST_WORDS = 300  # characters
# the process's errors by name; others become EngineError
ERRORS: dict[str, type[EdgeposeError]] = {
    each.__name__: each for each in (InputError, ArtifactError, EngineError)
}


class Ran(Record, frozen=True, kw_only=True, tag="ran"):
    """It ran on so many samples; `inputs` says where they came from."""

    samples: int
    inputs: str


class Failed(Record, frozen=True, kw_only=True, tag="failed"):
    """One of our errors, by the name of its class."""

    error: str
    message: str


def first_run(artifact: Artifact) -> Ran:
    """Run a sealed artifact on drawn inputs and write its reference.npz, in a process of its own.

    artifact: in a staging directory. Raises EngineError where the engine refuses it, crashes or does not end, and where
    its outputs are not what its codec decodes.
    """
    root = artifact.root.resolve()
    command = (sys.executable, "-m", "export.first_run", str(root))
    try:
        # our parent folder as working directory: `-m` finds this `export`, not one in the user's directory
        done = subprocess.run(  # noqa: S603 our own module, no shell
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=Path(__file__).resolve().parents[1],
            timeout=TIME_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(
            f"{root}: {artifact.manifest.runtime} did not end within {TIME_LIMIT_S:.0f} s; is the file damaged?"
        ) from error
    outcome = root.parent / OUTCOME
    if done.returncode or not outcome.exists():
        raise _died(artifact, done)
    answer = msgspec.json.decode(outcome.read_bytes(), type=Ran | Failed)
    if isinstance(answer, Failed):
        raise ERRORS.get(answer.error, EngineError)(answer.message)
    return answer


def _died(artifact: Artifact, done: subprocess.CompletedProcess[bytes]) -> EngineError:
    code = done.returncode
    how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    words = " ".join(done.stderr.decode(errors="replace").split())[-LAST_WORDS:]
    return EngineError(
        f"{artifact.root}: the process that ran it in {artifact.manifest.runtime} ended {how}: the file is damaged, "
        f"or there is too little memory; convert it again ({words or 'no output'})"
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
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory := detect_machine().memory_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    np.seterr(all="ignore")  # a damaged file's outputs may be anything
    outcome: Ran | Failed
    try:
        outcome = run_here(root)
    except EdgeposeError as error:
        outcome = Failed(error=type(error).__name__, message=str(error))
    (root.parent / OUTCOME).write_bytes(msgspec.json.encode(outcome))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
