"""Import of converted models: files copied into an artifact, run once (`first_run`), published with their own outputs.

There is no PyTorch model to compare with, so `passed` stays None: `verify` then tells whether another machine gets what
this one got.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import msgspec

from export.engine_files import engine_files
from export.first_run import first_run
from export.import_spec import ImportSpec, check_spec
from runtimes.artifact import Artifact
from runtimes.errors import ArtifactError, EngineError, InputError
from runtimes.files import publish, refuse_existing, seal
from runtimes.naming import Target, artifact_name
from runtimes.parity_spec import RawParity
from runtimes.registry import engine_version, installed_engine
from runtimes.spec import Manifest
from runtimes.staging import staging


@dataclass(frozen=True, slots=True)
class Imported:
    """An imported artifact and its parity record, which has no verdict."""

    artifact: Artifact
    parity: RawParity

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(record.bytes for record in self.artifact.manifest.files)


def import_model(
    files: list[Path], spec: ImportSpec, out: Path, *, force: bool = False
) -> Imported:
    """Copy the engine files into an artifact, run it on drawn inputs, and publish it.

    Raises InputError for a spec that contradicts itself and for files that do not belong to spec.runtime, EngineError
    where the engine refuses them or their outputs are not what the spec's codec decodes.
    """
    check_spec(spec)
    runtime, paths = engine_files(files)
    if runtime != spec.runtime:
        raise InputError(f"the files are {runtime}, the spec says {spec.runtime}")
    target = out / artifact_name(spec, Target(runtime, spec.precision))
    refuse_existing(target, force=force)
    with staging(out) as staged:
        for path in paths:
            shutil.copyfile(path, staged / path.name)
        manifest = _manifest(spec)
        try:
            ran = first_run(seal(staged, manifest))
        except (ArtifactError, EngineError) as error:
            # the directory that the adapter names will be gone when the message is read
            text = str(error).replace(str(staged.resolve()), str(paths[0].resolve().parent))
            raise type(error)(text) from error
        parity = RawParity(
            reference="none",
            passed=None,
            samples=ran.samples,
            inputs=ran.inputs,
        )
        sealed = seal(staged, msgspec.structs.replace(manifest, parity=(parity,)))
        return Imported(publish(sealed, target, force=force), parity)


def _manifest(spec: ImportSpec) -> Manifest:
    fields = {name: getattr(spec, name) for name in ImportSpec.__struct_fields__}
    engine = (installed_engine(spec.runtime) or spec.runtime).replace("_", "-")
    return Manifest(**fields, tools={engine: engine_version(spec.runtime) or "unknown"})
