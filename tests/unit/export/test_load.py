"""Weights by file, by address, by download: checks, and the recorded lineage."""

import functools
import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edge.catalog.lookup import CATALOG
from export.checkpoint import Asked
from export.load import _load_from, load_weights
from export.random_weights import random_model
from runtimes.artifact import sha256_of
from runtimes.errors import DownloadError, InputError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A server's folder that holds a detector under a name with its hash, and under two without."""
    folder = tmp_path_factory.mktemp("site")
    path = folder / "net.pth"
    torch.save(random_model("rtmdet-nano").module.state_dict(), path)
    for name in (f"net-{sha256_of(path)[:8]}.pth", "net-00000000.pth"):
        (folder / name).write_bytes(path.read_bytes())
    return folder


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A file server that says nothing."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
        """Say nothing."""


@pytest.fixture
def site(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The server's address, with an empty cache."""
    monkeypatch.setenv("EDGEPOSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_an_address_is_fetched_and_its_name_checked(site: str, folder: Path) -> None:
    sha256 = sha256_of(folder / "net.pth")
    for name in ("net.pth", f"net-{sha256[:8]}.pth"):
        seen: list[int] = []
        loaded = load_weights(
            "rtmdet-nano",
            f"{site}/{name}",
            progress=lambda done, _, seen=seen: seen.append(done),
        )
        assert loaded.spec.model == "rtmdet-nano"
        assert loaded.lineage.checkpoint == name
        assert loaded.lineage.checkpoint_sha256 == sha256
        assert loaded.lineage.commercial_use is None  # a stranger's server
        assert seen[-1] == (folder / name).stat().st_size
    with pytest.raises(DownloadError, match="is not the published file"):
        load_weights("rtmdet-nano", f"{site}/net-00000000.pth")
    with pytest.raises(DownloadError, match="404"):
        load_weights("rtmdet-nano", f"{site}/gone.pth")


def test_the_official_file_brings_its_licence(site: str, folder: Path) -> None:
    sha256 = sha256_of(folder / "net.pth")
    entry = replace(CATALOG["rtmdet-nano"], url=f"{site}/net.pth", sha256_prefix=sha256[:8])
    for asked in ("download", entry.url):
        lineage = _load_from(entry, asked, Asked(), None).lineage
        assert lineage.licences == ("Apache-2.0",)
        assert lineage.commercial_use is True
        assert lineage.checkpoint_sha256 == sha256
    # some publishers name no hash: the address is what is known
    assert (
        _load_from(replace(entry, sha256_prefix=None), "download", Asked(), None).lineage == lineage
    )
    with pytest.raises(DownloadError, match="published 00000000; deleted"):
        _load_from(replace(entry, sha256_prefix="00000000"), "download", Asked(), None)


def test_what_cannot_be_downloaded_says_what_to_do() -> None:
    with pytest.raises(InputError, match="no official address of rtmdet-nano is known"):
        _load_from(replace(CATALOG["rtmdet-nano"], url=None), "download", Asked(), None)
    with pytest.raises(DownloadError, match="only http:// and https://"):
        load_weights("rtmdet-nano", "file:///etc/hostname")
    with pytest.raises(InputError, match="give its address as --weights https://"):
        load_weights("https://example.org/net.pth", None)
    with pytest.raises(InputError, match="--weights download"):
        load_weights("rtmdet-nano", None)


def test_weights_behind_a_web_page_are_not_asked_for() -> None:
    """AlphaPose publishes on Google Drive, whose address gives a page with a button."""
    with pytest.raises(InputError, match=r"open https://drive.google.com/\S+ in a browser"):
        load_weights("fastpose-res50", "download")
    with pytest.raises(InputError, match=r"add --weights FILE \(from https://drive"):
        load_weights("fastpose-res50", None)
