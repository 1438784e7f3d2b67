"""COCO files that say the same in other ways give the same figures; what differs is counted or refused.

The control is a plain file of people with two keypoints, a blue and a red square, and a network that finds those.
"""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("faster_coco_eval")

from edge.evaluation.dataset import load_dataset
from edge.schema import KeypointSchema
from export.inputs import gate_inputs
from quantize.int8.calibration import gather_sets
from runtimes.artifact import Artifact
from runtimes.errors import EdgeposeWarning, InputError

COUNT, SIDE = 34, 32
TWO = KeypointSchema("two", ("blue", "red"), (), (), (0.1, 0.1))
File = dict[str, Any]


def each(key: str, **changes: Callable[[Any], Any]) -> Callable[[File], None]:
    """Change fields of all images, annotations or categories; to a value of ... removes them."""

    def change(truth: File) -> None:
        for record in truth[key]:
            for name, of in changes.items():
                value = of(record.get(name))
                if value is ...:
                    record.pop(name, None)
                else:
                    record[name] = value

    return change


def both(*changes: Callable[[File], None]) -> Callable[[File], None]:
    return lambda truth: [change(truth) for change in changes] and None


def gone(_: Any) -> Any:
    return ...


def ids(
    of_images: Callable[[Any], Any], of_annotations: Callable[[Any], Any]
) -> Callable[[File], None]:
    return both(each("images", id=of_images), each("annotations", image_id=of_annotations))


def without_categories(truth: File) -> None:
    del truth["categories"]


def categories(*records: File, person: Any = 1) -> Callable[[File], None]:
    def change(truth: File) -> None:
        truth["categories"] = list(records)
        for record in truth["annotations"]:
            record["category_id"] = person

    return change


def add(*changes: File) -> Callable[[File], None]:
    """Add annotations that are the first one with these changes."""

    def change(truth: File) -> None:
        for number, fields in enumerate(changes):
            record = truth["annotations"][0] | {"id": 1000 + number, "image_id": COUNT + 1} | fields
            truth["annotations"].append({k: v for k, v in record.items() if v is not ...})

    return change


def nested(keypoints: list[float]) -> list[list[float]]:
    return [keypoints[:3], keypoints[3:]]


def url(name: str) -> str:
    return f"http://images.example.org/some%20set/images/{name}?size=full"


def only_url(truth: File) -> None:
    for image in truth["images"]:
        image["coco_url"] = url(image.pop("file_name"))


