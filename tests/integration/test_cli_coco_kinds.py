"""COCO files that say the same in other ways give the same figures; what differs is counted or refused.

The control is a plain file of people with two keypoints, a blue and a red square, and a network that finds those.
"""

import contextlib
import io
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("faster_coco_eval")

from edge.evaluation.dataset import load_dataset
from edge.evaluation.predict import predict
from edge.evaluation.summary import FIGURES
from edge.model import load
from edge.schema import KeypointSchema
from export.inputs import gate_inputs
from quantize.int8.calibration import gather_sets
from runtimes.artifact import Artifact
from runtimes.errors import EdgeposeWarning, InputError, SourceError

COUNT, WH, SIDE = 34, (96, 64), 32
TWO = KeypointSchema("two", ("blue", "red"), (), (), (0.1, 0.1))
File = dict[str, Any]


def control() -> File:
    """34 images of two people each, and one of none; keypoints are some pixels beside what the network finds."""
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for index in range(COUNT):
        images.append({"id": index + 1, "file_name": f"{index}.png", "width": 96, "height": 64})
        for person in range(2):
            x, y = 8 + 48 * person, int(rng.integers(0, 16)) * 2
            blue, red = rng.integers(0, 8, (2, 2)) * 4
            off = rng.integers(0, 5, 2)
            points = np.add((blue + off, red + off[::-1]), (x, y)).tolist()
            annotations.append(
                {
                    "id": 2 * index + person + 1,
                    "image_id": index + 1,
                    "category_id": 1,
                    "bbox": [x, y, SIDE, SIDE],
                    "area": 0.53 * SIDE * SIDE,
                    "iscrowd": 0,
                    "num_keypoints": 2,
                    "keypoints": [*points[0], 2, *points[1], 2],
                    "segmentation": [],
                    "squares": [blue.tolist(), red.tolist()],
                }
            )  # fmt: skip
    images.append({"id": COUNT + 1, "file_name": "empty.png", "width": 96, "height": 64})
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person", "keypoints": ["blue", "red"]}],
    }


def draw(folder: Path) -> None:
    truth = control()
    rng = np.random.default_rng(1)
    folder.mkdir()
    for image in truth["images"]:
        picture = np.zeros((WH[1], WH[0], 3), np.uint8)
        picture[..., 1] = rng.integers(0, 255, (WH[1], WH[0]))  # so that no two images are the same
        for each in truth["annotations"]:
            if each["image_id"] == image["id"]:
                x, y = each["bbox"][:2]
                for channel, (dx, dy) in zip((0, 2), each["squares"], strict=True):
                    picture[y + dy : y + dy + 4, x + dx : x + dx + 4, channel] = 255
        cv2.imwrite(str(folder / image["file_name"]), picture)


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory, small_artifact: Callable[..., Artifact]
) -> Path:
    """A folder with the network's artifact, the images, and the control file."""
    folder = tmp_path_factory.mktemp("kinds")
    small_artifact(folder / "pose")
    draw(folder / "images")
    (folder / "control.json").write_text(json.dumps(control()))
    return folder


@pytest.fixture(scope="module")
def figures(place: Path, edgepose: Callable[..., Any]) -> Callable[..., Any]:
    """Evaluate the network on a file: how the command ended."""

    def run(path: Path, *more: object) -> Any:
        return edgepose("eval", place / "pose", "--annotations", path, "--json", *more)

    return run


@pytest.fixture(scope="module")
def expected(place: Path, figures: Callable[..., Any]) -> dict[str, Any]:
    """The control's figures; an AP that differs where people or boxes do."""
    found = figures(place / "control.json").json
    assert 0.2 < found["AP"] < 0.9
    return found


def test_the_control_scores_as_by_the_evaluator_alone(
    place: Path, expected: dict[str, Any]
) -> None:
    """The file as it is, read by the evaluator's own reader, and our poses."""
    from faster_coco_eval import COCO, COCOeval_faster

    with load(place / "pose") as model:
        results = predict(model, load_dataset(place / "control.json"))
    records = [
        {
            "image_id": each.image_id,
            "category_id": 1,
            "score": each.score,
            "keypoints": list(each.keypoints),
        }
        for each in results
    ]
    quiet = {"print_function": lambda *_: None}
    truth = COCO(str(place / "control.json"), **quiet)
    evaluator = COCOeval_faster(
        truth, truth.loadRes(records), "keypoints", kpt_oks_sigmas=[0.1, 0.1], **quiet
    )
    evaluator.evaluate()
    evaluator.accumulate()
    precision = evaluator.eval["precision"][:, :, :, 0, -1]
    assert expected["AP"] == pytest.approx(float(precision[precision > -1].mean()), abs=1e-9)


