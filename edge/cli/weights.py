"""Loading of the weights that a command names, with the progress and the hash of a download."""

from typing import TYPE_CHECKING

from edge.cli.console import say, transfer

if TYPE_CHECKING:
    from export import LoadedModel


def load(
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
    from export import load_weights

    own = find_keypoints(keypoints) if keypoints else None
    with transfer(model) as progress:
        loaded = load_weights(
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