DOG = {"id": 17, "name": "dog"}
BARE = {"name": "player", "id": 1, "keypoints": ["blue", "red"]}
SAME: dict[str, Callable[[File], object]] = {
    "ids as text": ids(str, str),
    "ids as text in images": ids(str, int),
    "ids as text in annotations": ids(int, str),
    "ids as floats": ids(float, int),
    "ids as text with zeros": ids("{:012d}".format, int),
    "ids as text of floats": ids(int, "{}.0".format),
    "ids that are names": ids("img{}".format, "img{}".format),
    "ids beyond 64 bits": ids(lambda n: n + 2**70, lambda n: n + 2**70),
    "ids from 0": ids(lambda n: n - 1, lambda n: n - 1),
    "ids below 0": ids(lambda n: -n, lambda n: -n),
    "annotation ids missing": each("annotations", id=gone),
    "annotation ids as text": each("annotations", id="a{}".format),
    "annotation ids from 0": each("annotations", id=lambda n: n - 1),
    "crowd false": each("annotations", iscrowd=lambda _: False),
    "crowd text": each("annotations", iscrowd=lambda _: "0"),
    "crowd null": each("annotations", iscrowd=lambda _: None),
    "crowd float": each("annotations", iscrowd=lambda _: 0.0),
    "crowd missing": each("annotations", iscrowd=gone),
    "areas missing": each("annotations", area=gone),
    "areas null": each("annotations", area=lambda _: None),
    "areas as text": each("annotations", area=str),
    "counts missing": each("annotations", num_keypoints=gone),
    "counts wrong": each("annotations", num_keypoints=lambda _: 0),
    "segments missing": each("annotations", segmentation=gone),
    "segments odd": each(
        "annotations", segmentation=lambda _: {"counts": [1, None, "x"], "size": 3}
    ),
    "segments null": each("annotations", segmentation=lambda _: None),
    "boxes as text": each("annotations", bbox=lambda box: [str(v) for v in box]),
    "visibility as floats": each("annotations", keypoints=lambda k: [*k[:2], 1.0, *k[3:5], 0.7]),
    "visibility as booleans": each(
        "annotations", keypoints=lambda k: [*k[:2], True, *k[3:5], True]
    ),
    "keypoints nested": each("annotations", keypoints=nested),
    "sizes missing": each("images", width=gone, height=gone),
    "sizes null": each("images", width=lambda _: None),
    "sizes zero": each("images", width=lambda _: 0, height=lambda _: 0),
    "sizes as text": each("images", width=str, height="{}.0".format),
    "names with backslashes": each("images", file_name="images\\{}".format),
    "names with folders": each("images", file_name="train/images/{}".format),
    "names with folders elsewhere": each("images", file_name="../../up/load/{}".format),
    "names absolute elsewhere": each("images", file_name="/mnt/nas/people/{}".format),
    "names of another system": each("images", file_name="D:\\people\\images\\{}".format),
    "names that are URLs": each("images", file_name=url),
    "URLs in place of names": only_url,
    "categories missing": without_categories,
    "categories empty": categories(),
    "category 0": categories({"id": 0, "name": "person"}, person=0),
    "category as text": categories({"id": "7", "name": "person"}, DOG, person=7),
    "category of text": categories({"id": "human", "name": "person"}, DOG, person="human"),
    "category Person": categories({"id": 3, "name": "Person "}, DOG, person=3),
    "category PERSON beside": categories(DOG | {"id": 1}, {"id": 2, "name": "PERSON"}, person=2),
    "category alone with keypoints": categories(DOG, BARE),
    "category whose annotations have keypoints": categories(DOG, {"id": 1, "name": "player"}),
    "category missing in annotations": each("annotations", category_id=gone),
    "other categories": both(
        categories({"id": 1, "name": "person"}, DOG),
        add({"category_id": 17, "keypoints": ..., "bbox": [0, 0, -1, 0], "area": 0}),
    ),
    "people without keypoints": add(  # where nothing is found: they are neither expected nor false positives
        *({"keypoints": value, "num_keypoints": 0} for value in (..., [], None, [0] * 6, [0] * 9))
    ),
    "a crowd": add({"iscrowd": True, "keypoints": ..., "area": ...}),
}


@pytest.mark.parametrize("kind", SAME)
def test_the_same_in_other_words_gives_the_same_figures(
    control: Callable[[], File],
    place: Path,
    figures: Callable[..., Any],
    expected: dict[str, Any],
    kind: str,
) -> None:
    truth = control()
    SAME[kind](truth)
    path = place / "same.json"
    path.write_text(json.dumps(truth))
    done = figures(path)
    assert done.code == 0, done.err
    assert done.json == expected
    assert "warning" not in done.err
    reading = load_dataset(path)
    wanted = load_dataset(place / "control.json")
    assert list(reading.paths.values()) == list(wanted.paths.values())


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: text.replace("{", "\r\n\t{").encode(),
    ],
    ids=["byte order mark", "UTF-16", "white space"],
)
def test_encodings(
    control: Callable[[], File],
    place: Path,
    figures: Callable[..., Any],
    expected: dict[str, Any],
    encode: Callable[[str], bytes],
) -> None:
    (place / "encoded.json").write_bytes(encode(json.dumps(control())))
    assert figures(place / "encoded.json").json == expected


