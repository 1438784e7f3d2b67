"""The web preview of `edgepose run --serve`."""

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from edge.cli.console import say
from edge.cli.options import together
from runtimes.errors import InputError

if TYPE_CHECKING:
    from edge.media.preview import Preview
    from edge.media.source import Losses
    from edge.pipeline import Result


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """Address and token of the web preview, None where not asked for."""

    serve: str | None
    serve_token: str | None


serve_options = together(
    click.option(
        "--serve",
        metavar="[HOST:]PORT",
        help="Web preview at http://127.0.0.1:PORT; with HOST 0.0.0.0 for other machines too, by a token.",
    ),
    click.option(
        "--serve-token",
        help="Token that viewers need. Default: the variable EDGEPOSE_TOKEN; for other machines a random one.",
    ),
)


@dataclass(frozen=True, slots=True)
class SourcePreview:
    """One source in the preview: its name there, and its losses."""

    preview: "Preview"
    source: str
    losses: "Losses"

    def write(self, result: "Result") -> None:
        """Show a result."""
        self.preview.write(result, source=self.source, losses=self.losses)

    def end(self) -> None:
        """Show that the source has ended."""
        self.preview.end(self.source)


def open_preview(asked: ServeOptions, stack: ExitStack) -> "Preview | None":
    """Serve the preview until the stack is left, and print its address; None without --serve.

    Raises InputError for a port in use, and MissingDependencyError without a server: before any model is loaded.
    """
    if asked.serve is None:
        if asked.serve_token is not None:
            raise InputError("--serve-token is of the web preview; add --serve PORT")
        return None
    from edge.media.preview import Preview

    preview = stack.enter_context(Preview(asked.serve, token=asked.serve_token))
    say(f"preview: {preview.url if preview.generated else preview.address.url}")
    return preview


def preview_of(preview: "Preview | None", source: str, losses: "Losses") -> "SourcePreview | None":
    """Return a source's place in the preview, None without one."""
    return SourcePreview(preview, source, losses) if preview else None
