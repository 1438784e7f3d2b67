"""Files that a benchmark sends to a board: programs, and a folder for each artifact, as one tar stream."""

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import msgspec
import numpy as np

from edge.parity.reference import load_reference
from runtimes.adapters.image_input import image_input
from runtimes.artifact import REFERENCE, Artifact
from runtimes.record import Record

RUNNER = Path(__file__).with_name("runner.py")


class Job(Record, frozen=True, kw_only=True):
    """job.json of a folder: what the runner needs of the manifest.

    files: by suffix, bare names. input, outputs: the engine's names. shape, dtype: of inputs.bin, all inputs one after
    the other as the engine takes them; ncnn's are pixels, uint8 BGR (N, H, W, 3).
    """

    runtime: str
    files: dict[str, str]
    input: str
    outputs: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    wh: tuple[int, int]
    order: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


def write_parcel(
    stream: IO[bytes], artifacts: Sequence[Artifact], programs: Sequence[Path] = (RUNNER,)
) -> None:
    """Write the tar: the programs, and the folders 0, 1 ... of the artifacts in their order."""
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.USTAR_FORMAT) as archive:
        for path in programs:
            program = path.read_bytes()
            archive.addfile(_member(path.name, len(program)), io.BytesIO(program))
        for number, artifact in enumerate(artifacts):
            _add(archive, str(number), artifact)


def _add(archive: tarfile.TarFile, folder: str, artifact: Artifact) -> None:
    names = [record.path for record in artifact.manifest.files if record.path != REFERENCE]
    for name in names:
        path = artifact.root / name
        with path.open("rb") as file:
            archive.addfile(_member(f"{folder}/{name}", path.stat().st_size), file)
    inputs = engine_inputs(artifact)
    for name, data in (
        ("job.json", msgspec.json.encode(job_of(artifact, inputs))),
        ("inputs.bin", inputs.tobytes()),
    ):
        archive.addfile(_member(f"{folder}/{name}", len(data)), io.BytesIO(data))


def engine_inputs(artifact: Artifact) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    """Return the stored inputs as the runner feeds them, (N, ...), preprocessed where the graph does not do that."""
    images = load_reference(artifact.root / REFERENCE).images
    manifest = artifact.manifest
    if manifest.runtime == "ncnn":
        return images
    return np.ascontiguousarray(image_input(manifest.image, manifest.inputs[0])(images))


def job_of(artifact: Artifact, inputs: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Job:
    """Return what the runner needs to know of an artifact."""
    manifest = artifact.manifest
    image = manifest.image
    return Job(
        runtime=manifest.runtime,
        files={Path(each.path).suffix: each.path for each in manifest.files},
        input=manifest.inputs[0].engine_name or manifest.inputs[0].name,
        outputs=tuple(each.engine_name or each.name for each in manifest.outputs),
        shape=inputs.shape,
        dtype=inputs.dtype.name,
        wh=image.wh,
        order=image.order,
        mean=image.mean,
        std=image.std,
    )


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    member.mode = 0o600
    return member
