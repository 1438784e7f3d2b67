"""Silenced converters: what they print, some of it from C++, is discarded."""

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Discard stdout, stderr (file descriptors and Python streams), warnings and log records.

    Exceptions pass through unchanged; the caller translates them.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(1), os.dup(2)]
    level = logging.root.manager.disable
    with (
        Path(os.devnull).open("w") as null,
        warnings.catch_warnings(),
        contextlib.redirect_stdout(null),
        contextlib.redirect_stderr(null),
    ):
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        for descriptor in (1, 2):
            os.dup2(null.fileno(), descriptor)
        try:
            yield
        finally:
            for descriptor, copy in enumerate(saved, start=1):
                os.dup2(copy, descriptor)
                os.close(copy)
            logging.disable(level)
