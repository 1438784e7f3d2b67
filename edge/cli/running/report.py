"""Figures of several sources: totals, and what became of each."""

from collections.abc import Sequence

from edge.cli.running.setup import Setup, SourceReport
from edge.media.paths import without_login
from edge.media.source import Losses
from runtimes.errors import SourceError

_SHOWN = 5


def report_sources(setup: Setup, reports: Sequence[SourceReport]) -> None:
    """Print the figures of all sources, and raise SourceError, naming them, where some have failed."""
    known = [each.losses for each in reports if each.losses]
    losses = Losses(
        unread=sum(each.unread for each in known),
        dropped=sum(each.dropped for each in known),
        missing=sum(each.missing for each in known),
        reconnects=sum(each.reconnects for each in known),
    )
    rows = [
        {
            "source": without_login(each.source.source),
            "name": each.source.name,
            "status": each.status,
            "frames": each.frames,
            "poses": each.poses,
            "error": each.error or None,
        }
        for each in reports
    ]
    setup.emit(setup.total, losses, setup.pipeline, rows)
    failed = [each.source.name for each in reports if each.status == "failed"]
    if failed:
        more = f" and {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else ""
        raise SourceError(
            f"{len(failed)} of {len(reports)} sources failed: {', '.join(failed[:_SHOWN])}{more}; "
            "their lines above say why"
        )
