"""Licences of training data, as a student's card joins them."""

import json

import pytest

pytest.importorskip("torch")

from export.lineage import joined_terms
from quantize.distill.data.licences import commercial_use, data_terms

# The licences of COCO's images, as its annotation files spell them.
COCO = {
    1: "Attribution-NonCommercial-ShareAlike License",
    4: "Attribution License",
    7: "No known copyright restrictions",
}


@pytest.fixture
def coco(tmp_path):
    """Write a COCO file whose images have these licences, None for one without."""

    def write(*ids: int | None, models: list[dict] | None = None) -> str:
        path = tmp_path / "people.json"
        images = [{"id": n, "file_name": f"{n}.jpg", "license": key} for n, key in enumerate(ids)]
        licences = [{"id": key, "name": name, "url": "x"} for key, name in COCO.items()]
        content = {"images": images, "annotations": [], "licenses": licences}
        path.write_text(json.dumps(content | {"info": {"models": models or [], "year": 2017}}))
        return str(path)

    return write


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("Attribution-NonCommercial-NoDerivs License", False),
        ("CC-BY-NC-4.0", False),
        ("CC BY-NC-SA 4.0", False),
        ("for non-commercial research only", False),
        ("Attribution-ShareAlike License", True),
        ("CC-BY-4.0", True),
        ("CC0-1.0", True),
        ("Apache-2.0", True),
        ("own", True),
        ("Non Commercial use", False),
        ("CC BY-NC-ND 4.0", False),
        ("Attribution-NoDerivs License", None),
        ("CC-BY-ND-4.0", None),
        ("CC BY-ND 2.0", None),
        ("see the website", None),
        ("", None),
    ],
)
def test_what_a_licence_allows(name, allowed) -> None:
    assert commercial_use(name) is allowed


def test_licences_of_the_images_in_use_bind(coco) -> None:
    assert joined_terms(data_terms([f"{coco(4, 7)}:2"], "")) == ((COCO[4], COCO[7]), True)
    assert joined_terms(data_terms([coco(4, 1)], "")) == ((COCO[1], COCO[4]), False)


def test_images_without_a_licence_are_unknown(coco) -> None:
    assert joined_terms(data_terms([coco(4, None)], ""))[1] is None
    assert joined_terms(data_terms([coco(4, 9)], ""))[1] is None


def test_data_that_states_nothing_is_what_the_user_says_or_unknown(tmp_path) -> None:
    folder = str(tmp_path)
    assert joined_terms(data_terms([folder], "")) == ((), None)
    assert joined_terms(data_terms([folder], "CC-BY-4.0")) == (("CC-BY-4.0",), True)
    assert joined_terms(data_terms([folder], "own")) == ((), True)
    assert data_terms(["synth:2"], "CC-BY-NC-4.0") == []


def test_pseudo_labels_are_bound_by_the_models_that_made_them(coco) -> None:
    model = {"role": "pose", "model": "sapiens", "licences": ["CC-BY-NC-4.0"]}
    path = coco(4, models=[model | {"commercial_use": False}])
    assert joined_terms(data_terms([path], "")) == ((COCO[4], "CC-BY-NC-4.0"), False)
    assert joined_terms(data_terms([coco(4, models=[model])], ""))[1] is None
