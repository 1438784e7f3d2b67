"""Import of converted models: files copied into an artifact, run once, and published with their own outputs.

There is no PyTorch model to compare with, so `passed` stays None: `verify` then tells whether another machine gets what
this one got.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from edge.parity.reference import Reference, make_reference, save_reference
from edge.parity.verify import run_batches
from export.engine_files import engine_files
from export.import_spec import ImportSpec, check_spec, codec_tag, output_axes
from export.inputs import drawn_inputs
from runtimes.artifact import REFERENCE, Artifact
from runtimes.base import RunOptions
from runtimes.errors import ArtifactError, EngineError, InputError
from runtimes.files import publish, refuse_existing, seal
from runtimes.naming import Target, artifact_name
from runtimes.parity_spec import RawParity
from runtimes.registry import engine_version, installed_engine, open_session
from runtimes.spec import Manifest, model_spec
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
    inputs = drawn_inputs(spec)
    with staging(out) as staged:
        for path in paths:
            shutil.copyfile(path, staged / path.name)
        manifest = _manifest(spec)
        try:
            reference = _run(seal(staged, manifest), inputs.images)
        except (ArtifactError, EngineError) as error:
            # the directory that the adapter names will be gone when the message is read
            text = str(error).replace(str(staged), str(paths[0].resolve().parent))
            raise type(error)(text) from error
        save_reference(staged / REFERENCE, reference)
        parity = RawParity(
            reference="none",
            passed=None,
            samples=len(inputs.images),
            inputs=inputs.label,
        )
        sealed = seal(staged, msgspec.structs.replace(manifest, parity=(parity,)))
        return Imported(publish(sealed, target, force=force), parity)


def _run(artifact: Artifact, images: np.ndarray) -> Reference:
    """Run the artifact and decode its outputs; raises EngineError where its manifest does not describe them."""
    manifest = artifact.manifest
    session = open_session(artifact, RunOptions())
    try:
        outputs = run_batches(session, manifest.inputs[0].name, images)
    finally:
        session.close()
    for tensor, axes in zip(manifest.outputs, output_axes(manifest), strict=True):
        got = outputs[tensor.name].shape
        if len(got) != axes:
            raise EngineError(
                f"output {tensor.name} has shape {got}, codec {codec_tag(manifest.codec)} reads {axes} "
                "axes; correct the spec"
            )
    label = f"itself, when imported with {installed_engine(manifest.runtime)}"
    reference = make_reference(images, outputs, model_spec(manifest), label)
    names = manifest.keypoints.names if manifest.keypoints else ()
    given = {poses.xy.shape[1] for poses in reference.poses} - {len(names)}
    if given:
        raise EngineError(
            f"the file gives {given.pop()} keypoints, the spec names {len(names)}; correct the spec"
        )
    return reference


def _manifest(spec: ImportSpec) -> Manifest:
    fields = {name: getattr(spec, name) for name in ImportSpec.__struct_fields__}
    engine = (installed_engine(spec.runtime) or spec.runtime).replace("_", "-")
    return Manifest(**fields, tools={engine: engine_version(spec.runtime) or "unknown"})
