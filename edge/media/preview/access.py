"""Access to the preview: a token, and host names that guard a loopback address against DNS rebinding."""

import hmac
import ipaddress
import os
import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode

from edge.media.preview.address import Address
from runtimes.errors import InputError

TOKEN_VARIABLE = "EDGEPOSE_TOKEN"  # noqa: S105 a variable's name
LEAST_LENGTH = 12

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_TOKEN = re.compile(rf"[A-Za-z0-9._~-]{{{LEAST_LENGTH},256}}")
_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


def choose_token(address: Address, token: str | None) -> str | None:
    """Return the token that viewers must give, None where none is needed.

    token: else EDGEPOSE_TOKEN, else a random one where other machines reach the address. Raises InputError for a token
    that is too short or has other characters than a URL may hold.
    """
    chosen = given_token(token)
    if chosen is None:
        return None if address.loopback else secrets.token_urlsafe(24)
    if not _TOKEN.fullmatch(chosen):
        raise InputError(f"a token has at least {LEAST_LENGTH} letters, digits or any of . _ ~ -")
    return chosen


def given_token(token: str | None) -> str | None:
    """Return the token, or that of the environment."""
    return token or os.environ.get(TOKEN_VARIABLE) or None


class Guard:
    """ASGI application that refuses requests without the token (401) and with a foreign host name (403).

    The token comes as `Authorization: Bearer TOKEN`, as `?token=TOKEN`, or as the cookie that `/?token=TOKEN` sets
    before it forwards to `/`, so that the token stays in no history.
    """

    def __init__(self, app: App, address: Address, token: str | None) -> None:
        self._app = app
        self._loopback = address.loopback
        self._token = token
        self._cookie = f"edgepose_{address.port}"  # browsers share cookies between ports

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        if self._loopback and not _is_loopback_name(headers.get(b"host", "")):
            await _answer(send, 403, b"unknown host name\n")
        elif self._token is None:
            await self._app(scope, receive, _with_headers(send))
        elif "token" in query and self._matches(query["token"]):
            if scope["path"] == "/":
                await self._forward(send, query)
            else:
                await self._app(scope, receive, _with_headers(send))
        elif self._matches(_bearer(headers)) or self._matches(self._from_cookie(headers)):
            await self._app(scope, receive, _with_headers(send))
        else:
            text = (
                b"token missing or wrong: open /?token=TOKEN, or send Authorization: Bearer TOKEN\n"
            )
            await _answer(send, 401, text, (b"www-authenticate", b"Bearer"))

    def _matches(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), (self._token or "").encode())

    def _from_cookie(self, headers: dict[bytes, str]) -> str:
        try:
            cookie = SimpleCookie(headers.get(b"cookie", "")).get(self._cookie)
        except CookieError:
            return ""
        return cookie.value if cookie else ""

    async def _forward(self, send: Send, query: dict[str, str]) -> None:
        cookie = f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict"
        rest = urlencode({name: value for name, value in query.items() if name != "token"})
        place = f"/?{rest}" if rest else "/"
        extra = ((b"set-cookie", cookie.encode()), (b"location", place.encode()))
        await _answer(send, 303, b"", *extra)


def _is_loopback_name(host: str) -> bool:
    """Return whether a Host header names this machine by a loopback address or as localhost, at any port."""
    name = re.sub(r":\d+$", "", host).strip("[]")
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name.lower() == "localhost"


def _bearer(headers: dict[bytes, str]) -> str:
    scheme, _, token = headers.get(b"authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


async def _answer(send: Send, status: int, text: bytes, *extra: tuple[bytes, bytes]) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(text)).encode())]
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, *_HEADERS, *extra],
        }
    )
    await send({"type": "http.response.body", "body": text})


def _with_headers(send: Send) -> Send:
    async def extended(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *_HEADERS]
        await send(message)

    return extended