def extent(record: File) -> list[float]:
    x0, y0, _, x1, y1, _ = record["keypoints"]
    return [min(x0, x1), min(y0, y1), max(abs(x1 - x0), 1), max(abs(y1 - y0), 1)]


BAD_BOXES: dict[str, list[Any]] = {
    "negative": [40, 40, -SIDE, -SIDE],
    "zero": [30, 30, 0, 0],
    "one side zero": [3, 3, 20, 0],
    "NaN": [float("nan"), 1, 2, 3],
    "infinite": [0, 0, float("inf"), 3],
    "null inside": [0, None, 5, 5],
    "right of the image": [96, 3, 10, 10],
    "left of the image": [-20, 3, 10, 10],
    "below the image": [3, 64, 10, 10],
    "huge": [0, 0, 1e300, 1e300],
}


@pytest.mark.parametrize("kind", [*BAD_BOXES, "missing", "null", "empty"])
def test_a_person_without_a_usable_box_gets_that_of_the_keypoints(
    control: Callable[[], File], place: Path, figures: Callable[..., Any], kind: str
) -> None:
    bad, good = control(), control()
    for number in (0, 5):
        bad["annotations"][number]["bbox"] = BAD_BOXES.get(kind, [] if kind == "empty" else None)
        good["annotations"][number]["bbox"] = extent(good["annotations"][number])
        if kind == "missing":
            del bad["annotations"][number]["bbox"]
    add({"keypoints": [0] * 6, "bbox": BAD_BOXES.get(kind)})(bad)
    for name, truth in (("bad", bad), ("good", good)):
        (place / f"{name}.json").write_text(json.dumps(truth))
    done = figures(place / "bad.json")
    assert done.json == figures(place / "good.json").json
    noted = "2 boxes are negative, empty" if kind in BAD_BOXES else "2 people have no box"
    (line,) = [line for line in done.talk if line.startswith("warning: ")]
    assert noted in line
    assert "1 person without a usable box or a labelled keypoint is left out" in line


def test_keypoints_that_are_no_numbers_are_unlabelled_and_counted(
    control: Callable[[], File], place: Path, figures: Callable[..., Any]
) -> None:
    odd, plain = control(), control()
    for number, value in enumerate((float("nan"), float("inf"), None, 1e40)):
        odd["annotations"][number]["keypoints"][number % 3] = value
        plain["annotations"][number]["keypoints"][:3] = [0, 0, 0]
    for name, truth in (("odd", odd), ("plain", plain)):
        (place / f"{name}.json").write_text(json.dumps(truth))
    done = figures(place / "odd.json")
    assert done.json == figures(place / "plain.json").json
    assert "4 keypoints are not finite and count as unlabelled" in done.err


def test_annotations_of_other_images_are_left_out_and_counted(
    control: Callable[[], File], place: Path, figures: Callable[..., Any], expected: dict[str, Any]
) -> None:
    truth = control()
    add({"image_id": 999}, {"image_id": "gone"})(truth)
    (place / "stray.json").write_text(json.dumps(truth))
    done = figures(place / "stray.json")
    assert done.json == expected
    assert "2 annotations of images that the file does not list are left out" in done.err


def test_areas_of_nothing_are_those_of_a_box_without_area(
    control: Callable[[], File], place: Path, figures: Callable[..., Any], expected: dict[str, Any]
) -> None:
    truth = control()
    for number, area in enumerate((0, -5, float("nan"), float("inf"))):
        truth["annotations"][number]["area"] = area
    (place / "areas.json").write_text(json.dumps(truth))
    done = figures(place / "areas.json")
    assert done.json == expected
    assert "4 areas are not above 0" in done.err


