"""Downloads against a server of our own: resumed, verified, atomic, and refused in words that say what to do."""

import contextlib
import fcntl
import hashlib
import http.server
import io
import os
import resource
import socket
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from export.download.fetch import Fetched, fetch
from export.download.http_get import _Redirects
from runtimes.errors import DownloadError
from runtimes.files import cache_dir

CONTENT = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Site:
    """What the server does, and what it was asked."""

    content: bytes = CONTENT
    etag: str = '"one"'
    ranges: bool = True
    length: bool = True
    announce: int | None = None  # a length that is not the content's
    stop_after: int | None = None  # hang up after so many bytes
    kind: str = "application/octet-stream"
    status: int = 200
    location: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    url: str = ""


class Handler(http.server.BaseHTTPRequestHandler):
    """A file server that misbehaves on request."""

    site: Site

    def do_GET(self) -> None:
        site = self.site
        site.asked.append(dict(self.headers))
        if site.location and not self.path.startswith("/moved"):
            self._head(302, {"Location": site.location})
        elif site.status != 200:
            self._head(site.status, {})
        else:
            self._file(site)

    def _file(self, site: Site) -> None:
        wanted = self.headers.get("Range", "")
        same = self.headers.get("If-Range", site.etag) == site.etag
        start = int(wanted[6:-1]) if wanted and site.ranges and same else 0
        size = len(site.content) if site.announce is None else site.announce
        if start >= size and start:
            self._head(416, {"Content-Range": f"bytes */{size}"})
            return
        headers = {"Content-Type": site.kind}
        if site.etag:
            headers["ETag"] = site.etag
        if site.length:
            headers["Content-Length"] = str(size - start)
        if start:
            headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        self._head(206 if start else 200, headers)
        body = site.content[start:]
        self.wfile.write(body if site.stop_after is None else body[: site.stop_after])

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it so
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[Site]:
    offered = Site()
    handler = type("Own", (Handler,), {"site": offered})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        offered.url = f"http://127.0.0.1:{server.server_port}/models/net-{SHA256[:8]}.pth"
        yield offered
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEPOSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache"


def refused(url: str, sha256: str | None = None, **limits: Any) -> str:
    with pytest.raises(DownloadError) as caught:
        fetch(url, sha256, **limits)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.exit_code == 2
    return text


