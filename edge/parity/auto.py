"""The arithmetic of `precision="auto"`: f16 where this machine has it and the artifact verifies in it, else f32."""

from dataclasses import replace

from edge.parity.verify import verify_session
from runtimes.artifact import Artifact
from runtimes.base import ArithmeticChoice, RunOptions, Session
from runtimes.errors import EngineError
from runtimes.registry import open_session


def chosen_options(
    artifact: Artifact, options: RunOptions, precision: ArithmeticChoice
) -> RunOptions:
    """Return `options` with the arithmetic `precision`; "auto" replays the artifact's reference once to decide.

    Raises ArtifactError where "auto" finds no reference to replay.
    """
    if precision != "auto":
        return replace(options, precision=precision)
    half, full = replace(options, precision="f16"), replace(options, precision="f32")
    try:
        session = open_session(artifact, half)
    except EngineError:
        return full  # a driver that refuses f16; what else is wrong is said where f32 is opened
    try:
        return half if holds_in_half(session, artifact) else full
    finally:
        session.close()


def holds_in_half(session: Session, artifact: Artifact) -> bool:
    """Return whether a session computes in f16, and its outputs agree with the PyTorch reference in the artifact.

    False for artifacts converted by others: they have none.
    """
    return session.effective.precision == "f16" and verify_session(session, artifact).passed is True
