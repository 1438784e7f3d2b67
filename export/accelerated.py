"""The gate on an accelerator: what passed on the CPU runs again where it will be used, and is compared there too."""

import warnings
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from edge.parity.compare import all_passed, with_px_limit
from edge.parity.reference import Reference
from edge.parity.verify import measure, px_limit
from runtimes.artifact import Artifact
from runtimes.base import Arithmetic, RunOptions
from runtimes.errors import EdgeposeWarning, EngineError, InputError
from runtimes.parity_spec import Parity
from runtimes.spec import Precision

# That a file stands for. The layers that an int8 file leaves in float are those that rounding harms most.
ARITHMETIC: dict[Precision, Arithmetic] = {"fp32": "f32", "fp16": "f16", "int8": "f32"}


def options_for(asked: RunOptions, file: Precision) -> RunOptions:
    """Return the options of a session on the accelerator that was asked for, for a file of precision `file`."""
    return replace(asked, precision=ARITHMETIC[file])


def judge_on(
    asked: RunOptions | None, artifact: Artifact, reference: Reference, judged: Sequence[Parity]
) -> tuple[Parity, ...]:
    """Return `judged` and, where an accelerator was asked for and all of them passed, the verdict there.

    The limit in pixels is that of the first record, or half precision's where the accelerator computes in it and that
    is looser. Raises EngineError where it does not start, takes no node or has no such arithmetic.
    """
    if asked is None or not all_passed(judged):
        return tuple(judged)
    manifest = msgspec.structs.replace(artifact.manifest, parity=tuple(judged))
    try:
        with warnings.catch_warnings():
            # of nodes that run elsewhere: the record counts them, under a name that lasts
            warnings.simplefilter("ignore", EdgeposeWarning)
            parity = measure(artifact, reference, options_for(asked, manifest.precision))
    except (InputError, EngineError) as error:
        # of this artifact alone, such as int8 on Vulkan: others may pass; its folder is gone when this is read
        raise EngineError(str(error).removeprefix(f"{artifact.root}: ")) from error
    parity = with_px_limit(parity, px_limit(manifest, parity.arithmetic))
    return (*judged, msgspec.structs.replace(parity, inputs=judged[0].inputs))
