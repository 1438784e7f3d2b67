"""Safetensors files, read by the format's own package; damage and hostile headers become one CheckpointError."""

from pathlib import Path

import torch

from export.limits import MAPPED_FROM
from runtimes.errors import CheckpointError, MissingDependencyError

# What torch raises where a header passes the package's checks and still describes no tensor, such as a huge empty one.
TORCH_ERRORS = (TypeError, ValueError, RuntimeError, OverflowError)


def read_safetensors(
    path: Path, *, mapped_from: int = MAPPED_FROM
) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Return the tensors (CPU, as stored) and the file's string metadata.

    From `mapped_from` bytes on, tensors are the file's own pages (copied where written to); below, copies of them.
    Raises CheckpointError for a file whose header and length do not agree, MissingDependencyError without the package.
    """
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise MissingDependencyError("safetensors", "export") from error
    try:
        mapped = path.stat().st_size >= mapped_from
        with safe_open(path, framework="pt") as opened:
            names = opened.keys()
            tensors = {name: _detached(opened.get_tensor(name), mapped=mapped) for name in names}
            return tensors, opened.metadata() or {}
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read ({error.strerror or error}); check the path"
        ) from error
    except (SafetensorError, *TORCH_ERRORS) as error:
        known = isinstance(error, SafetensorError)
        reason = str(error) if known else "it describes a tensor that torch cannot hold"
        raise CheckpointError(
            f"{path}: not a sound safetensors file ({reason}); copy it again"
        ) from error


def _detached(tensor: torch.Tensor, *, mapped: bool) -> torch.Tensor:
    """Return the tensor itself where it may stay a view of the mapped file, else a copy.

    Writers pad the header to 8 bytes, but nothing obliges them to; a tensor that is not aligned is always copied.
    """
    aligned = tensor.data_ptr() % tensor.element_size() == 0
    return tensor if mapped and aligned else tensor.clone()
