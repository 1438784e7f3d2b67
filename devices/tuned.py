"""tuned.json: the options that `edgepose tune` chose for an artifact on this device.

It is in the artifact's directory beside the engine's files, or in the user's cache where that is not writable. The
manifest does not list it, since it depends on the machine; the artifact does not change.
"""

from dataclasses import replace
from pathlib import Path

import msgspec

from devices.detect import detect_machine
from devices.machine import Machine
from runtimes.artifact import MANIFEST, Artifact, sha256_of
from runtimes.base import Accelerator, Arithmetic, RunOptions
from runtimes.cache.names import locate
from runtimes.errors import InputError
from runtimes.files import atomic_file, cache_dir
from runtimes.parity_spec import Parity, without_foreign_nulls
from runtimes.record import Record, decode_record
from runtimes.registry import engine_version

FORMAT = 1
TUNED = "tuned.json"


class DeviceKey(Record, frozen=True, kw_only=True):
    """The device that tuned options are for: CPU, cores, and engine."""

    arch: str
    cpu_model: str
    cores: int
    engine: str


class TunedPeople(Record, frozen=True, kw_only=True):
    """Several people of a frame: as one batch against parallel requests.

    requests: the faster of both, 1 for the batch. people: images a call. batch_ms, requests_ms: p50 of a call;
    tried: the most requests that were measured, whose figures requests_ms and ratio are. ratio: median over rounds of
    requests_ms / batch_ms.
    """

    requests: int
    people: int
    tried: int
    batch_ms: float
    requests_ms: float
    ratio: float


class Tuned(Record, frozen=True, kw_only=True):
    """The chosen options for one artifact on one device.

    artifact_sha256: of artifact.json, which holds the hashes of all files. p50_ms: of the choice; plain_p50_ms: of
    one thread in f32, from the same run. valid: see `edge.bench.record.is_valid`. parity: the comparison with the
    reference here; None where the choice computes as the gate did. people: None for a model of whole frames.
    """

    artifact_sha256: str
    device: DeviceKey
    threads: int
    precision: Arithmetic
    accelerator: Accelerator
    p50_ms: float
    plain_p50_ms: float | None
    valid: bool | None
    date: str
    parity: Parity | None = None
    people: TunedPeople | None = None

    @property
    def options(self) -> RunOptions:
        """The options for `open_session`."""
        return RunOptions(
            threads=self.threads,
            precision=self.precision,
            accelerator=self.accelerator,
            requests=self.people.requests if self.people else None,
        )


class TunedFile(Record, frozen=True, kw_only=True):
    """tuned.json: one entry a device, since a directory may be copied or shared."""

    entries: tuple[Tuned, ...]
    format: int = FORMAT


def device_key(artifact: Artifact, machine: Machine | None = None) -> DeviceKey:
    """Return the key of `artifact`'s tuned options on this device (`machine`: None detects it)."""
    here = machine or detect_machine()
    runtime = artifact.manifest.runtime
    engine = f"{runtime} {engine_version(runtime) or 'unknown'}"
    return DeviceKey(
        arch=here.arch, cpu_model=here.cpu_model, cores=here.allowed_cores, engine=engine
    )


def artifact_sha256(artifact: Artifact) -> str:
    """Return the hash of a whole artifact: that of artifact.json, which lists the hashes of its files."""
    return sha256_of(artifact.root / MANIFEST)


def load_tuned(artifact: Artifact | str | Path) -> RunOptions | None:
    """Return the options tuned for this artifact on this device with this engine; None where there are none.

    `edge.load` uses them where it is asked to (`tuned=True`).
    Raises ArtifactError where there is no artifact, InputError for a tuned.json that cannot be read.
    """
    opened = artifact if isinstance(artifact, Artifact) else Artifact.open(locate(artifact))
    key, digest = device_key(opened), artifact_sha256(opened)
    for path in _places(opened):
        for entry in _read(path).entries:
            if entry.device == key and entry.artifact_sha256 == digest:
                return entry.options
    return None


def tuned_options(artifact: Artifact, asked: RunOptions, precision: str = "f32") -> RunOptions:
    """Return the options tuned for this artifact on this device, with the `extra` ones of `asked`.

    precision: as the user gave it, where that may be "auto". Raises InputError where nothing is tuned, and where any
    other option is asked for as well.
    """
    found = load_tuned(artifact)
    if found is None:
        raise InputError(
            f"{artifact.name} has no tuned options for this machine and engine; "
            f"run `edgepose tune {artifact.root}` first"
        )
    if replace(asked, extra={}) != RunOptions() or precision == "auto":
        raise InputError(
            "tuned options bring threads, precision, accelerator and requests; leave those out, or leave out tuned"
        )
    return replace(found, extra=asked.extra)


def save_tuned(artifact: Artifact, tuned: Tuned) -> Path:
    """Save `tuned` in place of an entry of the same device, and return the path.

    Raises InputError where neither the artifact's directory nor the cache can be written.
    """
    beside, cached = _places(artifact)
    try:
        return _write(beside, tuned)
    except OSError:
        pass  # a read-only image or another user's directory: use the cache
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        return _write(cached, tuned)
    except OSError as error:
        raise InputError(
            f"neither {beside.parent} nor {cached.parent} can be written ({error.strerror}); "
            "set EDGEPOSE_CACHE to a writable folder"
        ) from error


def _write(path: Path, tuned: Tuned) -> Path:
    kept = [
        entry
        for entry in _read(path).entries
        if entry.device != tuned.device and entry.artifact_sha256 == tuned.artifact_sha256
    ]
    text = msgspec.json.format(msgspec.json.encode(TunedFile(entries=(*kept, tuned))), indent=1)
    with atomic_file(path) as stream:
        stream.write(text + b"\n")
    return path


def _places(artifact: Artifact) -> tuple[Path, Path]:
    """Return the places of tuned options, best first: beside the engine's files, in the cache."""
    # by the artifact's hash, so that its copies on a machine share the entry
    return artifact.root / TUNED, cache_dir() / "tuned" / f"{artifact_sha256(artifact)[:16]}.json"


def _read(path: Path) -> TunedFile:
    """Read tuned.json; a missing file has no entries."""
    try:
        data = path.read_bytes()
    except OSError:  # missing or not readable
        return TunedFile(entries=())
    return decode_record(
        path,
        data,
        TunedFile,
        FORMAT,
        "tuned options",
        "delete it and run `edgepose tune` again",
        upgrade=without_foreign_nulls,
    )
