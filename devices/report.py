"""Report of a device in one record: identity with its evidence, cores, threads, runtimes and precision."""

import platform
from dataclasses import dataclass
from pathlib import Path

from devices.detect import memory_bytes
from devices.identity import read_texts
from devices.parse.cpuinfo import cpu_model, isa_flags
from devices.profiles.match import Evidence, identify
from devices.profiles.profile import PrecisionChoice, Profile, load_profiles
from devices.topology import Cluster, best_threads, read_topology, thread_candidates
from runtimes.base import Arithmetic
from runtimes.registry import engine_version
from runtimes.spec import Runtime

# Arithmetic that a CPU has no instructions for is not tried.
_NEEDS: dict[Arithmetic, frozenset[str]] = {
    "f32": frozenset(),
    "f16": frozenset({"asimdhp", "avx512_fp16"}),
    "bf16": frozenset(),
}


@dataclass(frozen=True, slots=True)
class RankedRuntime:
    """A runtime worth trying, and on what (`backend`: cpu, or the name of an accelerator or provider).

    arithmetic: best first, without what this CPU cannot compute; all but f32 only where `verify` passes on the device.
    source: of the order, precision_source: of arithmetic and note, keys of `sources`. engine: version installed here.
    """

    runtime: Runtime
    backend: str
    source: tuple[str, ...]
    arithmetic: tuple[Arithmetic, ...]
    note: str
    precision_source: tuple[str, ...]
    engine: str | None


@dataclass(frozen=True, slots=True)
class DeviceReport:
    """A device: what its files say, and what its profile says.

    evidence: why it has this profile; None where it is generic, by architecture alone. clusters_by: the file that
    distinguishes big from little cores. threads: the count to begin with; thread_candidates: counts worth measuring.
    sources: what the keys stand for, of those in use.
    """

    arch: str
    cpu_model: str
    board: str
    isa: tuple[str, ...]
    memory_bytes: int | None
    profile: Profile
    evidence: Evidence | None
    clusters: tuple[Cluster, ...]
    clusters_by: str
    usable_cores: int
    threads: int
    thread_candidates: tuple[int, ...]
    runtimes: tuple[RankedRuntime, ...]
    sources: dict[str, str]


def device_report(root: Path = Path("/")) -> DeviceReport:
    """Return the report of this machine, or of the device whose /proc and /sys are below `root`. Raises nothing."""
    texts = read_texts(root)
    identity = identify(texts, platform.machine())
    topology = read_topology(root)
    isa = isa_flags(texts.cpuinfo)
    profile = identity.profile
    runtimes = ranked_runtimes(profile, isa)
    used = {key for keys in profile.sources.values() for key in keys}
    used |= {key for note in profile.notes for key in note.source}
    used |= {key for each in runtimes for key in (*each.source, *each.precision_source)}
    return DeviceReport(
        arch=identity.arch,
        cpu_model=cpu_model(texts.cpuinfo, texts.model),
        board=texts.model,
        isa=isa,
        memory_bytes=memory_bytes(root),
        profile=profile,
        evidence=identity.evidence,
        clusters=topology.clusters,
        clusters_by=topology.by,
        usable_cores=topology.usable,
        threads=best_threads(topology, profile.threads),
        thread_candidates=thread_candidates(topology, profile.threads),
        runtimes=runtimes,
        sources={key: text for key, text in load_profiles().sources.items() if key in used},
    )


def ranked_runtimes(profile: Profile, isa: tuple[str, ...]) -> tuple[RankedRuntime, ...]:
    """Return the profile's runtimes, best first, with the arithmetic that a CPU with `isa` has."""
    precision = {each.runtime: each for each in load_profiles().precision[profile.precision]}
    found = []
    for choice in profile.runtimes:
        known = precision.get(choice.runtime) or PrecisionChoice(
            runtime=choice.runtime, arithmetic=("f32",), note="", source=()
        )
        on_cpu = choice.backend == "cpu"
        found.append(
            RankedRuntime(
                runtime=choice.runtime,
                backend=choice.backend,
                source=choice.source,
                arithmetic=tuple(
                    each for each in known.arithmetic if not on_cpu or _computes(each, isa)
                ),
                note=known.note if on_cpu else "",
                precision_source=known.source if on_cpu else (),
                engine=engine_version(choice.runtime),
            )
        )
    return tuple(found)


def _computes(arithmetic: Arithmetic, isa: tuple[str, ...]) -> bool:
    needed = _NEEDS[arithmetic]
    return not needed or not needed.isdisjoint(isa)
