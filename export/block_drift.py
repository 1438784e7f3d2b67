"""Drift block by block: the model converted again with every block's result as an extra output.

The results are compared with PyTorch's in execution order, so the first over its limit is where the drift starts.
"""

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edge.catalog.lookup import CATALOG
from edge.parity.compare import RAW_LIMITS
from edge.parity.raw_error import tensor_error
from edge.parity.reference import load_reference
from edge.parity.verify import run_batches
from export.converter import ConversionSource, load_converter
from export.fold import fold_batchnorm
from export.load import load_weights
from export.torch_session import TorchSession
from runtimes.artifact import REFERENCE, Artifact
from runtimes.base import Session
from runtimes.errors import InputError
from runtimes.files import seal
from runtimes.registry import open_session
from runtimes.spec import (
    Lineage,
    Manifest,
    ModelSpec,
    TensorSpec,
)
from runtimes.staging import scratch

MAX_DEPTH = 3  # backbone.stage1.1: a CSP layer, not each of its convolutions
IMAGES = 2


@dataclass(frozen=True, slots=True)
class BlockError:
    """One block: its name in the PyTorch model, its raw error as the gate defines it, and the limit."""

    name: str
    raw_error: float
    limit: float


@dataclass(frozen=True, slots=True)
class Tap:
    """A result to compare: the output of the block `name` at its `call`-th call, from 0."""

    name: str
    call: int

    def __str__(self) -> str:
        return f"{self.name} (call {self.call + 1})" if self.call else self.name


class Tapped(nn.Module):
    """A module that returns its outputs, then the results named by `taps`."""

    def __init__(self, module: nn.Module, taps: list[Tap]) -> None:
        super().__init__()
        self.module = module
        self.taps = taps
        self._results: dict[str, list[torch.Tensor]] = {tap.name: [] for tap in taps}
        for name in self._results:
            # a bound method, so that the hooks of a deep copy fill the copy's own lists
            module.get_submodule(name).register_forward_hook(partial(self._keep, name))

    def _keep(self, name: str, module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        self._results[name].append(output)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Run on float32 NCHW."""
        for results in self._results.values():
            results.clear()
        outputs = self.module(image)
        return (*outputs, *(self._results[tap.name][tap.call] for tap in self.taps))


def first_drift(errors: list[BlockError]) -> BlockError | None:
    """Return the first block over its limit, in execution order."""
    return next((row for row in errors if not row.raw_error <= row.limit), None)


def measure_block_drift(
    artifact: Artifact,
    weights: str,
    heads: int | None = None,
    size: str = "",
    task: str | None = None,
) -> list[BlockError]:
    """Convert again with every block as an output and compare each; raises InputError for other weights.

    weights, heads, size, task: as they were given to `load_weights`.
    """
    manifest = artifact.manifest
    limit = RAW_LIMITS.get(manifest.precision)
    if limit is None:
        raise InputError(
            f"--layers compares converted floats; {artifact.name} is {manifest.precision}"
        )
    # outside the catalogue, tensors alone say which model it is
    named = manifest.model in CATALOG
    wh = manifest.image.wh
    loaded = (
        load_weights(manifest.model, weights, wh, task=task, heads=heads, size=size)
        if named
        else load_weights(weights, None, wh, task=task, heads=heads, size=size)
    )
    if _origin(loaded.lineage) != _origin(manifest.lineage):
        raise InputError(
            f"{artifact.name} was not made from {weights} (sha256 differs); give its own weights"
        )
    images = load_reference(artifact.root / REFERENCE).images[:IMAGES]
    module = fold_batchnorm(loaded.module)
    taps, spec = tapped_spec(module, loaded.spec)
    tapped = Tapped(module, taps).eval()
    with scratch("layers") as folder:
        session = _convert_and_open(ConversionSource(tapped, spec, folder), manifest)
        try:
            return compare_blocks(session, tapped, spec, images, limit)
        finally:
            session.close()


def compare_blocks(
    session: Session, tapped: Tapped, spec: ModelSpec, images: NDArray[np.uint8], limit: float
) -> list[BlockError]:
    """Compare what `session` and PyTorch give for every output of `spec`, in the order in which they are computed."""
    expected = run_batches(TorchSession(tapped, spec), "image", images)
    got = run_batches(session, "image", images)
    names = [out.name for out in spec.outputs]
    # the model's own outputs come first in the spec, and are computed last
    own = len(names) - len(tapped.taps)
    labels = [*map(str, tapped.taps), *names[:own]]
    return [
        BlockError(label, tensor_error(expected[name], got[name]), limit)
        for label, name in zip(labels, [*names[own:], *names[:own]], strict=True)
    ]


def tapped_spec(module: nn.Module, spec: ModelSpec) -> tuple[list[Tap], ModelSpec]:
    """Return the blocks' results that can be tapped, in execution order, and the spec with them as outputs."""
    width, height = spec.image.wh
    ran: list[tuple[str, torch.Tensor]] = []
    hooks = [
        block.register_forward_hook(_note_in(ran, name))
        for name, block in module.named_modules()
        if name and name.count(".") < MAX_DEPTH
    ]
    with torch.no_grad():
        outputs = module(torch.zeros(1, 3, height, width))
    for hook in hooks:
        hook.remove()
    seen = {id(tensor) for tensor in outputs}
    calls: Counter[str] = Counter()
    taps: list[Tap] = []
    tensors: list[TensorSpec] = []
    for name, result in ran:
        if id(result) not in seen:  # a container's result is its last child's
            seen.add(id(result))
            tensors.append(TensorSpec(name=f"block_{len(taps)}", shape=(-1, *result.shape[1:])))
            taps.append(Tap(name, calls[name]))
        calls[name] += 1
    return taps, msgspec.structs.replace(spec, outputs=(*spec.outputs, *tensors))


def _note_in(ran: list[tuple[str, torch.Tensor]], name: str) -> Any:
    def note(block: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, torch.Tensor):
            ran.append((name, output))

    return note


def _origin(lineage: Lineage) -> tuple[str, str]:
    return lineage.weights, lineage.checkpoint_sha256


def _convert_and_open(source: ConversionSource, manifest: Manifest) -> Session:
    directory = source.scratch / "artifact"
    directory.mkdir()
    converted = load_converter(manifest.runtime).convert(source, manifest.precision, directory)
    tapped = msgspec.structs.replace(
        manifest,
        inputs=converted.inputs,
        outputs=converted.outputs,
        image=converted.image,
        parity=(),
    )
    return open_session(seal(directory, tapped))
