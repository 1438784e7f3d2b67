"""Safe reading of torch files: torch's weights-only unpickler, with inert stand-ins for a fixed list of classes.

Published checkpoints carry training state beside the weights: numpy arrays in dataset descriptions, mmengine's log
buffers, argparse namespaces; torch refuses such files. So each listed name is replaced by a class that ignores its
arguments (or, for numpy's, keeps them as bytes), and any other name is refused. Neither numpy's nor mmengine's
unpickling code runs, and nothing is imported because a file names it.
"""

import pickle
import re
import struct
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch

from export.limits import MAPPED_FROM
from runtimes.errors import CheckpointError


class Inert:
    """A placeholder for an object that is not needed; its state is dropped."""

    def __new__(cls, *_: Any) -> "Inert":
        """Accept any constructor arguments."""
        return super().__new__(cls)

    def __init__(self, *_: Any) -> None:
        """Keep none of them."""

    def __setstate__(self, _: Any) -> None:
        """Drop the pickled state."""


class ArrayRecord(Inert):
    """The pickled parts of a numpy array, scalar or dtype, for `export.dataset_meta` to read; nothing of it runs."""

    parts: tuple[Any, ...] = ()

    def __new__(cls, *parts: Any) -> "ArrayRecord":
        """Keep the constructor's arguments."""
        made = object.__new__(cls)
        made.parts = parts
        return made

    def __setstate__(self, state: Any) -> None:
        """Keep the pickled state after the arguments."""
        self.parts = (*self.parts, state)


ARRAY_NAMES = (
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.ndarray",
    "numpy.dtype",
)
# Dicts in which PyTorch Lightning stores `hyper_parameters`; torch fills no class of ours with items.
DICT_NAMES = (
    "lightning.fabric.utilities.data.AttributeDict",
    "lightning.pytorch.utilities.parsing.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "pytorch_lightning.utilities.parsing.AttributeDict",
)
INERT_NAMES = (
    "mmengine.logging.history_buffer.HistoryBuffer",
    "mmengine.config.config.ConfigDict",
    "builtins.getattr",  # HistoryBuffer pickles its own methods by it
    "argparse.Namespace",
    "pathlib.PosixPath",
    "pathlib.WindowsPath",
)
# Raised by torch.load on damaged, unrelated or hostile files; it has no error type of its own.
FAILURES = (
    pickle.UnpicklingError,
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    EOFError,
    OSError,
    ArithmeticError,
    MemoryError,
    struct.error,
)
# torch's wording for a refused name; text that is no dotted name comes from a damaged file.
REFUSED_NAME = re.compile(r"GLOBAL ([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*) (?:was|whose)", re.ASCII)
RESAVE = (
    "save the weights alone with torch.save(model.state_dict(), FILE) where the model was trained"
)


def read_torch_file(path: Path, *, mapped_from: int = MAPPED_FROM) -> Any:
    """Return the content of a .pth or .pt file, on the CPU; zip and legacy serialisation.

    A zip file of `mapped_from` bytes or more is memory-mapped, copy-on-write.
    Raises CheckpointError, one line, for every failure.
    """
    allowed: list[Any] = [(Inert, name) for name in INERT_NAMES]
    allowed += [(ArrayRecord, name) for name in ARRAY_NAMES]
    allowed += [(OrderedDict, name) for name in DICT_NAMES]
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(allowed):
            warnings.simplefilter(
                "ignore"
            )  # about protocols and storages, for users of torch itself
            mapped = path.stat().st_size >= mapped_from and zipfile.is_zipfile(path)
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except PermissionError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    except FAILURES as error:
        raise CheckpointError(f"{path}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    text = str(error)
    if named := REFUSED_NAME.search(text):
        return f"names foreign code ({named[1]}), which is not run; {RESAVE}"
    if "TorchScript" in text:
        return f"is a TorchScript archive, not weights; {RESAVE}"
    if isinstance(error, pickle.UnpicklingError) and "can only" in text.lower():
        return f"holds objects other than weights; {RESAVE}"
    return "is damaged, cut short, or no PyTorch checkpoint; download or copy it again"
