"""A benchmark tool of an engine: what it is asked for, and what it prints."""

from collections.abc import Callable
from dataclasses import dataclass

from runtimes.base import Arithmetic

# f16 arithmetic of ARM cores, in /proc/cpuinfo
F16 = "asimdhp"


@dataclass(frozen=True, slots=True)
class Ask:
    """One run of a tool: `runs` timed inferences of a model file; little: the little cores may take part.

    half: compute in f16. memory: report the peak, which takes a thread of the tool's.
    """

    model: str
    wh: tuple[int, int]
    threads: int
    runs: int
    little: bool = False
    half: bool = False
    memory: bool = False


@dataclass(frozen=True, slots=True)
class Printed:
    """Figures as a tool printed them; None for those that it does not give.

    warmup_runs, warmup_ms: of the tool's own warm-up. threads: read back.
    """

    runs: int
    mean_ms: float
    min_ms: float
    p50_ms: float | None = None
    load_ms: float | None = None
    first_ms: float | None = None
    peak_bytes: int | None = None
    warmup_runs: int | None = None
    warmup_ms: float | None = None
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """suffix: of the artifact's file that it reads. note: what its figures are not.

    command: arguments after the tool's own name. parse: the figures of what it printed; raises EngineError where they
    are not there. arithmetic: in effect, for the one asked for and the CPU's instruction sets.
    """

    name: str
    suffix: str
    note: str
    command: Callable[[Ask], list[str]]
    parse: Callable[[str, Ask], Printed]
    arithmetic: Callable[[Arithmetic, tuple[str, ...]], Arithmetic]
