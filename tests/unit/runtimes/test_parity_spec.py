"""Parity records: each basis has its own fields; manifests of commit f373529, with all in each record, still read."""

import json
import math
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from runtimes.artifact import read_manifest
from runtimes.errors import ArtifactError
from runtimes.parity_spec import (
    ApParity,
    BoxesParity,
    Parity,
    PxParity,
    RawParity,
    without_foreign_nulls,
)

# Manifests that f373529 wrote (exports and int8 of small networks), all four bases among them.
OLD = Path(__file__).parents[2] / "data" / "artifact_f373529" / "manifests"
BASES = {
    "px_rejected.json": (PxParity,),
    "raw.json": (RawParity,),
    "boxes_ap.json": (BoxesParity, ApParity),
    "boxes_int8.json": (BoxesParity,),
}
RENAMED = {"people": "boxes"}
NEWER = {
    "accelerator": "cpu",
    "engine": "",
    "placement": None,
}  # what older manifests mean by leaving them out


def written(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((OLD / name).read_text())
    return data


def reread(tmp_path: Path, document: dict[str, Any]) -> tuple[Parity, ...]:
    path = tmp_path / "artifact.json"
    path.write_text(json.dumps(document))
    return read_manifest(path).parity


@pytest.mark.parametrize("name", BASES)
def test_a_manifest_of_f373529_reads_with_every_figure(name) -> None:
    found = read_manifest(OLD / name).parity
    assert tuple(type(record) for record in found) == BASES[name]
    for record, old in zip(found, written(name)["parity"], strict=True):
        assert record.basis == old["basis"]
        own = {RENAMED.get(field, field) for field in record.__struct_fields__}
        assert {key for key, value in old.items() if value is not None} <= {*own, "basis"}
        for field in record.__struct_fields__:
            value = getattr(record, field)
            kept = old.get(RENAMED.get(field, field), NEWER.get(field))
            assert (list(value) if isinstance(value, tuple) else value) == kept


def test_no_basis_has_the_figures_of_another() -> None:
    fields = {kind: set(kind.__struct_fields__) for kind in get_args(Parity)}
    shared = set.intersection(*fields.values())
    assert {"reference", "passed", "limit", "samples", "inputs", "symptoms"} <= shared
    assert fields[ApParity] - shared == {"ap", "ap_reference", "ap_drop", "ap_interval"}
    assert fields[BoxesParity] & fields[PxParity] - shared == {"raw_error", "matched"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ap": 0.5}, "unknown field `ap`"),  # another basis' figure with a value
        ({"nonsense": None}, "unknown field `nonsense`"),
        ({"basis": "guess"}, "Invalid value 'guess'"),
        ({"basis": ["px"]}, "Expected `str`"),
        ({"px_p95": "far"}, r"Expected `float \| null`, got `str` - at `\$.parity\[0\].px_p95`"),
    ],
)
def test_what_a_record_should_not_hold_is_refused(tmp_path, changes, said) -> None:
    document = written("px_rejected.json")
    document["parity"][0] |= changes
    with pytest.raises(ArtifactError, match=said):
        reread(tmp_path, document)


def test_a_record_needs_its_basis_and_a_detector_its_boxes(tmp_path) -> None:
    document = written("boxes_ap.json")
    document["parity"][0].pop("boxes")
    with pytest.raises(ArtifactError, match="missing required field `boxes`"):
        reread(tmp_path, document)
    document["parity"] = [{"reference": "r", "passed": True}]
    with pytest.raises(ArtifactError, match="missing required field `basis`"):
        reread(tmp_path, document)
    document["parity"] = None
    with pytest.raises(ArtifactError, match="parity"):
        reread(tmp_path, document)


def test_a_record_is_written_with_its_own_fields() -> None:
    boxes = BoxesParity(reference="r", passed=True, boxes=10, matched=1.0)
    keys = set(json.loads(msgspec.json.encode(boxes)))
    assert {"basis", "boxes", "matched", "score_shift", "raw_error"} <= keys
    assert not keys & {"px_p95", "ap", "decidable"}
    people = PxParity(reference="r", passed=False, people=3, px_p95=math.inf)
    encoded = json.loads(msgspec.json.encode(people))
    assert (encoded["basis"], encoded["boxes"], encoded["px_p95"]) == ("px", 3, None)
    again = msgspec.convert(encoded, Parity)
    assert isinstance(again, PxParity)
    assert (again.people, again.px_p95) == (3, None)  # JSON has no infinity


def test_only_null_fields_of_records_are_dropped() -> None:
    record = {"basis": "raw", "reference": "r", "passed": None, "raw_error": None, "ap": None}
    document = {"ap": None, "entries": [{"parity": record}, {"parity": None}]}
    assert without_foreign_nulls(document) == {
        "ap": None,  # not of a record
        "entries": [
            {"parity": {key: value for key, value in record.items() if key != "ap"}},
            {"parity": None},
        ],
    }
