"""The model that a command names: weights with the progress and the hash of a download, or an artifact."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge.cli.checks import require_torch
from edge.cli.console import say, transfer
from edge.model import Model, load
from runtimes.base import RunOptions
from runtimes.cache.names import find
from runtimes.errors import InputError

if TYPE_CHECKING:
    from export import LoadedModel


def load_weights(
    model: str,
    weights: str | None,
    wh: tuple[int, int] | None = None,
    *,
    task: str | None = None,
    heads: int | None = None,
    keypoints: str | None = None,
    size: str = "",
) -> "LoadedModel":
    """Load MODEL with its --weights, as `export.load_weights` does; show a download, its hash and its licence.

    keypoints: a SCHEMA.json, or the name of a known set. What was assumed about the file is said.
    """
    from edge.catalog.keypoint_file import find_keypoints
    from export import load_weights as load_checkpoint

    own = find_keypoints(keypoints) if keypoints else None
    with transfer(model) as progress:
        loaded = load_checkpoint(
            model,
            weights,
            wh=wh,
            task=task,
            heads=heads,
            keypoints=own,
            size=size,
            progress=progress,
        )
    for note in loaded.notes:
        say(f"{weights or model}: {note}")
    if weights and (weights == "download" or "://" in weights):
        lineage = loaded.lineage
        terms = ", ".join(lineage.licences) or "unknown: its publisher is not in the catalogue"
        say(f"{lineage.checkpoint}: sha256 {lineage.checkpoint_sha256}")
        say(f"licence {terms}{'; no commercial use' if lineage.commercial_use is False else ''}")
    return loaded


@dataclass(frozen=True, slots=True)
class Described:
    """A checkpoint's weights, and what the user says of it, which an artifact knows itself."""

    weights: str | None = None
    task: str | None = None
    keypoints: str | None = None
    heads: int | None = None
    size: str = ""


def open_model(model: str, described: Described, options: RunOptions, *, tuned: bool) -> Model:
    """Open an artifact by its directory or name, or load a checkpoint in PyTorch; close it afterwards.

    Raises InputError for a description of an artifact, which has its own, and for `tuned` with a checkpoint.
    """
    artifact = find(model) if described.weights is None else Path(model)
    if artifact and artifact.is_dir():
        if described != Described():
            raise InputError(
                "--weights, --task, --keypoints, --heads and --size describe a checkpoint; an artifact has its own"
            )
        return load_artifact(artifact, options, tuned=tuned)
    if tuned:
        raise InputError(f"--tuned is for artifacts; {model} runs in PyTorch")
    require_torch()
    from export.torch_session import TorchSession

    loaded = load_weights(model, **asdict(described))
    return Model(loaded.spec, TorchSession(loaded.module, loaded.spec, options.threads))


def load_artifact(artifact: Path, options: RunOptions, *, tuned: bool) -> Model:
    """Open an artifact with the command's options."""
    return load(
        artifact,
        threads=options.threads,
        precision=options.precision,
        accelerator=options.accelerator,
        tuned=tuned,
    )
