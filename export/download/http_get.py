"""One resumable HTTP GET. Knows addresses, redirects and networks; no files, no hashes."""

import http.client
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from typing import Any

from runtimes.errors import DownloadError

CHUNK = 1 << 18
TIMEOUT_S = 30.0
AGENT = "edgepose"
BY_HAND = "edgepose export NAME --weights FILE"  # what to run with a file downloaded elsewhere
RANGE_NOT_SATISFIABLE = 416


@dataclass(frozen=True, slots=True)
class Reply:
    """The response of a server: bytes from `start` on, of `total` in all (None where unknown).

    `validator` identifies this version of the file in a later request (a strong ETag, or the date), "" for none.
    `pieces` raises DownloadError where the connection breaks; it ends early where the server closes it silently.
    """

    start: int
    total: int | None
    validator: str
    pieces: Iterator[bytes]


def check_url(url: str) -> urllib.parse.SplitResult:
    """Return the parts of an http or https address; raises DownloadError for any other."""
    try:
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname
    except ValueError as error:
        raise DownloadError(f"{url}: not an address ({error})") from error
    if parts.scheme not in {"http", "https"} or not host:
        raise DownloadError(f"{url}: only http:// and https:// addresses are downloaded")
    if parts.username is not None:
        raise DownloadError(
            f"the address holds a user name; download that file yourself and run: {BY_HAND}"
        )
    return parts


@contextmanager
def get(url: str, offset: int = 0, validator: str = "") -> Iterator[Reply]:
    """Request `url` from byte `offset` on; yields a Reply that starts there, or at 0 where it cannot be resumed.

    validator: of an earlier reply; where the file has changed since, the reply starts at 0.
    Raises DownloadError for no network, an HTTP error, a broken connection, a redirect to another scheme than http(s).
    """
    response = _open(url, offset, validator)
    if response is None:
        yield Reply(offset, offset, validator, iter(()))
        return
    with response:
        yield _reply(url, response, offset)


def _open(url: str, offset: int, validator: str) -> http.client.HTTPResponse | None:
    """Send the request; None where the file ends at `offset`, so that nothing is missing."""
    check_url(url)
    headers = {"User-Agent": AGENT}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    if offset and validator:
        headers["If-Range"] = validator
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  # the scheme was checked
    try:
        response: http.client.HTTPResponse = _opener().open(request, timeout=TIMEOUT_S)
    except DownloadError:
        raise
    except urllib.error.HTTPError as error:
        with error:
            total = _total(error.headers)
        if offset and error.code == RANGE_NOT_SATISFIABLE:
            # the part is longer than the file is now: start again
            return None if total == offset else _open(url, 0, "")
        said = " ".join(str(error.reason).split())  # Python's own text on redirects has three lines
        raise DownloadError(
            f"{url}: the server says {error.code} {said}; check the address"
        ) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise DownloadError(
            f"{url}: cannot be reached ({reason}); is there a network? "
            f"Or download the file elsewhere and run: {BY_HAND}"
        ) from error
    return response


def _reply(url: str, response: http.client.HTTPResponse, offset: int) -> Reply:
    if response.headers.get_content_type() == "text/html":
        raise DownloadError(
            f"{url}: is a web page, not a file (or the network asks for a login); "
            f"download the file in a browser and run: {BY_HAND}"
        )
    partial = response.status == http.client.PARTIAL_CONTENT
    start = 0
    if partial:
        found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        start = int(found[1]) if found else -1
        if start != offset:
            raise DownloadError(
                f"{url}: the server sent another range than was requested; run the same command again"
            )
    total = _total(response.headers) if partial else _length(response.headers)
    return Reply(start, total, _validator(response.headers), _pieces(url, response))


def _pieces(url: str, response: http.client.HTTPResponse) -> Iterator[bytes]:
    while True:
        try:
            piece = response.read(CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise DownloadError(
                f"{url}: the connection broke ({error!r}); run the same command again to resume"
            ) from error
        if not piece:
            return
        yield piece


def _length(headers: Message) -> int | None:
    text = headers.get("Content-Length", "")
    return int(text) if text.isdecimal() else None


def _total(headers: Message) -> int | None:
    """Return the size after the slash of Content-Range."""
    found = re.search(r"/(\d+)$", headers.get("Content-Range", ""))
    return int(found[1]) if found else None


def _validator(headers: Message) -> str:
    etag = headers.get("ETag", "")
    # a weak tag does not promise the same bytes, and If-Range refuses it
    return str(etag if etag.startswith('"') else headers.get("Last-Modified", ""))


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects, but never from https down to http."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """Return the next request; raises DownloadError for a forbidden one."""
        allowed = {"https"} if req.type == "https" else {"http", "https"}
        if urllib.parse.urlsplit(newurl).scheme not in allowed:
            fp.close()
            raise DownloadError(
                f"{req.full_url}: redirects to {newurl}, which is not {' or '.join(sorted(allowed))}; refused"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    # urllib's default opener would also read file:, ftp: and data: addresses
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        _Redirects(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
    ):
        opener.add_handler(handler)
    return opener
