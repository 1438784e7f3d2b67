"""What is known of a machine. Values only: `devices.detect` finds them out."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine this process runs on, as far as this process may use it.

    arch: as the kernel says (x86_64, aarch64, armv7l). cpu_model: a board's or CPU's name, core types of ARM boards
    included; "" where nothing says. isa: what decides speed and arithmetic, in the order of `devices.detect.ISA`.
    logical_cores: of the machine; allowed_cores: after affinity and cgroup quota. memory_bytes: after the cgroup's
    limit; None where nothing says.
    """

    arch: str
    cpu_model: str
    isa: tuple[str, ...]
    logical_cores: int
    allowed_cores: int
    memory_bytes: int | None
