"""Checks of options that are numbers; each error names the option."""

import numpy as np

from runtimes.errors import InputError

MOST_SCALE = 100  # of the box around a person's keypoints


def check_count(name: str, value: int) -> None:
    """Raise InputError unless the value is a whole number of at least 1."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < 1:
        raise InputError(f"{name} must be a whole number of at least 1, not {value!r}")


def check_scale(name: str, value: float) -> None:
    """Raise InputError unless the value is a number above 0, at most 100."""
    if not _is_number(value) or not 0 < value <= MOST_SCALE:
        raise InputError(f"{name} must be a number above 0, at most {MOST_SCALE}, not {value!r}")


def check_threshold(name: str, value: float) -> None:
    """Raise InputError unless the value is a number from 0 to 1."""
    if not _is_number(value) or not 0 <= value <= 1:  # NaN is not either
        raise InputError(f"{name} must be a number from 0 to 1, not {value!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
