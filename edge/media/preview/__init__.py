"""Web preview of a running pipeline: annotated pictures, people, stage times, health and metrics over HTTP."""

from edge.media.preview.address import DEFAULT_HOST, Address, parse_address
from edge.media.preview.preview import Preview

__all__ = ["DEFAULT_HOST", "Address", "Preview", "parse_address"]
