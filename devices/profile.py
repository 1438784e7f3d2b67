"""Facts of a machine, as `devices.detect` finds them and as RUN.json keeps them."""

from runtimes.record import Record


class Machine(Record, frozen=True, kw_only=True):
    """The machine this process runs on, as far as this process may use it.

    arch: as the kernel says (x86_64, aarch64, armv7l). cpu_model: a board's or CPU's name, core types of ARM boards
    included; "" where unknown. isa: extensions that decide speed and arithmetic, in the order of `devices.detect.ISA`.
    logical_cores: of the machine; allowed_cores: after affinity and cgroup quota. memory_bytes: after the cgroup's
    limit; None where unknown.
    """

    arch: str
    cpu_model: str
    isa: tuple[str, ...]
    logical_cores: int
    allowed_cores: int
    memory_bytes: int | None