def test_what_is_there_twice_counts_once(
    control: Callable[[], File], place: Path, figures: Callable[..., Any], expected: dict[str, Any]
) -> None:
    truth = control()
    for key in ("images", "annotations"):
        truth[key].append(dict(truth[key][3]))
    for annotation in truth["annotations"][5:7]:  # other people's ids
        annotation["id"] = truth["annotations"][0]["id"]
    (place / "twice.json").write_text(json.dumps(truth))
    done = figures(place / "twice.json")
    assert done.json == expected
    for said in (
        "1 image is listed twice",
        "1 annotation is there twice and counts once",
        "2 annotations have another's id and get one of their own",
    ):
        assert said in done.err


NOBODY = categories(
    {"id": 1, "name": "player", "keypoints": ["a"]}, {"id": 2, "name": "ball", "keypoints": ["b"]}
)
REFUSED: dict[str, tuple[Callable[[File], object], str]] = {
    "two categories with keypoints": (
        both(NOBODY, add({"category_id": 2})), "1 player, 2 ball, none is named person"),
    "one category without keypoints": (
        both(categories({"id": 1, "name": "ball"}), each("annotations", keypoints=gone)),
        "1 ball, none is named person",
    ),
    "ids of no category": (
        categories({"id": 0, "name": "person"}, person=1),
        "some are of 1, which the file does not list: 0 person",
    ),
    "two images of one id": (
        lambda truth: truth["images"].append(truth["images"][3] | {"file_name": "x.png"}),
        "image id 4 occurs twice, as 3.png and x.png",
    ),
    "no image listed": (lambda truth: truth["images"].clear(), "annotation 1 is of image 1, which"),
    "a crowd of two": (each("annotations", iscrowd=lambda _: 2), "annotations[0].iscrowd is 2"),
    "a crowd list": (each("annotations", iscrowd=lambda _: [1]), "annotations[0].iscrowd is [1]"),
    "a box of three": (each("annotations", bbox=lambda box: box[:3]), "annotations[0].bbox has 3"),
    "a box of words": (each("annotations", bbox=lambda _: "all"), "annotations[0].bbox is 'all'"),
    "an area of words": (each("annotations", area=lambda _: "big"), "annotations[0].area is 'big'"),
    "pairs": (each("annotations", keypoints=lambda k: k[:4]), "annotation 1 has 4 keypoint values"),
    "an id of nothing": (each("images", id=lambda _: None), "images[0].id is None"),
    "an id in a list": (each("annotations", image_id=lambda n: [n]), "annotations[0].image_id is [1]"),
    "no name": (each("images", file_name=gone), "images[0] has no file_name"),
    "names gone": (each("images", file_name="x{}".format), "no image x0.png and 34 more (of "),
    "a long name": (each("images", file_name=lambda _: "x" * 5000), "no image xxx"),
    "a name of odd letters": (each("images", file_name=lambda _: "\ud800\0.png"), "no image '\\ud800"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_contradicts_itself_is_refused_in_one_line(
    control: Callable[[], File], place: Path, figures: Callable[..., Any], kind: str
) -> None:
    change, said = REFUSED[kind]
    truth = control()
    change(truth)
    path = place / "refused.json"
    path.write_text(json.dumps(truth))
    done = figures(path)
    assert done.code == 2
    assert said in done.message
    assert str(path) in done.message


@pytest.mark.parametrize(
    "content",
    [
        lambda text: text[:-40].encode(),
        b"",
        b"\xef\xbb\xbf",
        b"null",
        b"[" * 100_000,
        b'{"images": [], "annotations": [' + b"[" * 100_000,
        lambda text: text.replace("0.png", "\xff").encode("latin-1"),
        b'{"images": [{"id": 1, "file_name": "a", "width": ' + b"9" * 5000 + b"}",
    ],
    ids=range(8),
)
def test_broken_json_is_refused_in_one_line(
    control: Callable[[], File],
    place: Path,
    figures: Callable[..., Any],
    content: bytes | Callable[[str], bytes],
) -> None:
    text = json.dumps(control())
    (place / "broken.json").write_bytes(content if isinstance(content, bytes) else content(text))
    done = figures(place / "broken.json")
    assert done.code == 2
    assert "is no COCO annotation file" in done.message
    assert len(done.message) < 400


@pytest.mark.parametrize("category", ["player", "PLAYER", "1"])
def test_a_category_is_chosen_by_name_or_id(
    control: Callable[[], File],
    place: Path,
    figures: Callable[..., Any],
    expected: dict[str, Any],
    category: str,
) -> None:
    truth = control()
    NOBODY(truth)
    add({"category_id": 2})(truth)
    path = place / "players.json"
    path.write_text(json.dumps(truth))
    assert figures(path, "--category", category).json == expected
    done = figures(path, "--category", "goalkeeper")
    assert done.code == 2
    assert "no category 'goalkeeper': 1 player, 2 ball" in done.message


CHANGED = (
    "category 0",
    "ids that are names",
    "people without keypoints",
    "sizes missing",
    "crowd false",
)


@pytest.mark.parametrize("kind", CHANGED)
def test_the_gate_and_calibration_read_the_same_people(
    control: Callable[[], File], place: Path, kind: str
) -> None:
    truth = control()
    SAME[kind](truth)
    path = place / "calib.json"
    path.write_text(json.dumps(truth))
    spec = Artifact.open(place / "pose").manifest
    wanted = gate_inputs(spec, place / "control.json")
    np.testing.assert_array_equal(gate_inputs(spec, path).images, wanted.images)
    sets = gather_sets(spec, path)
    assert sets.sha256 == gather_sets(spec, place / "control.json").sha256
    with pytest.raises(InputError, match="no category 'horse'"):
        gather_sets(spec, path, category="horse")


@pytest.mark.parametrize("kind", CHANGED)
def test_training_reads_the_same_people(
    control: Callable[[], File], place: Path, kind: str
) -> None:
    pytest.importorskip("torch")
    from quantize.distill.data.patch_cache import PatchCache
    from quantize.distill.data.sources import load_annotated
    from quantize.distill.detector.data import detection_set

    truth = control()
    SAME[kind](truth)
    path = place / "train.json"
    path.write_text(json.dumps(truth))
    unnamed = pytest.warns(EdgeposeWarning, match="taken to be those of two, blue, red")
    with unnamed if kind == "category 0" else contextlib.nullcontext():
        everyone = load_annotated(path, TWO)
    people = [each for each in everyone if each.labelled]
    wanted = load_annotated(place / "control.json", TWO)
    assert len(people) == 2 * COUNT
    assert len(everyone) - len(people) == (5 if kind == "people without keypoints" else 0)
    for one, other in zip(people, wanted, strict=True):
        np.testing.assert_array_equal(one.box, other.box)
        np.testing.assert_array_equal(one.keypoints, other.keypoints)
    patches = [PatchCache(some[:3], 1.25).patch(2).image for some in (people, wanted)]
    np.testing.assert_array_equal(*patches)
    pictures, plain = (
        detection_set([(load_dataset(name), 1.0)]) for name in (path, place / "control.json")
    )
    assert pictures.paths == plain.paths
    assert [len(boxes) for boxes in pictures.boxes[:COUNT]] == [2] * COUNT


def test_training_takes_bad_boxes_and_says_so(control: Callable[[], File], place: Path) -> None:
    pytest.importorskip("torch")
    from quantize.distill.data.sources import load_annotated

    truth = control()
    truth["annotations"][0]["bbox"] = BAD_BOXES["negative"]
    path = place / "negative.json"
    path.write_text(json.dumps(truth))
    with pytest.warns(EdgeposeWarning, match=r"1 box is negative"):
        people = load_annotated(path, TWO)
    assert len(people) == 2 * COUNT
    x, y, width, height = extent(truth["annotations"][0])
    assert people[0].box.tolist() == [x, y, x + width, y + height]
