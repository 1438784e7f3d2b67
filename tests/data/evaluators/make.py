"""Make small sets of drawn numbers, results on them, and the figures of the datasets' reference evaluator.

In an environment of its own: pip install "numpy<2" cython setuptools matplotlib && pip install --no-build-isolation
xtcocotools==1.14.3; then python make.py. Sets and results are random and seeded: people without labels, crowd regions,
people of all sizes, duplicates, false positives, results that score parts apart, and results without a part.
"""

import contextlib
import io
import json
import random
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
Record = dict[str, Any]
PARTS = {
    "keypoints": 17, "foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21, "righthand_kpts": 21,
}  # fmt: skip
WH = (640, 480)


def person(rng: random.Random, points: dict[str, int]) -> Record:
    """Return a person with keypoints in its box: seen (2), hidden (1), unlabelled (0); some parts have none."""
    width, height = rng.randint(20, 260), rng.randint(40, 420)
    x, y = rng.randint(0, WH[0] - width), rng.randint(0, WH[1] - height)
    found: Record = {"bbox": [x, y, width, height], "area": round(width * height * 0.6)}
    for field, count in points.items():
        blank = rng.random() < (0.08 if field == "keypoints" else 0.3)
        values: list[int] = []
        for _ in range(count):
            v = 0 if blank else rng.choice([0, 1, 2, 2, 2])
            inside = [x + rng.randint(0, width), y + rng.randint(0, height)]
            values += [*inside, v] if v else [0, 0, 0]
        found[field] = values
    return found


def noisy(rng: random.Random, truth: Record, points: dict[str, int], spread: float) -> Record:
    """Return a result beside a person: every keypoint moved by up to `spread` of the box's size."""
    x, y, width, height = truth["bbox"]
    reach = spread * (width * height) ** 0.5
    found: Record = {"bbox": truth["bbox"], "score": round(rng.uniform(0.2, 1), 3)}
    for field in points:
        values: list[float] = []
        for n in range(0, len(truth[field]), 3):
            px, py, v = truth[field][n : n + 3]
            if not v:
                px, py = x + rng.randint(0, width), y + rng.randint(0, height)
            moved = [round(value + rng.uniform(-reach, reach), 1) for value in (px, py)]
            values += [*moved, round(rng.uniform(0.1, 1), 2)]
        found[field] = values
    return found


def make_set(
    seed: int, images: int, points: dict[str, int], categories: dict[int, float]
) -> tuple[Record, list[Record]]:
    """Return annotations and results; categories: id -> how far its results are off, as a share of the box."""
    rng = random.Random(seed)  # noqa: S311 the same on every machine
    truth: list[Record] = []
    results: list[Record] = []
    for image in range(1, images + 1):
        for _ in range(rng.randint(1, 3)):
            category = rng.choice(list(categories))
            there = person(rng, points) | {"image_id": image, "category_id": category}
            truth.append(there | {"id": len(truth) + 1, "iscrowd": int(rng.random() < 0.06)})
            for _ in range(rng.choice([0, 1, 1, 1, 2])):
                spread = rng.choice([0.2, 1, 1, 4]) * categories[category]
                results.append(noisy(rng, there, points, spread) | place(there))
        if rng.random() < 0.4:  # where nobody is
            nobody = person(rng, points) | {"image_id": image, "category_id": min(categories)}
            results.append(noisy(rng, nobody, points, 0.1) | place(nobody))
    for each in truth:
        each["num_keypoints"] = sum(v > 0 for v in each["keypoints"][2::3])
    listed = [
        {"id": n, "file_name": f"{n}.jpg", "width": WH[0], "height": WH[1]}
        for n in range(1, images + 1)
    ]
    kinds = [{"id": each, "name": f"kind {each}"} for each in categories]
    return {"images": listed, "annotations": truth, "categories": kinds}, results


def place(record: Record) -> Record:
    """Return what a result shares with the person it is of."""
    return {name: record[name] for name in ("image_id", "category_id")}


def whole_bodies() -> tuple[Record, list[Record]]:
    """Return a COCO-WholeBody set; every third result scores its parts apart, some lack a part."""
    truth, results = make_set(133, 8, PARTS, {1: 0.02})
    rng = random.Random(5)  # noqa: S311 as above
    for n, each in enumerate(results):
        if n % 3 == 0:
            for part in ("foot", "face", "lefthand", "righthand", "wholebody"):
                each[f"{part}_score"] = round(rng.random(), 3)
        if n % 4 == 1:
            each["lefthand_kpts"] = [0] * len(each["lefthand_kpts"])
    return truth, results


