"""Data and measures of `distill_real.py` and `distill_ablation.py`: few labels, many photographs without, a test list.

The photographs are LSPET's (12 of COCO's 17 keypoints labelled). `lspet_test.txt` names the 300 that are for testing
alone; the others are labelled or unlabelled as the experiment wants.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edge.evaluation.coco import (
    CocoResult,
    as_results,
    boxes_xyxy,
    keypoints_xyv,
    people_by_image,
    subset,
)
from edge.evaluation.dataset import Dataset, load_dataset
from edge.evaluation.keypoint_metrics import pck
from edge.evaluation.score import score
from edge.model import Model, load
from edge.types import F32, Poses
from export.engine_files import engine_files
from export.import_model import import_model
from export.import_spec import like_spec

TEST_NAMES = Path(__file__).with_name("lspet_test.txt")
THRESHOLDS = (0.1, 0.2)  # of the longer side of the true box
SURE = (
    0.5  # mean keypoint score of the teacher, above which its map of an unlabelled person is used
)
FLAT = 1e-6
START, INPUT_WH = "rtmpose-t-drawn", (96, 128)
BATCH, DRAWN = 16, 300
Annotation = dict[str, Any]


@dataclass(frozen=True)
class Figures:
    """A model on a test set, in true boxes: PCK over the longer side of the box, and AP."""

    pck_1: float
    pck_2: float
    ap: float
    people: int


@dataclass(frozen=True)
class Lspet:
    """The photographs: the content of the annotation file, and the folder of the images."""

    content: dict[str, Any]
    images: Path

    @classmethod
    def read(cls, people: Path) -> "Lspet":
        """Read PEOPLE/lspet."""
        folder = people / "lspet"
        content = msgspec.json.decode((folder / "person_keypoints.json").read_bytes())
        return cls(content, folder / "images")

    def training_people(self) -> list[Annotation]:
        """Return the people of all photographs that are not for testing, in the order of their ids."""
        test = test_names()
        ids = {each["id"] for each in self.content["images"] if each["file_name"] not in test}
        people = [each for each in self.content["annotations"] if each["image_id"] in ids]
        return sorted(people, key=lambda each: each["id"])

    def write(self, path: Path, people: Sequence[Annotation]) -> Path:
        """Write these people and their photographs as a COCO file, which finds the images where they are."""
        ids = {each["image_id"] for each in people}
        images = [
            each | {"file_name": str((self.images / each["file_name"]).absolute())}
            for each in self.content["images"]
            if each["id"] in ids
        ]
        content = {
            "images": images,
            "annotations": people,
            "categories": self.content["categories"],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.encode(content))
        return path


@dataclass(frozen=True)
class Place:
    """The inputs of all runs, and where they are kept. teacher: PP-TinyPose's artifact."""

    lspet: Lspet
    tests: dict[str, Dataset]
    teacher: Path
    out: Path
    steps: int


def sure_people(place: Place) -> set[int]:
    """Return the ids of the training people of whom the teacher is sure; it runs once."""
    kept = place.out / "teacher_scores.json"
    if not kept.exists():
        everyone = place.lspet.write(place.out / "sets" / "all.json", place.lspet.training_people())
        with load(place.teacher) as model:
            scores = teacher_scores(model, load_dataset(everyone))
        kept.write_bytes(msgspec.json.encode(scores))
    scores = msgspec.json.decode(kept.read_bytes(), type=dict[int, float])
    return {key for key, value in scores.items() if value >= SURE}


def data_of(place: Place, seed: int, count: int, taught: bool) -> tuple[str, ...]:  # noqa: FBT001 a row of ARMS
    """Write a run's data; return its sources: equal shares of `count` labelled, unlabelled (`taught`) and drawn people.

    The seed chooses the labels.
    """
    people = place.lspet.training_people()
    order = np.random.default_rng(seed).permutation(len(people))
    labelled = [people[n] for n in order[:count]]
    folder = place.out / "sets"
    path = place.lspet.write(folder / f"labels-{count}-{seed}.json", labelled)
    share = 1 / 3 if taught else 1 / 2
    crops = BATCH * 100  # an epoch
    sources = [f"{path}:{share * crops / count}", f"synth:{share * crops / (DRAWN * 2.4)}"]
    if taught:
        sure = sure_people(place)
        rest = [without_labels(people[n]) for n in order[count:] if people[n]["id"] in sure]
        other = place.lspet.write(folder / f"unlabelled-{count}-{seed}.json", rest)
        sources.append(f"{other}:{share * crops / len(rest)}")
    return tuple(sources)