def detections() -> list[File]:
    """Boxes as a detector gives them: beside the people, twice, where nobody is, and one of another category."""
    rng = np.random.default_rng(3)
    found = []
    for each in control()["annotations"]:
        x, y, w, h = each["bbox"]
        for score in rng.choice([0.95, 0.6, 0.3, 0.05], rng.integers(1, 4), replace=False).tolist():
            beside = np.add((x, y, w, h), rng.integers(-3, 4, 4)).tolist()
            found.append({"image_id": each["image_id"], "bbox": beside, "score": score})
    found += [{"image_id": COUNT + 1, "bbox": [0, 0, 40, 30], "score": 0.2}]
    return [each | {"category_id": 1} for each in found]


def judged(truth: Path, results: Path) -> list[float]:
    """Score a result file with COCO's own evaluator where it is installed, else with its faster equal."""
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            from pycocotools.coco import COCO
            from pycocotools.cocoeval import COCOeval
        except ImportError:
            from faster_coco_eval import COCO
            from faster_coco_eval import COCOeval_faster as COCOeval
        reference = COCO(str(truth))
        evaluator = COCOeval(reference, reference.loadRes(str(results)), "keypoints")
        evaluator.params.kpt_oks_sigmas = np.array([0.1, 0.1])
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return [float(value) for value in evaluator.stats[:10]]


@pytest.mark.parametrize("options", [[], ["--det-thr", 0.3], ["--pose-nms", "none"]])
def test_in_detected_boxes_the_figures_are_those_of_the_result_file(
    place: Path, edgepose: Callable[..., Any], tmp_path: Path, options: list[object]
) -> None:
    boxes, out = tmp_path / "boxes.json", tmp_path / "results.json"
    boxes.write_text(json.dumps(detections()))
    args = ("eval", place / "pose", "--annotations", place / "control.json", "--out", out)
    done = edgepose(*args, "--detections", boxes, "--json", *options)
    assert done.code == 0, done.err
    figures = [done.json[name] for name in FIGURES]
    expected = judged(place / "control.json", out)
    assert 0.05 < expected[0] < 0.9
    assert [-1.0 if each is None else each for each in figures] == pytest.approx(expected, abs=5e-5)
    scores = [each["score"] for each in detections()]
    wanted = sum(score >= 0.3 for score in scores) if "--det-thr" in options else len(scores)
    results = json.loads(out.read_text())
    assert len(results) == wanted if "--pose-nms" in options else len(results) < wanted
    again = edgepose(*args, "--detections", boxes)
    assert (again.code, "add --force" in again.message) == (2, True)


def test_a_score_is_the_boxs_times_the_mean_of_the_confident_keypoints(
    place: Path, edgepose: Callable[..., Any], tmp_path: Path
) -> None:
    """As mmpose's score_mode bbox_keypoint, and as SimpleBaseline's rescoring with in_vis_thre .2."""
    boxes, out = tmp_path / "boxes.json", tmp_path / "results.json"
    boxes.write_text(json.dumps(detections()))
    args = ("--annotations", place / "control.json", "--detections", boxes, "--pose-nms", "none")
    assert edgepose("eval", place / "pose", *args, "--out", out).code == 0
    results = json.loads(out.read_text())
    by_image = {(each["image_id"], *each["bbox"]): each["score"] for each in detections()}
    assert len(results) == len(detections())
    for each in results:
        confident = [score for score in each["keypoints"][2::3] if score > 0.2]
        box = by_image[(each["image_id"], *each["bbox"])]
        mean = sum(confident) / len(confident) if confident else 0.0
        assert each["score"] == pytest.approx(box * mean, abs=1e-3)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image_id": 4711}, "images that the annotations do not list"),
        ({"category_id": 99}, "no box is of category 1"),
    ],
)
def test_boxes_of_another_set_are_refused(
    place: Path,
    edgepose: Callable[..., Any],
    tmp_path: Path,
    changes: File,
    said: str,
) -> None:
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps([each | changes for each in detections()]))
    args = ("--annotations", place / "control.json", "--detections", boxes)
    # the model is not opened: there is none
    done = edgepose("eval", "rtmpose-t", "--weights", "gone.pth", *args)
    assert done.code == 2
    assert said in done.message


