"""Training sets: sources, weights, and conversion of keypoint sets."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

from edge.schema import load_schema
from edge.synth import write_dataset
from quantize.distill.data.licences import data_terms
from quantize.distill.data.sources import (
    drawn_folder,
    labelled_part,
    load_annotated,
    load_training_set,
    trained_on,
)
from runtimes.errors import InputError
from runtimes.spec import Lineage

COCO, BODY26, COCO133 = (load_schema(name) for name in ("coco17", "body26", "coco133"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch) -> None:
    monkeypatch.setenv("EDGEPOSE_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def drawn_json(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("set") / "drawn", 5, 3)


def in_schema(source: Path, target: Path, schema) -> Path:
    """The same people as if labelled with another keypoint set, its points numbered by x."""
    data = json.loads(source.read_text())
    for each in data["annotations"]:
        each["keypoints"] = [v for place in range(len(schema)) for v in (place, 1, 2)]
    data["categories"][0]["keypoints"] = list(schema.names)
    target.write_text(json.dumps(data))
    return target


def test_sources_are_put_together(drawn_json, tmp_path) -> None:
    cv2.imwrite(str(tmp_path / "a.jpg"), np.zeros((40, 30, 3), np.uint8))
    training_set = load_training_set([f"{drawn_json}:2", "synth:0.5", str(tmp_path)], COCO, drawn=2)
    file, drawn, folder = training_set.slices
    assert [share.weight for share in training_set.slices] == [2.0, 0.5, 1.0]
    assert (file.first, drawn.first, folder.first) == (0, file.count, file.count + drawn.count)
    assert folder.count == 1
    assert len(training_set.instances) == folder.first + 1
    assert training_set.instances[-1].box.tolist() == [0, 0, 30, 40]
    assert training_set.labelled
    assert not load_training_set([str(tmp_path)], COCO, drawn=2).labelled


def test_both_versions_of_the_drawn_people_in_one_run() -> None:
    mixed = load_training_set(["synth:2", "synth-v2"], COCO, drawn=1)
    plain, photographic = mixed.slices
    assert [each.weight for each in mixed.slices] == [2, 1]
    paths = [person.image_path.parents[1].name for person in mixed.instances]
    assert (
        paths
        == ["drawn-seed1000000-1"] * plain.count + ["drawn-v2-seed1000000-1"] * photographic.count
    )
    # version 1 alone is what it was
    alone = load_training_set(["synth"], COCO, drawn=1).instances
    assert [each.key for each in alone] == [each.key for each in mixed.instances[: plain.count]]
    assert data_terms(["synth", "synth-v2:3"], "") == []


def test_drawn_people_are_rendered_once(tmp_path) -> None:
    first = load_training_set(["synth"], COCO, drawn=2)
    picture = first.instances[0].image_path
    written = picture.stat().st_mtime_ns
    again = load_training_set(["synth"], COCO, drawn=2)
    assert again.instances[0].image_path == picture
    assert picture.stat().st_mtime_ns == written


@pytest.mark.parametrize("theirs", [BODY26, COCO133], ids=lambda schema: schema.name)
def test_another_keypoint_set_is_converted_by_name(drawn_json, tmp_path, theirs) -> None:
    path = in_schema(drawn_json, tmp_path / "other.json", theirs)
    people = load_annotated(path, COCO, drawn_json.parent / "images")
    assert len(people) == len(load_annotated(drawn_json, COCO))
    for place, name in enumerate(COCO.names):
        assert people[0].keypoints[place].tolist() == [theirs.names.index(name), 1, 2]


def test_what_a_set_does_not_name_is_unlabelled(drawn_json) -> None:
    people = load_annotated(drawn_json, BODY26)
    known = np.array([name in COCO.names for name in BODY26.names])
    assert (people[0].keypoints[~known] == 0).all()
    assert (people[0].keypoints[known, 2] > 0).any()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nothing.txt", "give a COCO.json, a directory of pictures, or `synth`"),
        ("synth:0", "a weight is a number above 0"),
        ("synth:inf", "a weight is a number above 0"),
        ("missing.json", "cannot read missing.json"),
    ],
)
def test_unknown_sources_are_refused(source, said) -> None:
    with pytest.raises(InputError, match=said):
        load_training_set([source], COCO, drawn=2)


def test_files_are_read_before_anyone_is_drawn(tmp_path) -> None:
    with pytest.raises(InputError, match=r"missing\.json"):
        load_training_set(("synth", str(tmp_path / "missing.json")), COCO, 3)
    assert not drawn_folder().exists()


def test_drawn_people_have_cocos_points() -> None:
    with pytest.raises(InputError, match="COCO's 17 keypoints, not body26"):
        load_training_set(["synth"], BODY26, drawn=2)


def test_an_unknown_keypoint_set_is_refused(drawn_json, tmp_path) -> None:
    data = json.loads(drawn_json.read_text())
    for each in data["annotations"]:
        each["keypoints"] = [90, 90, 2] * 5
    path = tmp_path / "five.json"
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match="has 5 keypoints and its category names 17"):
        load_annotated(path, COCO, drawn_json.parent / "images")


def test_animals_are_not_taken_for_people_of_as_many_keypoints(drawn_json, tmp_path) -> None:
    """AP-10K has 17 keypoints as COCO has, in another order."""
    animals = load_schema("ap10k17")
    people = load_annotated(
        in_schema(drawn_json, tmp_path / "ap10k.json", animals), COCO, drawn_json.parent / "images"
    )
    shared = {name: animals.names.index(name) for name in COCO.names if name in animals.names}
    assert shared
    for place, name in enumerate(COCO.names):
        wanted = [shared[name], 1, 2] if name in shared else [0, 0, 0]
        assert people[0].keypoints[place].tolist() == wanted


def test_a_whole_body_file_labels_all_133_keypoints(drawn_json, tmp_path) -> None:
    data = json.loads(drawn_json.read_text())
    for each in data["annotations"]:
        for part, count in (("foot", 6), ("face", 68), ("lefthand", 21), ("righthand", 21)):
            each[f"{part}_kpts"] = [20, 30, 2] * count
            each[f"{part}_valid"] = True
    path = tmp_path / "wholebody.json"
    path.write_text(json.dumps(data))
    people = load_annotated(path, COCO133, drawn_json.parent / "images")
    assert (people[0].keypoints[17:] == [20, 30, 2]).all()
    same = load_annotated(path, COCO, drawn_json.parent / "images")
    plain = load_annotated(drawn_json, COCO)
    assert all(np.array_equal(a.keypoints, b.keypoints) for a, b in zip(same, plain, strict=True))


def test_people_without_labels_are_kept_and_can_be_left_out(drawn_json, tmp_path) -> None:
    data = json.loads(drawn_json.read_text())
    first, *rest = data["annotations"]
    first["keypoints"], first["num_keypoints"] = [0] * 51, 0
    path = tmp_path / "some.json"
    path.write_text(json.dumps(data))
    cv2.imwrite(str(tmp_path / "a.jpg"), np.zeros((40, 30, 3), np.uint8))
    every = load_training_set(
        [f"{path}:3", str(tmp_path)], COCO, drawn=2, images=drawn_json.parent / "images"
    )
    assert (len(every.instances), every.unlabelled) == (len(rest) + 2, 2)
    labelled = labelled_part(every)
    assert labelled.unlabelled == 0
    (only,) = labelled.slices
    assert (only.first, only.count, only.weight) == (0, len(rest), 3.0)


def test_a_missing_image_is_named(drawn_json, tmp_path) -> None:
    path = tmp_path / "moved.json"
    path.write_text(drawn_json.read_text())
    with pytest.raises(InputError, match=r"no image 000000\.jpg .*--images DIR"):
        load_annotated(path, COCO)


def test_weights_are_drawn_only_where_all_they_saw_was_drawn() -> None:
    drawn = Lineage(weights="checkpoint", trained_on="drawn")
    other = Lineage(weights="checkpoint")
    assert trained_on(["synth"], []) == "drawn"
    assert trained_on(["synth:2"], [drawn]) == "drawn"
    assert trained_on(["synth", "synth-v2:30"], [drawn]) == "drawn"
    assert trained_on(["synth", "people.json"], []) == "unknown"
    assert trained_on(["synth"], [other]) == "unknown"
