"""Every family is registered, and every named variant is recognised from its own tensors."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import export.models
from edge.catalog.lookup import CATALOG, CatalogEntry
from export.checkpoint import load_checkpoint, with_input
from export.random_weights import random_model
from export.recognise import recognise
from export.registry import FAMILIES, Variant, load_family, model_name, variant_of
from runtimes.errors import CheckpointError

OURS = {name: entry for name, entry in CATALOG.items() if entry.family in FAMILIES}


def test_each_file_of_models_that_recognises_something_is_listed() -> None:
    files = Path(export.models.__file__).parent.glob("*.py")
    families = {path.stem for path in files if "\ndef recognise(" in path.read_text()}
    assert families == {module.rsplit(".", 1)[1] for module in FAMILIES.values()}
    assert families <= set(FAMILIES)


@pytest.mark.parametrize("entry", OURS.values(), ids=OURS)
def test_a_variant_is_recognised_from_its_tensors(entry: CatalogEntry) -> None:
    variant = variant_of(entry)
    with torch.device("meta"):
        state = load_family(entry.family).build(variant).state_dict()
    found, _ = recognise(Path("file"), state)
    # tensors show how many keypoints, not whose: 17 are COCO's and 14 CrowdPose's unless the file says more
    # and no tensor says how its maps are read
    assert replace(found, schema=variant.schema, codec=variant.codec) == variant
    assert found.keypoint_count == variant.keypoint_count
    # several files may hold the same network; it is called by the first of them
    assert variant_of(CATALOG[model_name(variant)]) == variant


@pytest.mark.parametrize("name", ["rtmpose-t", "rtmpose-t-halpe26", "rtmdet-nano", "rtmdet-tiny"])
def test_saved_and_loaded_again_a_model_is_the_same(tmp_path: Path, name: str) -> None:
    made = random_model(name)
    path = tmp_path / "model.pth"
    torch.save({"meta": {}, "state_dict": made.module.state_dict()}, path)
    loaded = load_checkpoint(path)

    assert loaded.variant == made.variant
    assert loaded.spec == made.spec
    assert (loaded.family, loaded.size) == (CATALOG[name].family, CATALOG[name].size)
    image = torch.randn(1, 3, *reversed(made.spec.image.wh))
    with torch.no_grad():
        for got, wanted in zip(loaded.module(image), made.module(image), strict=True):
            assert torch.equal(got, wanted)


def test_variants_outside_the_catalogue_get_a_name_by_the_same_habit() -> None:
    assert model_name(Variant("rtmpose", "x", (192, 256), "coco17")) == "rtmpose-x-coco17-256x192"
    assert model_name(Variant("rtmdet", "l", (640, 640), None, ("a", "b"))) == (
        "rtmdet-l-2classes-640x640"
    )


def test_detectors_take_other_inputs_and_simcc_heads_do_not() -> None:
    wide = with_input(random_model("rtmdet-nano"), (416, 256))
    outputs = wide.module(torch.zeros(1, 3, 256, 416))
    assert [tuple(o.shape[1:]) for o in outputs] == [t.shape[1:] for t in wide.spec.outputs]
    assert wide.spec.image.wh == (416, 256)
    with pytest.raises(CheckpointError, match="multiples of 32"):
        with_input(wide, (400, 256))
    with pytest.raises(CheckpointError, match="fix the input at 192x256"):
        with_input(random_model("rtmpose-t"), (288, 384))
