"""Weights that a command was told to take: loaded, and where they are downloaded, shown and told by their hash."""

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
) -> "LoadedModel":
    """Load MODEL with its --weights, as `export.load_weights` does; a download shows a bar and says what came."""
    from export import load_weights

    with transfer(model) as progress:
        loaded = load_weights(model, weights, wh=wh, task=task, progress=progress)
    if weights and (weights == "download" or "://" in weights):
        came = loaded.lineage
        terms = ", ".join(came.licences) or "unknown: its publisher is not in the catalogue"
        say(f"{came.checkpoint}: sha256 {came.checkpoint_sha256}")
        say(f"licence {terms}{'; no commercial use' if came.commercial_use is False else ''}")
    return loaded
