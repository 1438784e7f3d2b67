"""A device profile: how its device is recognised, its cores, and what suits it; read from profiles.json."""

import functools
from importlib import resources
from typing import Literal

import msgspec

from devices.parse.cores import CORES, Role
from runtimes.base import Arithmetic
from runtimes.record import Count, Positive, Record
from runtimes.spec import Runtime

Family = Literal["snapdragon", "intel", "amd", "jetson", "raspberry-pi", "generic"]
# The source key of unverified facts.
UNVERIFIED = "K"


class Cpuid(Record, frozen=True, kw_only=True):
    """An x86 CPU: vendor, families, models (none listed: any), and flags that it must and must not have."""

    vendor: str
    families: tuple[int, ...]
    models: tuple[int, ...] = ()
    flags: tuple[str, ...] = ()
    without_flags: tuple[str, ...] = ()


class Match(Record, frozen=True, kw_only=True):
    """What a device of the profile says of itself; any one of them is enough (see `devices.profiles.match`).

    compatible: entries of its device tree. modules: NVIDIA's numbers within such an entry. model, brand: regular
    expressions of the device tree's model and of x86's model name. soc_ids: Qualcomm's. android_models,
    android_platforms: ro.soc.model without its suffix, ro.board.platform. cores: MIDR -> count, alternatives.
    """

    compatible: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    model: str = ""
    soc_ids: tuple[int, ...] = ()
    android_models: tuple[str, ...] = ()
    android_platforms: tuple[str, ...] = ()
    cores: tuple[dict[str, int], ...] = ()
    cpuid: Cpuid | None = None
    brand: str = ""
    arch: tuple[str, ...] = ()


class ProfileCluster(Record, frozen=True, kw_only=True):
    """Cores of one kind: `core` is a name in `devices.parse.cores.CORES`."""

    core: str
    count: Count
    max_ghz: Positive
    role: Role


class RuntimeChoice(Record, frozen=True, kw_only=True):
    """A runtime with what it computes on; `backend` is cpu, or the name of an accelerator or provider."""

    runtime: Runtime
    backend: str
    source: tuple[str, ...]


class PrecisionChoice(Record, frozen=True, kw_only=True):
    """Arithmetic to try with a runtime, best first; all but f32 only where verify passes on the device."""

    runtime: Runtime
    arithmetic: tuple[Arithmetic, ...]
    note: str
    source: tuple[str, ...]


class Threads(Record, frozen=True, kw_only=True):
    """Threads for one person: the count to begin with (None: from the cores found) and counts worth measuring."""

    best: int | None = None
    candidates: tuple[int, ...]
    note: str = ""


class Latency(Record, frozen=True, kw_only=True):
    """Published times of models on this device, in milliseconds of one call."""

    runtime: Runtime
    precision: str
    model_ms: dict[str, Positive]


class Npu(Record, frozen=True, kw_only=True):
    """The neural processor, and the published time of RTMPose-body2d in float on it."""

    name: str
    rtmpose_body2d_float_ms: Positive | None = None


class Gpu(Record, frozen=True, kw_only=True):
    """The GPU and its peak in GFLOPS."""

    name: str
    fp32_gflops: Positive | None = None
    fp16_gflops: Positive | None = None


class Note(Record, frozen=True, kw_only=True):
    """A remark on the device, with its source."""

    text: str
    source: tuple[str, ...]


class Profile(Record, frozen=True, kw_only=True):
    """Facts of one device or family of devices.

    isa: flags of `devices.parse.cpuinfo.ISA` it is known to have. precision: a key of `ProfileFile.precision`.
    python: what the vendor's system brings. sources: keys of `ProfileFile.sources` for each field, and for each of
    `match`'s fields.
    """

    id: str
    name: str
    family: Family
    match: Match
    clusters: tuple[ProfileCluster, ...]
    isa: tuple[str, ...]
    runtimes: tuple[RuntimeChoice, ...]
    precision: str
    threads: Threads
    sources: dict[str, tuple[str, ...]]
    memory_gb_per_s: Positive | None = None
    npu: Npu | None = None
    gpu: Gpu | None = None
    python: dict[str, str] | None = None
    latency: Latency | None = None
    notes: tuple[Note, ...] = ()


class ProfileFile(Record, frozen=True, kw_only=True):
    """profiles.json: profiles, more specific ones first; precision by kind of CPU; what the source keys stand for."""

    format: int
    sources: dict[str, str]
    precision: dict[str, tuple[PrecisionChoice, ...]]
    profiles: tuple[Profile, ...]


@functools.cache
def load_profiles() -> ProfileFile:
    """Return the profiles of this package."""
    data = resources.files("devices.profiles").joinpath("profiles.json").read_bytes()
    return msgspec.json.decode(data, type=ProfileFile)


def peak_gflops(profile: Profile, precision: Literal["fp32", "fp16", "int8"]) -> float | None:
    """Return the peak of the big and prime cores, in 10^9 operations a second; None where a core's is unknown."""
    peak = 0.0
    for cluster in profile.clusters:
        a_cycle: int | None = getattr(CORES[cluster.core], precision)
        if cluster.role != "little":
            if a_cycle is None:
                return None
            peak += cluster.count * cluster.max_ghz * a_cycle
    return peak or None


def unverified(keys: tuple[str, ...]) -> bool:
    """Return whether a fact has no source that was read."""
    return UNVERIFIED in keys
