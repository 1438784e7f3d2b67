"""What every adapter does the same way: refuse unknown knobs, take the feed, translate engine exceptions."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtimes.artifact import Artifact
from runtimes.base import Feeds, RunOptions, check_image_feed
from runtimes.errors import ArtifactError, EngineError, InputError
from runtimes.spec import Manifest, TensorSpec

REASON_CHARS = 300


def refuse_unknown_extra(options: RunOptions, known: tuple[str, ...], runtime: str) -> None:
    """Raise InputError where `options.extra` holds a key that this runtime does not know."""
    unknown = sorted(set(options.extra) - set(known))
    if unknown:
        knobs = f"it knows {', '.join(known)}" if known else "it takes none"
        raise InputError(f"{runtime} has no option {', '.join(unknown)}; {knobs}")


def extra_int(options: RunOptions, key: str, default: int, lowest: int = 0) -> int:
    """Return a whole-number knob, or raise InputError where it is none or below `lowest`."""
    value = options.extra.get(key, default)
    if not isinstance(value, int) or value < lowest:
        raise InputError(f"option {key} must be a whole number from {lowest}, not {value!r}")
    return value


def image_tensor(artifact: Artifact) -> TensorSpec:
    """Return the one input of an artifact; images are all that crosses this seam."""
    inputs = artifact.manifest.inputs
    if len(inputs) != 1:
        raise ArtifactError(
            f"{artifact.root}: {len(inputs)} inputs; one image input is what runs here, export it with one"
        )
    return inputs[0]


def image_batch(feeds: Feeds, manifest: Manifest) -> NDArray[np.uint8]:
    """Return the fed image batch, uint8 BGR (B, H, W, 3), C-contiguous, B at least 1; raises InputError."""
    name = manifest.inputs[0].name
    batch = check_image_feed(feeds, name, manifest.image.wh)
    if len(batch) == 0:
        raise InputError(f"feed {name!r} is an empty batch; run wants at least one image")
    return batch


def engine_name(tensor: TensorSpec) -> str:
    """Return what the engine calls this tensor; an empty engine_name means that the names are the same."""
    return tensor.engine_name or tensor.name


def require_names(root: Path, tensors: tuple[TensorSpec, ...], there: Mapping[str, object]) -> None:
    """Raise EngineError where the engine's file lacks a tensor that the manifest names."""
    missing = [engine_name(tensor) for tensor in tensors if engine_name(tensor) not in there]
    if missing:
        raise EngineError(
            f"{root}: the engine's file has no tensor {', '.join(missing)} (it has {', '.join(there)});"
            " manifest and file do not belong together: export or import it again"
        )


def require_dtype(root: Path, tensor: TensorSpec, dtype: str) -> None:
    """Raise EngineError where the engine's tensor is not of the manifest's dtype: it would be read as noise."""
    if dtype != tensor.dtype:
        raise EngineError(
            f"{root}: tensor {engine_name(tensor)} is {dtype} in the engine's file, {tensor.dtype} in the manifest;"
            " manifest and file do not belong together: export or import it again"
        )


def takes_batches(root: Path, tensor: TensorSpec, size: int | None) -> bool:
    """Return whether a whole batch may go in at once; `size` is the batch in the engine's file, None where it is free.

    A 1 in the manifest's shape overrules a free axis: detectors with NMS in the graph declare one, and then fail on 2.
    Raises EngineError for a file fixed at another size than 1.
    """
    if size not in {None, 1}:
        raise EngineError(f"{root}: its batch is fixed at {size}; export it free, or fixed at 1")
    return size is None and tensor.shape[:1] != (1,)


@contextmanager
def translated(
    root: Path, step: str, fix: str, engine_errors: tuple[type[BaseException], ...]
) -> Iterator[None]:
    """Turn an engine's exceptions into EngineError: which artifact, which step, why, the fix."""
    try:
        yield
    except engine_errors as error:
        # engines put source locations first and what is wrong last
        reason = " ".join(str(error).split())[-REASON_CHARS:] or type(error).__name__
        raise EngineError(f"{root}: {step} ({reason}); {fix}") from error


def closed(root: Path) -> EngineError:
    """Return the error for a session that was closed."""
    return EngineError(f"{root}: this session is closed; open the artifact again")
