"""The preview's server: a thread of its own that shows what the pipeline's thread hands over."""

import asyncio
import importlib.util
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from edge.media.preview.access import Guard, choose_token, given_token
from edge.media.preview.address import Address, listen, parse_address
from edge.media.preview.connections import close_silent, messages_once
from edge.media.preview.hub import Hub
from edge.media.preview.pictures import Look, Pictures, be_nice
from edge.media.preview.results import PoseResult
from edge.media.source import Losses
from runtimes.errors import InputError, MissingDependencyError

MOST_VIEWERS = 64
_GRACE_S, _WATCHED_S, _CUT_S = 1.5, 3.0, 0.3


class Preview:
    """Web server that shows the newest result of a running pipeline, a context manager.

        with edge.Preview(8080) as preview:
            for result in pipeline.stream(0):
                preview.write(result)

    address: a port of this machine alone, or "HOST:PORT"; port 0 takes a free one, see `url`. Other machines reach
    HOST 0.0.0.0, and need the token: `token`, else the variable EDGEPOSE_TOKEN, else a random one (`generated`) in
    `url`. models: names to show. threshold: of keypoints that are drawn; note: below every picture. stale_s: seconds
    without a frame after which /healthz fails. Viewers never slow `write` down: each gets the newest frame when it
    asks.

    Raises InputError for a port in use, MissingDependencyError without the extra `serve`.
    """

    def __init__(
        self,
        address: int | str | Address = 8080,
        *,
        token: str | None = None,
        models: Sequence[str] = (),
        threshold: float = 0.3,
        note: str = "",
        stale_s: float = 10.0,
    ) -> None:
        require_server()
        wanted = address if isinstance(address, Address) else parse_address(str(address))
        self.token = choose_token(wanted, token)
        self._socket = listen(wanted)
        self.address = replace(wanted, port=int(self._socket.getsockname()[1]))
        self.generated = self.token is not None and not given_token(token)
        self._hub = Hub(models, stale_s)
        self._look = Look(threshold, note)
        self._stop: Callable[[], None] | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def url(self) -> str:
        """Address for a browser, with the token where one is needed."""
        return f"{self.address.url}?token={self.token}" if self.token else self.address.url

    def show_as(self, models: Sequence[str], threshold: float, note: str = "") -> None:
        """Name the models, and set what is drawn, for those known after the start only."""
        self._hub.models = tuple(models)
        self._look = Look(threshold, note)

    def start(self) -> "Preview":
        """Serve, in a thread of its own."""
        ready = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(ready)), name="edgepose-preview", daemon=True
        )
        self._thread.start()
        while not ready.wait(0.1):
            if not self._thread.is_alive():
                self.close()
                raise InputError("the preview's server did not start; the lines above say why")
        return self

    def write(
        self, result: PoseResult, *, source: str | None = None, losses: Losses | None = None
    ) -> None:
        """Show a result, an `edge.Result`. source: its name, else the result's; losses: of its source, to be shown."""
        name = str(result.source) if source is None else source
        self._hub.write(name, result, losses)

    def end(self, source: str) -> None:
        """Show that a source has ended."""
        self._hub.end(source)

    def close(self) -> None:
        """Show viewers that the pipeline has ended, and stop the server; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._hub.end()
        if self._thread is not None:
            try:
                self._wait_for_viewers()
            finally:  # a second Ctrl-C waits for no viewer
                if self._stop:
                    self._hub.call(self._stop)
                self._thread.join()
        self._socket.close()

    def __enter__(self) -> "Preview":
        return self if self._thread else self.start()

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _wait_for_viewers(self) -> None:
        """Give streams the time to end, and open pages that to ask once more."""
        began_s = time.monotonic()
        watched = began_s - self._hub.last_page_s < _WATCHED_S
        while time.monotonic() - began_s < _GRACE_S:
            told = not watched or self._hub.last_page_s > began_s
            if told and not self._hub.streams:
                return
            time.sleep(0.02)

    async def _serve(self, ready: threading.Event) -> None:
        from uvicorn import Config, Server

        from edge.media.preview.app import make_app

        be_nice()
        self._hub.attach()
        with messages_once(), Pictures(lambda: self._look) as pictures:
            guard = Guard(make_app(self._hub, pictures), self.address, self.token)
            config = Config(
                guard,
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=MOST_VIEWERS,
            )
            server = Server(config)
            stop = asyncio.Event()
            self._stop = stop.set
            ready.set()
            serving = asyncio.create_task(server.serve(sockets=[self._socket]))
            stopping = asyncio.create_task(stop.wait())
            sweeping = asyncio.create_task(close_silent(server.server_state.connections))
            await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
            server.should_exit = True
            await asyncio.wait([serving], timeout=_CUT_S)
            for connection in list(server.server_state.connections):
                # of viewers that read nothing, for which the server would wait
                connection.transport.abort()
            await serving
            stopping.cancel()
            sweeping.cancel()


def require_server() -> None:
    """Raise MissingDependencyError where the packages of the extra `serve` are not installed."""
    for package in ("uvicorn", "starlette"):
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(package, "serve")
