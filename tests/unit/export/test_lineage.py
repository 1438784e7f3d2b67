"""Lineage: licences and commercial use, recorded where they are known and only there."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edge.catalog.lookup import CATALOG
from export.checkpoint import load_checkpoint
from export.lineage import lineage_of, published_as, random_lineage
from export.random_weights import random_model
from export.registry import FAMILIES, variant_of
from runtimes.artifact import sha256_of
from runtimes.spec import Lineage

BINDING = {
    name: entry
    for name, entry in CATALOG.items()
    if entry.licence_covers == "model" and entry.family in FAMILIES
}


def test_anothers_weights_in_a_free_network_carry_no_licence(tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    torch.save(random_model("rtmpose-t").module.state_dict(), path)
    # neither the network nor the name given says who trained them
    for name in (None, "rtmpose-t", "rtmpose-t-body8", "my-own"):
        lineage = load_checkpoint(path, name=name).lineage
        assert lineage == Lineage(
            weights="checkpoint", checkpoint="mine.pth", checkpoint_sha256=sha256_of(path)
        )
        assert lineage.commercial_use is None
    assert random_model("rtmpose-t").lineage == Lineage(weights="random")


def test_a_download_from_the_publisher_carries_its_licence() -> None:
    came = Lineage(weights="checkpoint", checkpoint="a.pth", checkpoint_sha256="0" * 64)
    lineage = published_as(came, CATALOG["rtmpose-t"])
    assert lineage.licences == ("Apache-2.0",)
    assert lineage.commercial_use is True
    assert lineage.checkpoint_sha256 == came.checkpoint_sha256
    closed = replace(CATALOG["rtmpose-t"], licence="CC-BY-NC-4.0", commercial_use=False)
    assert published_as(came, closed).commercial_use is False


@pytest.mark.parametrize("entry", BINDING.values(), ids=BINDING)
def test_a_licence_that_binds_the_network_is_always_said(entry, tmp_path: Path) -> None:
    path = tmp_path / "anybodys.pth"
    path.write_bytes(b"weights")
    variant = variant_of(entry)
    for lineage in (lineage_of(path, variant), random_lineage(variant)):
        assert lineage.licences == (entry.licence,)
        assert lineage.commercial_use is False


@pytest.mark.parametrize("family", ["fastpose", "sapiens", "openpose", "openpose_body25"])
def test_families_under_closed_terms_say_so(family: str) -> None:
    """AlphaPose's and CMU OpenPose's licences and Sapiens' CC-BY-NC forbid commercial use of the model itself."""
    entries = [entry for entry in CATALOG.values() if entry.family == family]
    assert entries
    assert not any(entry.commercial_use for entry in entries)
    assert all(entry.licence_covers == "model" for entry in entries)