def parts(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*.part*") if path.is_file()]


def files(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*") if path.is_file()]


@pytest.mark.parametrize("published", [SHA256, SHA256[:8], SHA256[:8].upper(), None])
def test_a_file_comes_once_and_is_verified(site: Site, cache: Path, published: str | None) -> None:
    seen: list[tuple[int, int | None]] = []
    first = fetch(site.url, published, progress=lambda done, total: seen.append((done, total)))
    again = fetch(site.url, published)

    assert first == again == Fetched(first.path, SHA256, published and published.lower())
    assert first.path.read_bytes() == CONTENT
    assert first.path.name == f"net-{SHA256[:8]}.pth"
    assert cache in first.path.parents
    assert parts(cache) == []
    assert len(site.asked) == 1
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.parametrize("published", [SHA256, None])
def test_a_broken_transfer_is_gone_on_with(site: Site, cache: Path, published: str | None) -> None:
    site.stop_after = 300_000
    assert "cut short at 300000 of 1048576 bytes; run the same" in refused(site.url, published)
    assert [path.stat().st_size for path in parts(cache) if path.suffix == ".part"] == [300_000]
    assert not list(cache.rglob("*.pth"))

    site.stop_after = None
    assert fetch(site.url, published).path.read_bytes() == CONTENT
    assert site.asked[1]["Range"] == "bytes=300000-"
    assert site.asked[1]["If-Range"] == '"one"'
    assert parts(cache) == []


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    content=st.binary(max_size=300),
    stops=st.lists(st.integers(0, 120), max_size=4),
    ranges=st.booleans(),
    etag=st.sampled_from(['"one"', 'W/"weak"', ""]),
    known=st.booleans(),
)
def test_however_often_it_breaks_the_file_is_whole(
    site: Site,
    *,
    content: bytes,
    stops: list[int],
    ranges: bool,
    etag: str,
    known: bool,
) -> None:
    # each example is another address, and so another place in the cache
    site.url = f"{site.url.partition('?')[0]}?{len(site.asked)}"
    site.content, site.ranges, site.etag = content, ranges, etag
    want = hashlib.sha256(content).hexdigest()
    for site.stop_after in stops:
        with contextlib.suppress(DownloadError):
            fetch(site.url, want if known else None)
    site.stop_after = None
    got = fetch(site.url, want if known else None)
    assert got.path.read_bytes() == content
    assert got.sha256 == want


def test_a_server_without_ranges_begins_again(site: Site) -> None:
    site.stop_after = 1000
    refused(site.url, SHA256)
    site.stop_after, site.ranges = None, False
    assert fetch(site.url, SHA256).path.read_bytes() == CONTENT


def test_a_file_that_changed_in_between_is_not_mixed(site: Site) -> None:
    site.stop_after = 1000
    refused(site.url)
    site.stop_after, site.content, site.etag = None, CONTENT[::-1], '"two"'
    assert fetch(site.url).path.read_bytes() == CONTENT[::-1]


def test_without_version_and_hash_nothing_is_gone_on_with(site: Site) -> None:
    site.etag, site.stop_after = "", 1000
    refused(site.url)
    site.stop_after = None
    assert fetch(site.url).path.read_bytes() == CONTENT
    assert "Range" not in site.asked[1]


def test_a_part_that_is_whole_or_too_long(site: Site, cache: Path) -> None:
    """A process killed between the last byte and the renaming; and a file that got shorter."""
    site.stop_after = 1000
    refused(site.url, SHA256)
    (part,) = [path for path in parts(cache) if path.suffix == ".part"]
    site.stop_after = None
    part.write_bytes(CONTENT)
    assert fetch(site.url, SHA256).path.read_bytes() == CONTENT

    fetch(site.url, SHA256).path.unlink()
    part.write_bytes(CONTENT + b"more")
    assert fetch(site.url, SHA256).path.read_bytes() == CONTENT


def test_a_wrong_hash_leaves_nothing(site: Site, cache: Path) -> None:
    text = refused(site.url, "0" * 64)
    assert f"sha256 {SHA256}, published {'0' * 64}; deleted" in text
    assert files(cache) == []
    # nor does a copy that was taken in when no hash was known
    fetch(site.url)
    refused(site.url, "0" * 8)
    assert not list(cache.rglob("*.pth"))


def test_a_part_of_another_file_is_found_out(site: Site, cache: Path) -> None:
    site.etag, site.stop_after = "", 1000
    refused(site.url, SHA256)
    (part,) = [path for path in parts(cache) if path.suffix == ".part"]
    part.write_bytes(b"x" * 1000)
    site.stop_after = None
    assert "is not the published file" in refused(site.url, SHA256)
    assert fetch(site.url, SHA256).path.read_bytes() == CONTENT


@pytest.mark.parametrize("published", [SHA256, None])
def test_a_copy_damaged_later_is_fetched_again(site: Site, published: str | None) -> None:
    path = fetch(site.url, published).path
    path.write_bytes(CONTENT[:-1] + b"!")
    assert fetch(site.url, published).path.read_bytes() == CONTENT
    assert len(site.asked) == 2


def test_a_copy_put_there_by_hand_counts_where_the_hash_is_known(site: Site) -> None:
    got = fetch(site.url, SHA256)
    got.path.with_name(f"{got.path.name}.sha256").unlink()
    assert fetch(site.url, SHA256) == got
    assert len(site.asked) == 1


@pytest.mark.parametrize("status", [403, 404, 500])
def test_what_the_server_says_is_said(site: Site, cache: Path, status: int) -> None:
    site.status = status
    assert f"the server says {status} " in refused(site.url)
    assert files(cache) == []


def test_redirects_are_followed_to_http_only(site: Site) -> None:
    site.location = "/moved/net.pth"
    got = fetch(site.url, SHA256)
    assert got.path.name == f"net-{SHA256[:8]}.pth"
    site.url += "?again"
    site.location = "file:///etc/hostname"
    assert "302" in refused(site.url)
    site.location = "ftp://127.0.0.1/net.pth"
    assert "not http or https; refused" in refused(site.url)
    site.location = "/round"
    assert "infinite loop" in refused(site.url)


def test_a_redirect_from_https_to_http_is_refused() -> None:
    request = urllib.request.Request("https://a.example/net.pth")
    with pytest.raises(DownloadError, match="which is not https; refused"):
        _Redirects().redirect_request(
            request, io.BytesIO(), 302, "Found", {}, "http://b.example/net.pth"
        )


@pytest.mark.parametrize("length", [True, False])
def test_what_is_too_large_is_refused(site: Site, cache: Path, *, length: bool) -> None:
    site.length = length
    assert "the limit is 1000000" in refused(site.url, max_bytes=1_000_000)
    assert parts(cache) == []
    assert fetch(site.url, max_bytes=len(CONTENT)).sha256 == SHA256


def test_a_web_page_is_no_file(site: Site) -> None:
    site.kind = "text/html; charset=utf-8"
    assert "is a web page, not a file" in refused(site.url)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/hostname",
        "ftp://example.org/net.pth",
        "data:,x",
        "net.pth",
        "http:///net.pth",
        "http://[::1/net.pth",
        "http://127.0.0.1:99999/net.pth",
        "http://127.0.0.1:1/a b.pth",
        "http://127.0.0.1:1/\u00e4.pth",
        "http://me:secret@127.0.0.1:1/net.pth",
    ],
)
def test_other_addresses_are_refused(url: str, cache: Path) -> None:
    assert "secret" not in refused(url)
    assert files(cache) == []


