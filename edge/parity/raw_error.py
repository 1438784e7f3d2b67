"""Raw error: max|a - b| / max(1, max|ref|) of each sample, of which the worst counts.

Each sample is divided by its own largest output: by that of all samples, one bright picture would hide drift in others.
"""

import math
from collections.abc import Iterable

import numpy as np

from edge.parity.reference import Reference
from runtimes.base import Array, Outputs
from runtimes.errors import InputError


def raw_error(reference: Reference, outputs: Outputs) -> float:
    """Return the worst error of all outputs and samples; infinite where an output is not finite.

    Raises InputError where outputs are missing or differ in shape.
    """
    return max((_output_error(reference, name, outputs) for name in reference.outputs), default=0.0)


def tensor_error(expected: Iterable[Array], got: Iterable[Array]) -> float:
    """Return the worst error of the samples of an output, (S, ...) or a list; infinite where it is not finite."""
    return max((_sample_error(*pair) for pair in zip(expected, got, strict=True)), default=0.0)


def _output_error(reference: Reference, name: str, outputs: Outputs) -> float:
    if name not in outputs:
        raise InputError(f"output {name!r} is missing, got {sorted(outputs)}")
    expected, got = reference.outputs[name], outputs[name]
    if name not in reference.sample:
        if got.shape != expected.shape:
            raise InputError(
                f"output {name!r} has shape {got.shape}, the reference {expected.shape}"
            )
        return tensor_error(expected, got)
    indices = reference.sample[name]
    if len(got) != len(reference.images) or indices.max(initial=-1) >= got.size:
        raise InputError(
            f"output {name!r} has shape {got.shape}, which does not hold the reference's values"
        )
    # the kept indices are sorted, so each sample's values lie together
    ends = np.searchsorted(indices, np.arange(1, len(got)) * (got.size // len(got)))
    return tensor_error(np.split(expected, ends), np.split(got.reshape(-1)[indices], ends))


def _sample_error(expected: Array, got: Array) -> float:
    error = float(np.max(np.abs(np.asarray(got, np.float64) - expected), initial=0.0))
    scale = max(1.0, float(np.max(np.abs(expected), initial=0.0)))
    return error / scale if math.isfinite(error) else math.inf
