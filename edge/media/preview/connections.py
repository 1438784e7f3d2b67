"""Connections of the preview's server: those that ask for nothing are closed, and each of its messages is said once."""

import asyncio
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from runtimes.errors import warn

SILENT_S = 10.0
_LOGGER = "uvicorn.error"


class Cycle(Protocol):
    """A request and its response, as uvicorn has them."""

    response_complete: bool


class Connection(Protocol):
    """A connection, as uvicorn has it; cycle: its last request, None before the first."""

    cycle: Cycle | None
    transport: asyncio.Transport


async def close_silent(connections: Iterable[Connection], silent_s: float = SILENT_S) -> None:
    """Close connections without a request for `silent_s` to twice that, until cancelled.

    Each counts as a viewer: a port scan, or a machine that went away, would keep viewers out for ever.
    """
    waited: dict[Connection, Cycle | None] = {}
    while True:
        await asyncio.sleep(silent_s)
        waiting = {
            each: each.cycle
            for each in list(connections)
            if each.cycle is None or each.cycle.response_complete
        }
        for each, cycle in waiting.items():
            if each in waited and waited[each] is cycle:
                each.transport.abort()
        waited = waiting


@contextmanager
def messages_once() -> Iterator[None]:
    """Turn the server's log into warnings, which are shown once each, where the program has no place for it.

    Refused connections would fill the log of a board otherwise.
    """
    logger = logging.getLogger(_LOGGER)
    if logger.hasHandlers():
        yield
        return
    handler = _Warnings()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _Warnings(logging.Handler):
    """Warnings instead of log records; exceptions are logged with their traceback."""

    def emit(self, record: logging.LogRecord) -> None:
        """Show one record."""
        if record.exc_info and logging.lastResort:
            logging.lastResort.handle(record)
        elif record.levelno >= logging.WARNING:
            warn(f"preview: {record.getMessage()}")
