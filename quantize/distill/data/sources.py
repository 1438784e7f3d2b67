"""Everybody there is to learn from: the people of all `--data` in one list, in one keypoint set, and how often each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge.catalog.specs import SCHEMA_OF_COUNT
from edge.evaluation.coco import Dataset, load_dataset
from edge.schema import KeypointSchema, load_schema
from quantize.distill.config import Recipe
from quantize.distill.data.batches import Share
from quantize.distill.data.instances import Person, drawn_people, people_of, pictured_people
from quantize.distill.data.keypoint_transfer import KeypointMap, map_keypoints
from runtimes.errors import InputError
from runtimes.files import cache_dir

DRAWN = "synth"
# Drawn pictures are numbered by their seeds: those that are learned from, and those that a student is judged by.
TRAIN_SEED, VAL_SEED = 1_000_000, 9_000_000


@dataclass(frozen=True, slots=True)
class Crowd:
    """People in one keypoint set, and in which shares they come up."""

    people: tuple[Person, ...]
    shares: tuple[Share, ...]

    @property
    def labelled(self) -> bool:
        """Whether anybody has ground truth."""
        return any(person.labelled for person in self.people)


def gather(
    data: Sequence[str], schema: KeypointSchema, drawn: int, images: str | Path | None = None
) -> Crowd:
    """Return the people of all sources: `synth` (`drawn` pictures, rendered once), COCO.json or DIR, with `:WEIGHT`.

    Raises InputError for a source that is none, for images that are missing, and for keypoint sets that share nothing.
    """
    people: list[Person] = []
    shares = []
    for source in data:
        name, weight = _weighed(source)
        found = _people(name, schema, drawn, images)
        shares.append(Share(len(people), len(found), weight))
        people += found
    return Crowd(tuple(people), tuple(shares))


def refuse_idle(recipe: Recipe, crowd: Crowd) -> None:
    """Raise InputError where nothing can be learned: no labels where labels are what there is to learn from."""
    if crowd.labelled:
        return
    if recipe.methods == ("none",):
        raise InputError(
            "nobody in --data has a label, and no teacher is asked: nothing can be learned; add --teacher MODEL"
        )
    if "token" in recipe.methods and not recipe.token:
        raise InputError(
            "a knowledge token is trained on labels, and nobody in --data has any; give --token FILE"
        )


def drawn_folder() -> Path:
    """Return where drawn pictures are kept, from one training to the next."""
    return cache_dir() / "drawn"


def annotated(
    annotations: str | Path, schema: KeypointSchema, images: str | Path | None = None
) -> list[Person]:
    """Return the people of a COCO file in `schema`, whichever known keypoint set the file has.

    Keypoints go over by name; those that only `schema` has are unlabelled. Raises InputError for a set that is not
    known or shares no keypoint.
    """
    dataset = load_dataset(annotations, images)
    own = _schema_of(dataset, schema, str(annotations))
    people = people_of(dataset, own, str(annotations))
    if own.names == schema.names:
        return people
    keypoints = map_keypoints(own, schema)
    return remapped(people, keypoints)


def remapped(people: Sequence[Person], keypoints: KeypointMap) -> list[Person]:
    """Return the same people in another keypoint set; what theirs does not name is unlabelled."""
    known = keypoints.taught[:, None].astype(np.float32)
    return [
        replace(person, keypoints=person.keypoints[keypoints.rows] * known) for person in people
    ]


def _people(
    name: str, schema: KeypointSchema, drawn: int, images: str | Path | None
) -> list[Person]:
    if name == DRAWN:
        if schema.name != "coco17":
            raise InputError(f"drawn people have COCO's 17 keypoints, not {schema.name}")
        return drawn_people(drawn_folder(), TRAIN_SEED, drawn, schema)
    path = Path(name)
    if path.is_dir():
        return pictured_people(path, schema)
    if path.suffix == ".json":
        return annotated(path, schema, images)
    raise InputError(
        f"--data {name}: give a COCO.json, a directory of pictures, or `{DRAWN}`, each with :WEIGHT or without"
    )


def _weighed(source: str) -> tuple[str, float]:
    """Split off a `:WEIGHT`; a path may hold colons of its own."""
    name, colon, text = source.rpartition(":")
    if not colon or Path(source).exists():
        return source, 1.0
    try:
        weight = float(text)
    except ValueError:
        return source, 1.0
    if not (np.isfinite(weight) and weight > 0):
        raise InputError(f"--data {source}: a weight is a number above 0")
    return name, weight


def _schema_of(dataset: Dataset, wanted: KeypointSchema, name: str) -> KeypointSchema:
    """Tell a file's keypoint set by its number of keypoints, the student's own first."""
    counts = {len(each.keypoints) // 3 for each in dataset.truth.annotations if each.keypoints}
    if not counts or len(wanted) in counts:
        return wanted
    known = SCHEMA_OF_COUNT.get(count := counts.pop())
    if known is None:
        raise InputError(
            f"{name}: people of {count} keypoints are no set known here; known are "
            f"{', '.join(f'{n} ({each})' for n, each in SCHEMA_OF_COUNT.items())}"
        )
    return load_schema(known)
