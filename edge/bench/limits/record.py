"""limits.json: peak arithmetic and memory bandwidth of machines, as `edgepose doctor --measure` found them."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from devices.machine import Machine
from runtimes.errors import InputError
from runtimes.files import atomic_file, cache_dir
from runtimes.record import Count, NotNegative, Record, Size, decode_record

FORMAT = 1
LIMITS = "limits.json"
REMEDY = "delete it and run `edgepose doctor --measure` again"
WRITABLE = "set EDGEPOSE_CACHE to a writable folder"

# "int8": products of 8-bit integers; others as `Arithmetic`
Kind = Literal["f32", "bf16", "f16", "int8"]
# a second: floors divide by it; no machine that runs Python is slower, none with a CPU is faster
Speed = Annotated[float, Meta(ge=1e6, le=1e18)]


class Rate(Record, frozen=True, kw_only=True):
    """The most multiply-accumulates a second that something here reached; `by` says what, cpu_wall how undisturbed."""

    kind: Kind
    threads: Count
    macs_per_s: Speed
    by: str
    cpu_wall: NotNegative


class Bandwidth(Record, frozen=True, kw_only=True):
    """The most bytes a second at which `set_bytes` of memory were read again and again."""

    set_bytes: Size
    threads: Count
    bytes_per_s: Speed
    cpu_wall: NotNegative


class MachineKey(Record, frozen=True, kw_only=True):
    """The machine that limits are of."""

    arch: str
    cpu_model: str
    cores: Count


class Limits(Record, frozen=True, kw_only=True):
    """Limits of one machine; date: UTC, ISO 8601."""

    machine: MachineKey
    date: str
    rates: tuple[Rate, ...]
    bandwidths: tuple[Bandwidth, ...]


class LimitsFile(Record, frozen=True, kw_only=True):
    """limits.json: one entry a machine, since a home directory may be shared, and boards are measured over SSH."""

    entries: tuple[Limits, ...] = ()
    format: int = FORMAT


def machine_key(machine: Machine, host: str = "") -> MachineKey:
    """Return what limits are kept by: CPU (of an ARM board with the board's name), and the cores that may be used.

    host: of a board, in place of a CPU that has no name, so that no other machine without one takes its limits.
    """
    model = machine.cpu_model or host
    return MachineKey(arch=machine.arch, cpu_model=model, cores=machine.allowed_cores)


def limits_path() -> Path:
    """Return the path of limits.json, in the user's cache."""
    return cache_dir() / LIMITS


def load_limits(machine: Machine, host: str = "") -> Limits | None:
    """Return the limits of a machine; None where they were not measured. Raises InputError for a damaged file.

    host: of a board, see `machine_key`.
    """
    key = machine_key(machine, host)
    try:
        data = limits_path().read_bytes()
    except OSError:  # missing, or another user's: rows have no floor then
        return None
    return next((each for each in _decode(data) if each.machine == key), None)


def kept_limits() -> tuple[Limits, ...]:
    """Return the entries of all machines; raises InputError for a file that is damaged or cannot be read."""
    path = limits_path()
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {REMEDY}") from error
    return _decode(data)


def save_limits(limits: Limits) -> Path:
    """Save `limits` in place of an entry of the same machine.

    Raises InputError where the cache cannot be written, and as `kept_limits`: entries of others are never lost.
    """
    path = limits_path()
    kept = [each for each in kept_limits() if each.machine != limits.machine]
    text = msgspec.json.format(msgspec.json.encode(LimitsFile(entries=(*kept, limits))), indent=1)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as stream:
            stream.write(text + b"\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); {WRITABLE}") from error
    return path


def _decode(data: bytes) -> tuple[Limits, ...]:
    found = decode_record(limits_path(), data, LimitsFile, FORMAT, "limits of machines", REMEDY)
    return found.entries
