"""Pages and endpoints of the preview, an ASGI application of starlette; imported once a preview is served."""

import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from edge.media.preview.access import App
from edge.media.preview.channel import Channel
from edge.media.preview.hub import Hub
from edge.media.preview.metrics import CONTENT_TYPE, metrics_text
from edge.media.preview.pictures import Pictures
from edge.media.sinks.json_lines import json_line
from runtimes.version import __version__

PAGE = Path(__file__).with_name("page.html")
BOUNDARY = "edgepose-frame"
_LONGEST_WAIT_S = 2.0


class Endpoints:
    """Handlers of requests, starlette's `Request` to its `Response`; `?source=NAME` chooses one of several sources."""

    def __init__(self, hub: Hub, pictures: Pictures) -> None:
        self._hub = hub
        self._pictures = pictures
        self._page = PAGE.read_text("utf-8")

    async def page(self, _request: Any) -> Any:
        """Return the page, which takes nothing from elsewhere."""
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; img-src 'self' blob: data:; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        text = self._page.replace("NONCE", nonce)
        headers = {"Content-Security-Policy": policy}
        return Response(text, media_type="text/html", headers=headers)

    async def frame(self, request: Any) -> Any:
        """Return the newest annotated frame as a JPEG, its number in X-Frame; 404 before the first.

        `?after=N` waits up to two seconds for a frame newer than number N; 204 where none comes.
        """
        channel = await self._channel(request)
        after = request.query_params.get("after", "")
        if channel and after.isdecimal() and len(after) < 16:
            known = int(after) if int(after) <= channel.number else 0  # of a run before this one
            if not await self._hub.wait(channel, known, _LONGEST_WAIT_S):
                return Response(status_code=204)
        number, picture = await self._pictures.newest(channel) if channel else (0, b"")
        if not picture:
            return self._nothing()
        return Response(picture, media_type="image/jpeg", headers={"X-Frame": str(number)})

    async def stream(self, request: Any) -> Any:
        """Return annotated frames as motion JPEG; a slow viewer gets fewer frames, always the newest."""
        channel = await self._channel(request)
        if not channel:
            return self._nothing()
        kind = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
        return StreamingResponse(self._parts(channel), media_type=kind)

    async def results(self, request: Any) -> Any:
        """Return results as JSON lines, as `--save-jsonl` writes them, or as server-sent events where accepted."""
        channel = await self._channel(request)
        if not channel:
            return self._nothing()
        events = "text/event-stream" in request.headers.get("accept", "")
        kind = "text/event-stream" if events else "application/x-ndjson"
        return StreamingResponse(self._lines(channel, events=events), media_type=kind)

    async def state(self, request: Any) -> Any:
        """Return the state of all sources as JSON; `?page` is a page that wants to see the end too."""
        hub = self._hub
        if "page" in request.query_params:
            hub.last_page_s = time.monotonic()
        healthy, health = hub.health()
        state = {
            "version": __version__,
            "models": hub.models,
            "ended": hub.ended,
            "healthy": healthy,
            "status": health["status"],
            "streams": hub.streams,
            "sources": [each.state() for each in hub.channels()],
        }
        return self._json(state, 200)

    async def health(self, _request: Any) -> Any:
        """Return 200 while frames arrive, 503 where a source has stalled or all have ended."""
        healthy, reason = self._hub.health()
        return self._json(reason, 200 if healthy else 503)

    async def metrics(self, _request: Any) -> Any:
        """Return metrics for Prometheus."""
        return Response(metrics_text(self._hub), headers={"Content-Type": CONTENT_TYPE})

    async def _channel(self, request: Any) -> Channel | None:
        name = request.query_params.get("source")
        if name is None:
            await self._hub.wait(None, 0, _LONGEST_WAIT_S)
        return self._hub.channel(name)

    async def _parts(self, channel: Channel) -> AsyncIterator[bytes]:
        last = 0
        with _Counted(self._hub):
            while await self._next(channel, last):
                number, picture = await self._pictures.newest(channel)
                if number > last:
                    last = number
                    head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                    yield head.encode() + picture + b"\r\n"
            yield f"--{BOUNDARY}--\r\n".encode()

    async def _lines(self, channel: Channel, *, events: bool) -> AsyncIterator[bytes]:
        last = 0
        with _Counted(self._hub):
            while await self._next(channel, last):
                last, result = channel.newest()
                if result is None:
                    continue
                line = json_line(channel.name, result.frame, result.poses, result.states)
                yield b"data: " + line + b"\n" if events else line
            if events:
                yield b"event: ended\ndata: {}\n\n"

    async def _next(self, channel: Channel, last: int) -> bool:
        """Wait for a frame newer than `last`; False at the end of the source."""
        while not await self._hub.wait(channel, last, _LONGEST_WAIT_S):
            if channel.ended or self._hub.ended:
                return False
        return True

    def _nothing(self) -> Any:
        return Response("no frame yet, or no such source\n", 404, media_type="text/plain")

    def _json(self, value: dict[str, Any], status: int) -> Any:
        return Response(msgspec.json.encode(value), status, media_type="application/json")


class _Counted:
    """Counts an open stream."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def __enter__(self) -> None:
        self._hub.streams += 1

    def __exit__(self, *_error: object) -> None:
        self._hub.streams -= 1


def make_app(hub: Hub, pictures: Pictures) -> App:
    """Return the application; GET and HEAD only, and no permission for other origins."""
    ends = Endpoints(hub, pictures)
    routes = {
        "/": ends.page,
        "/frame.jpg": ends.frame,
        "/stream.mjpg": ends.stream,
        "/api/state": ends.state,
        "/api/results": ends.results,
        "/healthz": ends.health,
        "/metrics": ends.metrics,
    }
    app: App = Starlette(routes=[Route(path, handler) for path, handler in routes.items()])
    return app
