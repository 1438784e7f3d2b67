"""The interface of every runtime: options, `Session`, and the check of an image feed. Knows no engine and no poses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from runtimes.errors import InputError
from runtimes.placement import Placement
from runtimes.threads import MAX_THREADS

Array = NDArray[Any]
Feeds = Mapping[str, Array]
Outputs = dict[str, Array]
Arithmetic = Literal["f32", "f16", "bf16"]
# what a caller may ask for: "auto" is answered for each artifact and machine (edge/parity/auto.py)
ArithmeticChoice = Literal["f32", "f16", "bf16", "auto"]
Accelerator = Literal["cpu", "gpu", "npu"]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options of a session; they are set explicitly on the engine, never inferred from the file.

    threads: 1 to 256; None means min(4, cores this process may use). ncnn then takes fewer, call by call, where that is
    faster or other processes use the cores; where OMP_NUM_THREADS or another variable of OpenMP is set, that rules.
    precision: arithmetic, not storage; where the engine or the CPU lacks it, f32 or the engine's choice, as
    `Session.effective` reports.
    extra: an engine's own options by name, such as {"max_batch": 4} for OpenVINO.
    requests: images of a batch that run at the same time, on `threads` / `requests` threads each; 1: the whole batch at
    once, on all threads (image by image where the engine takes no batch); None: the engine's default, which is 1, and
    `threads` for ncnn.
    Raises InputError for any other value of these, `extra` aside: an unknown one would be ignored in silence.
    """

    threads: int | None = None
    precision: Arithmetic = "f32"
    accelerator: Accelerator = "cpu"
    extra: Mapping[str, int | float | str] = field(default_factory=dict)
    requests: int | None = None

    def __post_init__(self) -> None:
        for name, count in (("threads", self.threads), ("requests", self.requests)):
            if count is not None and not _is_thread_count(count):
                raise InputError(
                    f"{name} must be a whole number from 1 to {MAX_THREADS}, or None, not {count!r}"
                )
        for name, value, known in (
            ("precision", self.precision, get_args(Arithmetic)),
            ("accelerator", self.accelerator, get_args(Accelerator)),
        ):
            if value not in known:
                raise InputError(f"{name} is one of {', '.join(known)}, not {value!r}")


def _is_thread_count(value: Any) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole and 1 <= value <= MAX_THREADS


@dataclass(frozen=True, slots=True)
class Effective:
    """Threads, arithmetic, accelerator and engine in use, read back from the engine where it reports them.

    threads: the most that a call uses. engine: its name and version, and the backend that it chose. placement: nodes by
    the backend that executes them; None where only the CPU's own kernels were asked for, or the engine does not tell.
    """

    threads: int
    precision: Arithmetic
    accelerator: Accelerator
    engine: str = ""
    placement: Placement | None = None


@runtime_checkable
class Session(Protocol):
    """One loaded artifact; `runtimes.open_session` returns one that several threads may call."""

    @property
    def effective(self) -> Effective:
        """Threads, arithmetic and accelerator in use."""
        ...

    def run(self, feeds: Feeds) -> Outputs:
        """Run a batch of any size B.

        feeds: {input name: uint8 BGR (B, H, W, 3), C-contiguous}. Returns {output name: (B, ...)} under the
        manifest's names, float32 (labels int64), owned by the caller. Raises InputError for a wrong feed and
        EngineError where the engine fails.
        """
        ...

    def close(self) -> None:
        """Free the engine's memory; running afterwards raises EngineError."""
        ...


@runtime_checkable
class TimesEngine(Protocol):
    """A session that counts its engine's own time: from a ready input tensor to raw outputs."""

    @property
    def engine_ns(self) -> int | None:
        """Nanoseconds of all calls of one image so far; None where they are not counted."""
        ...


def check_image_feed(feeds: Feeds, name: str, wh: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the one image batch in `feeds`, C-contiguous; raises InputError for other names, dtypes or shapes.

    Engines ignore strides: a strided view would be read as garbage (ncnn) or refused late.
    """
    if set(feeds) != {name}:
        raise InputError(f"run takes the feed {name!r}, got {sorted(feeds)}")
    image = feeds[name]
    width, height = wh
    if image.dtype != np.uint8 or image.ndim != 4 or image.shape[1:] != (height, width, 3):
        raise InputError(
            f"feed {name!r} must be uint8 BGR (B, {height}, {width}, 3), got {image.dtype} {image.shape}"
        )
    return np.ascontiguousarray(image)