@pytest.mark.parametrize("source", ["annotated", "detected"])
def test_the_mean_over_all_categories_is_the_evaluators(
    place: Path, edgepose: Callable[..., Any], tmp_path: Path, source: str
) -> None:
    """Two kinds of animals with the same keypoints, as in AP-10K; the second kind's labels are further off."""
    truth = control()
    truth["categories"] = [
        {"id": 5, "name": "cat"},
        {"id": 6, "name": "ox"},
        {"id": 9, "name": "-"},
    ]
    for each in truth["annotations"]:
        second = each["id"] % 2 == 0
        each["category_id"] = 6 if second else 5
        each["keypoints"][0] += 2 * second
    path, boxes, out = (place / f"animals_{name}.json" for name in ("truth", "boxes", "results"))
    path.write_text(json.dumps(truth))
    kind = {each["image_id"]: 5 + each["image_id"] % 2 for each in truth["annotations"]}
    found = [each | {"category_id": kind.get(each["image_id"], 5)} for each in detections()]
    boxes.write_text(json.dumps(found))
    chosen = ["--detections", boxes] if source == "detected" else []
    args = ("eval", place / "pose", "--annotations", path, "--category", "all", *chosen)
    done = edgepose(*args, "--out", out, "--force", "--json")
    assert done.code == 0, done.err
    figures = [done.json[name] for name in FIGURES]
    expected = judged(path, out)
    assert [-1.0 if each is None else each for each in figures] == pytest.approx(expected, abs=5e-5)
    each_kind = done.json["breakdown"]
    assert list(each_kind) == ["cat", "ox"]
    assert each_kind["cat"]["AP"] != each_kind["ox"]["AP"]
    assert (done.json["images"], done.json["people"]) == (COUNT + 1, 2 * COUNT)
    alone = edgepose("eval", place / "pose", "--annotations", path, "--category", "ox", "--json")
    if source == "annotated":
        assert alone.json["AP"] == pytest.approx(each_kind["ox"]["AP"])


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
    place: Path, figures: Callable[..., Any], expected: dict[str, Any], kind: str
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
    place: Path, figures: Callable[..., Any], kind: str
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
    place: Path, figures: Callable[..., Any]
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
    place: Path, figures: Callable[..., Any], expected: dict[str, Any]
) -> None:
    truth = control()
    add({"image_id": 999}, {"image_id": "gone"})(truth)
    (place / "stray.json").write_text(json.dumps(truth))
    done = figures(place / "stray.json")
    assert done.json == expected
    assert "2 annotations of images that the file does not list are left out" in done.err


def test_areas_of_nothing_are_those_of_a_box_without_area(
    place: Path, figures: Callable[..., Any], expected: dict[str, Any]
) -> None:
    truth = control()
    for number, area in enumerate((0, -5, float("nan"), float("inf"))):
        truth["annotations"][number]["area"] = area
    (place / "areas.json").write_text(json.dumps(truth))
    done = figures(place / "areas.json")
    assert done.json == expected
    assert "4 areas are not above 0" in done.err


def test_what_is_there_twice_counts_once(
    place: Path, figures: Callable[..., Any], expected: dict[str, Any]
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
    place: Path, figures: Callable[..., Any], kind: str
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
        json.dumps(control())[:-40].encode(),
        b"",
        b"\xef\xbb\xbf",
        b"null",
        b"[" * 100_000,
        b'{"images": [], "annotations": [' + b"[" * 100_000,
        json.dumps(control()).replace("0.png", "\xff").encode("latin-1"),
        b'{"images": [{"id": 1, "file_name": "a", "width": ' + b"9" * 5000 + b"}",
    ],
    ids=range(8),
)
def test_broken_json_is_refused_in_one_line(
    place: Path, figures: Callable[..., Any], content: bytes
) -> None:
    (place / "broken.json").write_bytes(content)
    done = figures(place / "broken.json")
    assert done.code == 2
    assert "is no COCO annotation file" in done.message
    assert len(done.message) < 400


@pytest.mark.parametrize("category", ["player", "PLAYER", "1"])
def test_a_category_is_chosen_by_name_or_id(
    place: Path, figures: Callable[..., Any], expected: dict[str, Any], category: str
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


def exif(path: Path, orientation: int) -> None:
    """Mark a JPEG as to be turned."""
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    segment = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 0)
    jpeg = path.read_bytes()
    marker = b"\xff\xe1" + struct.pack(">H", len(segment) + 2)
    path.write_bytes(jpeg[:2] + marker + segment + jpeg[2:])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("annotated", ["stored", "turned"])
