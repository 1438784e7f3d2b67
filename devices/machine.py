"""Facts of a machine, as `devices.detect` finds them and as RUN.json keeps them."""

from runtimes.record import Record


class Machine(Record, frozen=True, kw_only=True):
    """The machine this process runs on, as far as this process may use it.

    arch: as the kernel says (x86_64, aarch64, armv7l). cpu_model: a board's or CPU's name, core types of ARM boards
    included; "" where unknown. isa: those that decide speed and arithmetic, ordered as in `devices.parse.cpuinfo.ISA`.
    logical_cores: of the machine; allowed_cores: after affinity and cgroup quota. memory_bytes: after the cgroup's
    limit; None where unknown. profile: the id of a profile in profiles.json, "" in records of earlier releases.
    """

    arch: str
    cpu_model: str
    isa: tuple[str, ...]
    logical_cores: int
    allowed_cores: int
    memory_bytes: int | None
    profile: str = ""
