"""Array types, the check of their shapes, and equality of values that hold arrays."""

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtimes.errors import InputError

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Floats = NDArray[np.floating]
I32 = NDArray[np.int32]
U8 = NDArray[np.uint8]
Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]


def check_shape(name: str, array: Any, shape: tuple[int | None, ...], dtype: type) -> None:
    """Raise InputError unless `array` is an array of this dtype and shape (None: any length)."""
    if type(array) is np.ndarray and array.shape == shape and array.dtype == dtype:
        return  # nearly always; the rest is thirty times as slow, and this runs a hundred times a frame
    wanted = ", ".join("*" if size is None else str(size) for size in shape)
    if not isinstance(array, np.ndarray):
        raise InputError(f"{name} must be {np.dtype(dtype)} ({wanted}), got {type(array).__name__}")
    fits = array.ndim == len(shape) and all(
        want is None or want == got for want, got in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype != dtype:
        raise InputError(
            f"{name} must be {np.dtype(dtype)} ({wanted}), got {array.dtype} {array.shape}"
        )


def check_number(name: str, number: object, kinds: tuple[type, ...]) -> None:
    """Raise InputError unless `number` is of one of these kinds."""
    if not isinstance(number, kinds):
        raise InputError(f"{name} must be {kinds[0].__name__}, not {number!r}")


def counted(count: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun, such as "1 frame" or "3 people"."""
    return f"{count} {one if count == 1 else many or one + 's'}"


class Value:
    """Base of dataclasses that hold arrays: `==` compares these element by element (NaN equals NaN)."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return False
        names = [each.name for each in fields(self)]  # type: ignore[arg-type]  # subclasses are dataclasses
        return all(_same(getattr(self, name), getattr(other, name)) for name in names)

    __hash__ = None  # type: ignore[assignment]  # arrays can change


def _same(one: Any, other: Any) -> bool:
    if not isinstance(one, np.ndarray):
        return bool(one == other)
    return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=True)
