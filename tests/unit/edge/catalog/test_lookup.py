"""The catalogue is consistent with itself, with the specs, and with how files are named."""

import importlib
import json
import re
from pathlib import Path

import pytest

import edge.catalog
from edge.catalog.entry import hash_in
from edge.catalog.lookup import CATALOG, SPECS, find, find_by_hash, licence_of_family, spec_of
from edge.catalog.specs import (
    COCO_CLASSES,
    SCHEMA_OF_COUNT,
    SCHEMA_OF_DATASET,
    published_spec,
    rtmdet_spec,
)
from edge.schema import load_schema
from runtimes.codec_spec import BoxesCodec
from runtimes.errors import InputError
from runtimes.registry import ENGINES


@pytest.mark.parametrize("entry", CATALOG.values(), ids=CATALOG)
def test_an_entry_agrees_with_its_spec(entry) -> None:
    spec = spec_of(entry)
    assert spec.model == entry.name
    assert spec.task == entry.task
    assert spec.image.wh == entry.input_wh
    assert (spec.classes or ()) == entry.classes
    assert (spec.keypoints.name if spec.keypoints else None) == entry.schema
    assert [bool(entry.schema), bool(entry.classes), entry.task in {"depth", "normal"}].count(
        True
    ) == 1


@pytest.mark.parametrize("entry", CATALOG.values(), ids=CATALOG)
def test_figures_have_a_source_and_hashes_stand_in_the_url(entry) -> None:
    assert (entry.ap is None and not entry.figures) == (entry.ap_source is None)
    assert entry.ap is None or 0 < entry.ap < 1
    assert entry.ap in {None, entry.figures.get("AP", entry.ap), entry.figures.get("whole AP")}
    if entry.url:
        assert entry.url.startswith("https://")
        assert hash_in(entry.url) in {None, entry.sha256_prefix}
        width, height = entry.input_wh
        assert entry.family != "rtmpose" or f"{height}x{width}" in entry.url
    if entry.sha256_prefix:
        assert entry.url
        assert re.fullmatch("[0-9a-f]{7,64}", entry.sha256_prefix)
        # the tasks of a file that holds several share its hash
        assert find_by_hash(entry.sha256_prefix.ljust(64, "0")).url == entry.url


def test_no_table_hides_an_entry_of_another() -> None:
    modules = [
        importlib.import_module(f"edge.catalog.{path.stem}")
        for path in Path(edge.catalog.__file__).parent.glob("*.py")
    ]
    tables = [module for module in modules if hasattr(module, "ENTRIES")]
    assert len(CATALOG) == sum(len(table.ENTRIES) for table in tables)
    assert len(SPECS) == sum(len(table.SPECS) for table in tables)
    assert all(key == entry.name for key, entry in CATALOG.items())


@pytest.mark.parametrize(
    ("url", "head"),
    [
        ("https://x/rtmpose-t_simcc-256x192-cfc8f33d_20230126.pth", "cfc8f33d"),
        ("https://x/rtmdet_nano-05d8511e.pth", "05d8511e"),
        ("https://x/hand-99477206_20230228.pth", "99477206"),  # digits only
        ("https://x/hand5-74fb594_20230320.pth", "74fb594"),  # one short
        ("https://x/rtmw-dw-l-m_simcc-256x192-20231122.pth", None),  # a date and no hash
        ("https://x/vitpose-b.pth", None),
        ("https://x/model.safetensors", None),
    ],
)
def test_hashes_are_read_off_names(url: str, head: str | None) -> None:
    assert hash_in(url) == head


def test_an_entry_is_found_by_its_files_hash() -> None:
    assert find_by_hash("cfc8f33d" + "0" * 56) is CATALOG["rtmpose-t"]
    assert find_by_hash("026a1439" + "0" * 56) is CATALOG["rtmpose-t-body8"]  # the same network
    assert find_by_hash("0" * 64) is None


def test_only_free_licences_allow_commercial_use() -> None:
    for entry in CATALOG.values():
        assert entry.commercial_use == (entry.licence in {"Apache-2.0", "MIT"}), entry.name
        # a licence of the model covers any weights
        assert entry.licence_covers == "weights" or not entry.commercial_use
    assert licence_of_family("rtmpose", "t") is None
    assert licence_of_family("no such", "t") is None


# The real-time and wholebody families that there is no definition of here.
ABSENT = {"rtmo", "rtmw"}


def test_every_published_checkpoint_we_can_build_is_here(real: Path) -> None:
    path = real.parent / "reference/catalogue.json"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    published = json.loads(path.read_bytes())["checkpoints"]
    ours = {entry.url: entry for entry in CATALOG.values() if entry.url}
    wanted = [row for row in published if row["family"] not in ABSENT]
    assert {row["family"] for row in wanted} <= {entry.family for entry in CATALOG.values()}
    for row in wanted:
        entry = ours[row["url"]]
        assert entry.family == row["family"]
        assert entry.sha256_prefix == row["sha256_prefix"]
        assert list(entry.input_wh) == row["input_hw"][::-1]
        assert sorted(entry.figures.values()) == sorted(row["metrics"].values())
        metrics = row["metrics"]
        assert entry.ap == metrics.get("AP", metrics.get("Whole AP"))


@pytest.mark.parametrize("entry", CATALOG.values(), ids=CATALOG)
def test_importable_runtimes_are_those_with_known_tensor_names(entry) -> None:
    known = tuple(runtime for runtime in ENGINES if published_spec(entry.name, runtime))
    assert known == entry.importable_runtimes
    for runtime in ENGINES:
        spec = published_spec(entry.name, runtime)
        assert (spec is None) == (runtime not in known)
        assert spec is None or all(t.engine_name for t in (*spec.inputs, *spec.outputs))


def test_the_official_detector_with_nms_in_its_graph_decodes_boxes() -> None:
    spec = published_spec("rtmdet-nano", "onnxruntime")
    assert spec is not None
    assert isinstance(spec.codec, BoxesCodec)
    assert [tensor.engine_name for tensor in spec.outputs] == ["dets", "labels"]


def test_find_proposes_what_was_meant() -> None:
    assert find("rtmpose-m").input_wh == (192, 256)
    with pytest.raises(InputError, match="did you mean rtmpose-"):
        find("rtmpos-m")
    with pytest.raises(InputError, match="known: rtmpose-t"):
        find("?")


def test_schemas_named_for_counts_and_datasets_exist() -> None:
    for count, name in SCHEMA_OF_COUNT.items():
        assert len(load_schema(name)) == count
    assert all(load_schema(name) for name in SCHEMA_OF_DATASET.values())


def test_detector_shapes_follow_from_the_strides() -> None:
    spec = rtmdet_spec("any", (320, 192), COCO_CLASSES)
    assert [tensor.shape for tensor in spec.outputs] == [
        (-1, 80, 24, 40),
        (-1, 80, 12, 20),
        (-1, 80, 6, 10),
        (-1, 4, 24, 40),
        (-1, 4, 12, 20),
        (-1, 4, 6, 10),
    ]
    # BGR statistics as mmdet's configs write them
    assert spec.image.mean == (103.53, 116.28, 123.675)
    assert spec.image.std == (57.375, 57.12, 58.395)
    with pytest.raises(InputError, match="multiples of 32"):
        rtmdet_spec("any", (321, 320), COCO_CLASSES)


def test_coco_has_80_classes_person_first() -> None:
    assert len(set(COCO_CLASSES)) == 80
    assert COCO_CLASSES[0] == "person"