def test_no_network_is_said() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = refused(f"http://127.0.0.1:{port}/net.pth")
    assert "cannot be reached" in text
    assert "Or download the file elsewhere and run: edgepose export NAME --weights FILE" in text
    assert "cannot be reached" in refused("http://no-such-host.invalid/net.pth")


def test_room_is_looked_for_first(site: Site) -> None:
    site.announce = 1 << 60
    text = refused(site.url, max_bytes=1 << 61)
    assert "1152921504607 MB are needed" in text
    assert "EDGEPOSE_CACHE" in text


def test_a_full_disk_keeps_the_part(site: Site, cache: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))  # writing beyond fails with EFBIG
    try:
        text = refused(site.url, SHA256)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "cannot be written" in text
    assert "make room" in text
    assert max(path.stat().st_size for path in parts(cache)) == 500_000
    assert fetch(site.url, SHA256).path.read_bytes() == CONTENT
    assert site.asked[1]["Range"] == "bytes=500000-"


def test_a_cache_that_cannot_be_written(site: Site, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    text = refused(site.url)
    assert "cannot be written" in text
    assert "EDGEPOSE_CACHE" in text


def test_two_at_once_do_not_mix(site: Site) -> None:
    folder = fetch(site.url).path.parent
    held = os.open(folder, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    assert "another edgepose is downloading" in refused(site.url)
    os.close(held)
    assert fetch(site.url).sha256 == SHA256


def test_where_the_cache_lies(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_dir() == cache
    monkeypatch.delenv("EDGEPOSE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "edgepose"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_dir() == Path.home() / ".cache/edgepose"
    monkeypatch.setenv("EDGEPOSE_CACHE", "~/poses")
    assert cache_dir() == Path.home() / "poses"


@pytest.mark.parametrize(
    ("last", "name"),
    [
        ("a%2Fb%20c.pth", "a_b_c.pth"),
        ("..%2F..%2Fnet.pth", "_.._net.pth"),
        ("", "download"),
        ("x" * 300 + ".safetensors", "x" * 108 + ".safetensors"),
        (".hidden?name=net.pth", "hidden"),
    ],
)
def test_names_stay_inside_the_cache(site: Site, cache: Path, last: str, name: str) -> None:
    path = fetch(f"{site.url.rpartition('/')[0]}/{last}").path
    assert path.name == name
    assert cache in path.resolve().parents