def import_teacher(files: Path, out: Path) -> Path:
    """Wrap the teacher's OpenVINO files; the artifact is made once."""
    done = next(out.glob("tinypose*"), None)
    if done:
        return done
    runtime, found = engine_files([files / "model.xml"])
    return import_model(found, like_spec("tinypose-256x192", runtime), out).artifact.root


def test_names() -> set[str]:
    """Return the file names of the photographs that are for testing."""
    return set(TEST_NAMES.read_text().split())


def test_sets(people: Path, coco: Path | None) -> dict[str, Dataset]:
    """Return LSPET's test photographs, and COCO's where they are given."""
    dataset = load_dataset(people / "lspet" / "person_keypoints.json", people / "lspet" / "images")
    names = test_names()
    ids = [each.id for each in dataset.truth.images if each.file_name in names]
    kept = {image_id: dataset.paths[image_id] for image_id in ids}
    sets = {"LSPET": replace(dataset, truth=subset(dataset.truth, ids), paths=kept)}
    if coco:
        sets["COCO"] = load_dataset(coco / "person_keypoints.json")
    return sets


def without_labels(person: Annotation) -> Annotation:
    """Return a person of whom the box alone is known."""
    return person | {"keypoints": [0] * len(person["keypoints"]), "num_keypoints": 0}


def teacher_scores(model: Model, dataset: Dataset) -> dict[int, float]:
    """Return the teacher's mean keypoint score of each person, by annotation id."""
    found: dict[int, float] = {}
    for image_id, people in people_by_image(dataset.truth).items():
        poses = model.poses(dataset.image(image_id), boxes_xyxy(people))
        means = poses.scores.mean(axis=1).tolist()
        found |= {int(each.id): mean for each, mean in zip(people, means, strict=True)}
    return found


def measure(model: Model, dataset: Dataset) -> Figures:
    """Return a model's figures in true boxes."""
    found = {
        image_id: model.poses(dataset.image(image_id), boxes_xyxy(people))
        for image_id, people in _labelled(dataset).items()
    }
    return _figures(model, dataset, found)


def constant_pose(training: Dataset) -> F32:
    """Return labelled people's mean pose, float32 (K, 2), in parts of the box; its centre where none has labels."""
    people = [each for some in _labelled(training).values() for each in some]
    xyv, boxes = keypoints_xyv(people), boxes_xyxy(people)
    inside = (xyv[..., :2] - boxes[:, None, :2]) / (boxes[:, None, 2:] - boxes[:, None, :2])
    weights = (xyv[..., 2:] > 0).astype(np.float32)
    total = weights.sum(axis=0)
    mean: F32 = np.where(total > 0, (inside * weights).sum(axis=0) / np.maximum(total, FLAT), 0.5)
    return mean


def measure_constant(model: Model, pose: F32, dataset: Dataset) -> Figures:
    """Return the figures of one pose for everyone; model: for its keypoints alone."""
    found = {}
    for image_id, people in _labelled(dataset).items():
        boxes = boxes_xyxy(people)
        xy = boxes[:, None, :2] + pose * (boxes[:, None, 2:] - boxes[:, None, :2])
        ones = np.ones(len(boxes), np.float32)
        scores = np.ones(xy.shape[:2], np.float32)
        ids = np.full(len(boxes), -1, np.int32)
        found[image_id] = Poses(xy.astype(np.float32), scores, boxes, ones, ids, model.schema)
    return _figures(model, dataset, found)


def _labelled(dataset: Dataset) -> dict[Any, list[Any]]:
    people = people_by_image(dataset.truth)
    some = {key: [each for each in there if each.labelled] for key, there in people.items()}
    return {key: there for key, there in some.items() if there}


def _figures(model: Model, dataset: Dataset, found: Mapping[Any, Poses]) -> Figures:
    labelled = _labelled(dataset)
    records: list[CocoResult] = []
    for image_id, poses in found.items():
        records += as_results(poses.to_coco(image_id, dataset.truth.person))
    people = [each for image_id in found for each in labelled[image_id]]
    truth, boxes = keypoints_xyv(people), boxes_xyxy(people)
    xy = np.concatenate([poses.xy for poses in found.values()])
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    near = [pck(xy, truth[..., :2], truth[..., 2] > 0, sides, limit) for limit in THRESHOLDS]
    return Figures(near[0], near[1], score(model, dataset, records).AP or 0.0, len(people))


def as_row(figures: Figures) -> dict[str, Any]:
    """Return all fields, for JSON."""
    return asdict(figures)
