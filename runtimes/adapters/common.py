"""Steps that adapters share: option checks, manifest against engine file, running a batch, engine exceptions."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtimes.adapters.image_input import ImageInput
from runtimes.adapters.outputs import join_batches, name_outputs
from runtimes.artifact import Artifact
from runtimes.base import Array, Feeds, Outputs, RunOptions, check_image_feed
from runtimes.errors import ArtifactError, EngineError, InputError
from runtimes.spec import Manifest, TensorSpec

REASON_CHARS = 300
MISMATCH = "manifest and file do not belong together: export or import it again"


def refuse_unknown_extra(options: RunOptions, known: tuple[str, ...], runtime: str) -> None:
    """Raise InputError where `options.extra` holds a key that this runtime does not know.

    A known one that ends in a dot stands for all that begin so: `provider.` for options that the provider knows.
    """
    groups = tuple(key for key in known if key.endswith("."))
    unknown = sorted(
        key
        for key in options.extra
        if key in groups or not (key in known or key.startswith(groups))
    )
    if unknown:
        listed = ", ".join(f"{key}NAME" if key in groups else key for key in known)
        valid = f"valid ones: {listed}" if known else "it takes none"
        raise InputError(f"{runtime} has no option {', '.join(unknown)}; {valid}")


def extra_int(options: RunOptions, key: str, default: int, lowest: int, highest: int) -> int:
    """Return the integer option `key`; raises InputError for anything but an integer from `lowest` to `highest`."""
    value = options.extra.get(key, default)
    if not isinstance(value, int) or not lowest <= value <= highest:
        raise InputError(
            f"option {key} is a whole number from {lowest} to {highest}, not {value!r}"
        )
    return value


def extra_flag(options: RunOptions, key: str, *, default: bool) -> bool:
    """Return the option `key`, 1 or 0; raises InputError for any other value."""
    value = options.extra.get(key, int(default))
    if not isinstance(value, int) or value not in {0, 1}:
        raise InputError(f"option {key} is 0 or 1, not {value!r}")
    return bool(value)


def extra_group(options: RunOptions, group: str) -> dict[str, str]:
    """Return the options whose names begin with `group` and a dot, without that, as texts."""
    start = f"{group}."
    return {
        key.removeprefix(start): str(value)
        for key, value in options.extra.items()
        if key.startswith(start)
    }


def image_tensor(artifact: Artifact) -> TensorSpec:
    """Return the one input of an artifact; raises ArtifactError for any other number of inputs."""
    inputs = artifact.manifest.inputs
    if len(inputs) != 1:
        raise ArtifactError(
            f"{artifact.root}: {len(inputs)} inputs, but only networks with one image input run here;"
            " export it with one"
        )
    return inputs[0]


def image_batch(feeds: Feeds, manifest: Manifest) -> NDArray[np.uint8]:
    """Return the fed image batch, uint8 BGR (B, H, W, 3), C-contiguous, B at least 1; raises InputError."""
    name = manifest.inputs[0].name
    batch = check_image_feed(feeds, name, manifest.image.wh)
    if len(batch) == 0:
        raise InputError(f"feed {name!r} is an empty batch; feed at least one image")
    return batch


def run_batch(
    artifact: Artifact,
    batch: NDArray[np.uint8],
    convert: ImageInput,
    infer: Callable[[Array], list[Array]],
    *,
    batched: bool,
) -> Outputs:
    """Return the outputs of a batch as `runtimes.base.Session.run` promises them.

    convert: uint8 images to the engine's input tensor; infer: that tensor to raw outputs in the manifest's order.
    batched: infer is called once for the whole batch, otherwise once an image.
    """
    tensor = convert(batch)
    pieces = [tensor] if batched else np.split(tensor, len(tensor))
    outputs = artifact.manifest.outputs
    parts = [name_outputs(artifact.root, outputs, infer(piece)) for piece in pieces]
    return join_batches(artifact.root, outputs, parts)


def engine_name(tensor: TensorSpec) -> str:
    """Return the engine's name of this tensor; an empty `engine_name` means that both names are the same."""
    return tensor.engine_name or tensor.name


def require_names(root: Path, tensors: tuple[TensorSpec, ...], found: Mapping[str, object]) -> None:
    """Raise EngineError where the engine's file lacks a tensor that the manifest names."""
    missing = [engine_name(tensor) for tensor in tensors if engine_name(tensor) not in found]
    if missing:
        raise EngineError(
            f"{root}: the engine's file has no tensor {', '.join(missing)} (it has {', '.join(found)});"
            f" {MISMATCH}"
        )


def require_tensors(
    artifact: Artifact, input_dtypes: Mapping[str, str], output_dtypes: Mapping[str, str]
) -> None:
    """Raise EngineError where the engine's file lacks a tensor of the manifest, or has it with another dtype.

    {engine's name: numpy's name of the dtype} of the tensors in the file. A tensor of another dtype would be read as
    noise.
    """
    root, manifest = artifact.root, artifact.manifest
    for tensors, dtypes in ((manifest.inputs, input_dtypes), (manifest.outputs, output_dtypes)):
        require_names(root, tensors, dtypes)
        for tensor in tensors:
            name = engine_name(tensor)
            if dtypes[name] != tensor.dtype:
                raise EngineError(
                    f"{root}: tensor {name} is {dtypes[name]} in the engine's file, {tensor.dtype} in the manifest;"
                    f" {MISMATCH}"
                )


def takes_batches(root: Path, tensor: TensorSpec, size: int | None) -> bool:
    """Return whether a whole batch may be run at once; `size` is the engine file's batch, None for a dynamic one.

    A 1 in the manifest's shape overrules a dynamic axis: detectors with NMS in the graph may declare one and fail on 2.
    Raises EngineError for a file fixed at another size than 1.
    """
    if size not in {None, 1}:
        raise EngineError(
            f"{root}: its batch is fixed at {size}; export it with a dynamic batch, or a batch of 1"
        )
    return size is None and tensor.shape[:1] != (1,)


@contextmanager
def translated(
    root: Path, step: str, fix: str, engine_errors: tuple[type[BaseException], ...]
) -> Iterator[None]:
    """Turn an engine's exceptions into EngineError, with the artifact, the step, the engine's reason and the fix."""
    try:
        yield
    except engine_errors as error:
        # engines put source locations first and the reason last
        reason = " ".join(str(error).split())[-REASON_CHARS:] or type(error).__name__
        raise EngineError(f"{root}: {step} ({reason}); {fix}") from error


def closed(root: Path) -> EngineError:
    """Return the error for running a closed session."""
    return EngineError(f"{root}: this session is closed; open the artifact again")