def test_images_are_read_as_they_were_annotated(
    tmp_path: Path, orientation: int, annotated: str
) -> None:
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:10, :10] = 255
    cv2.imwrite(str(tmp_path / "a.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 100])
    exif(tmp_path / "a.jpg", orientation)
    stored = cv2.imread(str(tmp_path / "a.jpg"), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    turned = cv2.imread(str(tmp_path / "a.jpg"))
    assert (turned.shape == stored.shape) == (orientation < 5)
    wanted = stored if annotated == "stored" or orientation < 5 else turned
    height, width = wanted.shape[:2]
    truth = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": width, "height": height}],
        "annotations": [],
    }
    (tmp_path / "a.json").write_text(json.dumps(truth))
    np.testing.assert_array_equal(load_dataset(tmp_path / "a.json").image(1), wanted)
    truth["images"][0]["width"] += 1
    (tmp_path / "a.json").write_text(json.dumps(truth))
    with pytest.raises(
        SourceError, match=rf"a\.jpg: the file is 60x40, the annotation says {width + 1}x"
    ):
        load_dataset(tmp_path / "a.json").image(1)


def test_images_of_another_size_are_refused(
    place: Path, figures: Callable[..., Any], tmp_path: Path
) -> None:
    for path in (place / "images").iterdir():
        cv2.imwrite(
            str(tmp_path / path.name), cv2.resize(cv2.imread(str(path)), None, fx=0.5, fy=0.5)
        )
    done = figures(place / "control.json", "--images", tmp_path)
    assert done.code == 2
    assert "0.png: the file is 48x32, the annotation says 96x64" in done.message


def test_names_that_lead_to_one_file_are_refused(place: Path, tmp_path: Path) -> None:
    truth = control()
    for number, image in enumerate(truth["images"]):
        image["file_name"] = f"cam{number % 2}/{number // 2}.png"
    path = tmp_path / "cameras.json"
    path.write_text(json.dumps(truth))
    with pytest.raises(InputError, match=r"cam0/0\.png and cam1/0\.png are both found as .*0\.png"):
        load_dataset(path, place / "images")


CHANGED = (
    "category 0",
    "ids that are names",
    "people without keypoints",
    "sizes missing",
    "crowd false",
)


@pytest.mark.parametrize("kind", CHANGED)
def test_the_gate_and_calibration_read_the_same_people(place: Path, kind: str) -> None:
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
def test_training_reads_the_same_people(place: Path, kind: str) -> None:
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


def test_folders_of_images_are_read_alike_by_every_verb(place: Path, tmp_path: Path) -> None:
    for path in (place / "images").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "._0.png").write_bytes(b"\0\5\x16\7")
    spec = Artifact.open(place / "pose").manifest
    clean = gather_sets(spec, place / "images")
    assert gather_sets(spec, tmp_path).sha256 == clean.sha256
    (tmp_path / "0-broken.png").write_bytes((place / "images" / "0.png").read_bytes()[:90])
    said = rf"{tmp_path}: 1 of {COUNT + 2} images cannot be read: 0-broken\.png"
    with pytest.warns(EdgeposeWarning, match=said):
        assert gather_sets(spec, tmp_path).sha256 == clean.sha256
    with pytest.warns(EdgeposeWarning, match=said):
        np.testing.assert_array_equal(
            gate_inputs(spec, tmp_path).images, gate_inputs(spec, place / "images").images
        )
    pytest.importorskip("torch")
    from quantize.distill.data.sources import load_training_set

    with pytest.warns(EdgeposeWarning, match=said):
        assert len(load_training_set([str(tmp_path)], TWO, drawn=2).instances) == COUNT + 1


def test_training_takes_bad_boxes_and_says_so(place: Path) -> None:
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


def test_a_data_set_names_the_image_that_is_broken(
    place: Path, figures: Callable[..., Any], tmp_path: Path
) -> None:
    for path in (place / "images").iterdir():
        (tmp_path / path.name).write_bytes(
            path.read_bytes()[: 200 if path.name == "7.png" else None]
        )
    done = figures(place / "control.json", "--images", tmp_path)
    assert done.code == 2
    assert f"{tmp_path / '7.png'} is no image that OpenCV can decode" in done.message