def crowds() -> tuple[Record, list[Record]]:
    """Return a CrowdPose set: crowd indices on the levels' bounds too, and num_keypoints that counts the seen ones."""
    truth, results = make_set(14, 18, {"keypoints": 14}, {1: 0.05})
    indices = [0.0, 0.1, 0.19, 0.2, 0.3, 0.5, 0.79, 0.8, 0.9]
    for n, image in enumerate(truth["images"]):
        image["crowdIndex"] = indices[n % len(indices)]
    for n, each in enumerate(truth["annotations"]):
        if n % 9 == 4:  # all hidden
            each["keypoints"][2::3] = [min(v, 1) for v in each["keypoints"][2::3]]
        each["num_keypoints"] = sum(v == 2 for v in each["keypoints"][2::3])
        del each["area"]
    return truth, results


def animals() -> tuple[Record, list[Record]]:
    """Return a set of several categories, as AP-10K: one of them is never found, one never labelled."""
    truth, results = make_set(10, 16, {"keypoints": 17}, {3: 0.02, 7: 0.05, 20: 0.01, 21: 0.03})
    for each in truth["annotations"]:
        if each["category_id"] == 21:
            each.update(num_keypoints=0, keypoints=[0] * 51)
    return truth, [each for each in results if each["category_id"] != 20]


def figures(name: str, kind: str, sigmas: list[float], *, use_area: bool = True) -> list[float]:
    """Return what the evaluator says of a set's files."""
    import numpy as np
    from xtcocotools.coco import COCO
    from xtcocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        truth = COCO(str(HERE / f"{name}.json"))
        found = truth.loadRes(str(HERE / f"{name}_results.json"))
        evaluator = COCOeval(truth, found, kind, np.array(sigmas), use_area=use_area)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return [float(value) for value in evaluator.stats]


def shared(assets: Path, coco133: list[float]) -> list[float]:
    """Return the evaluator's figures of the 114 keypoints that Sapiens' 308 and COCO-WholeBody's 133 share."""
    read = [
        json.loads((assets / f"keypoints/{each}.json").read_text())["names"]
        for each in ("coco133", "sapiens308")
    ]
    also = json.loads((assets / "correspondence/sapiens308.json").read_text())["names"]
    rows = [n for n, name in enumerate(read[0]) if name in read[1] or name in also]
    truth, results = whole_bodies()
    for each in [*truth["annotations"], *results]:
        values = [value for field in PARTS for value in each[field]]
        each["keypoints"] = [value for row in rows for value in values[3 * row : 3 * row + 3]]
    write("shared", (truth, results))
    found = figures("shared", "keypoints", [coco133[row] for row in rows])
    for name in ("shared.json", "shared_results.json"):
        (HERE / name).unlink()
    return found


def write(name: str, made: tuple[Record, list[Record]]) -> None:
    """Write a set and its results, a record a line."""
    truth, results = made
    fields = ",\n".join(f'"{key}": {lines(values)}' for key, values in truth.items())
    (HERE / f"{name}.json").write_text(f"{{{fields}}}\n")
    (HERE / f"{name}_results.json").write_text(f"{lines(results)}\n")


def lines(records: list[Record]) -> str:
    """Return a JSON list with one record a line."""
    return "[\n" + ",\n".join(json.dumps(each, separators=(",", ":")) for each in records) + "\n]"


def main() -> None:
    """Write all sets, then the figures with the names of what gave them."""
    import numpy as np

    for name, made in (
        ("wholebody", whole_bodies()),
        ("crowdpose", crowds()),
        ("animals", animals()),
    ):
        write(name, made)
    assets = HERE.parents[2] / "edge" / "assets" / "keypoints"
    coco133, crowd14, ap10k = (
        json.loads((assets / f"{each}.json").read_text())["sigmas"]
        for each in ("coco133", "crowdpose14", "ap10k17")
    )
    body, hands = slice(0, 17), slice(91, 112)
    found: dict[str, Any] = {
        "made by": f"xtcocotools {version('xtcocotools')}, numpy {np.__version__}",
        "body": figures("wholebody", "keypoints_body", coco133[body]),
        "foot": figures("wholebody", "keypoints_foot", coco133[17:23]),
        "face": figures("wholebody", "keypoints_face", coco133[23:91]),
        "lefthand": figures("wholebody", "keypoints_lefthand", coco133[hands]),
        "righthand": figures("wholebody", "keypoints_righthand", coco133[112:]),
        "all": figures("wholebody", "keypoints_wholebody", coco133),
        "crowdpose": figures("crowdpose", "keypoints_crowd", crowd14, use_area=False),
        "shared": shared(assets.parent, coco133),
        "animals": figures("animals", "keypoints", ap10k),
    }
    (HERE / "figures.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
