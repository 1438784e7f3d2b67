"""The training set: the people of every `--data` source in one list, one keypoint set, with their sampling weights."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge.evaluation.dataset import load_dataset
from edge.evaluation.keypoint_names import with_keypoint_set
from edge.schema import KeypointSchema
from quantize.distill.data.batches import SourceSlice
from quantize.distill.data.instances import (
    Instance,
    drawn_instances,
    instances_of,
    unlabelled_instances,
)
from quantize.distill.data.keypoint_transfer import KeypointMap, map_keypoints
from runtimes.errors import InputError
from runtimes.files import cache_dir
from runtimes.spec import Lineage, TrainedOn

DRAWN = "synth"
# Drawn pictures are numbered by seed; the two ranges keep training and validation apart.
TRAIN_SEED, VAL_SEED = 1_000_000, 9_000_000


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Instances in one keypoint set, and the slice of each source among them."""

    instances: tuple[Instance, ...]
    slices: tuple[SourceSlice, ...]

    @property
    def labelled(self) -> bool:
        """Return whether any instance has ground truth."""
        return any(instance.labelled for instance in self.instances)

    @property
    def unlabelled(self) -> int:
        """Return the number of people without a labelled keypoint."""
        return sum(not instance.labelled for instance in self.instances)


def load_training_set(
    data: Sequence[str],
    schema: KeypointSchema,
    drawn: int,
    images: str | Path | None = None,
    category: str | None = None,
    detector: str = "",
) -> TrainingSet:
    """Return the people of all sources: `synth` (`drawn` pictures, rendered once), COCO.json or DIR, each `:WEIGHT`.

    images, category: of the COCO.json. detector: finds the people in the pictures of a DIR; where empty, one person
    fills each. Raises InputError for an unknown source, missing images, and keypoint sets that
    share nothing.
    """
    instances: list[Instance] = []
    slices = []
    for source in data:
        name, weight = split_weight(source)
        found = (
            unlabelled_instances(Path(name), schema, detector)
            if Path(name).is_dir()
            else _instances(name, schema, drawn, images, category)
        )
        slices.append(SourceSlice(len(instances), len(found), weight))
        instances += found
    return TrainingSet(tuple(instances), tuple(slices))


def labelled_part(training_set: TrainingSet) -> TrainingSet:
    """Return the people who have labels, for methods that learn from labels alone."""
    instances: list[Instance] = []
    slices = []
    for each in training_set.slices:
        kept = [
            person
            for person in training_set.instances[each.first : each.first + each.count]
            if person.labelled
        ]
        if kept:
            slices.append(SourceSlice(len(instances), len(kept), each.weight))
            instances += kept
    return TrainingSet(tuple(instances), tuple(slices))


def trained_on(data: Sequence[str], begun: Sequence[Lineage]) -> TrainedOn:
    """Return "drawn" for weights that see drawn people only: in `data`, and in what they begin with."""
    drawn = all(split_weight(source)[0] == DRAWN for source in data)
    return "drawn" if drawn and all(each.trained_on == "drawn" for each in begun) else "unknown"


def split_weight(source: str) -> tuple[str, float]:
    """Return a source's name and its `:WEIGHT`, 1 if absent; paths may contain colons. Raises InputError if not > 0."""
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


def drawn_folder() -> Path:
    """Return the cache folder of drawn pictures, shared by all training runs."""
    return cache_dir() / "drawn"


def load_annotated(
    annotations: str | Path,
    schema: KeypointSchema,
    images: str | Path | None = None,
    category: str | None = None,
) -> list[Instance]:
    """Return the people of a COCO file in `schema`, whichever known keypoint set the file has.

    Keypoints are matched by name; those that only `schema` has are unlabelled. Raises InputError for a keypoint set
    that is unknown or shares no keypoint (see `with_keypoint_set`).
    """
    dataset = load_dataset(annotations, images, category)
    truth, own = with_keypoint_set(dataset.truth, schema, str(annotations))
    instances = instances_of(replace(dataset, truth=truth), own, str(annotations))
    if own.names == schema.names:
        return instances
    try:
        keypoints = map_keypoints(own, schema)
    except InputError as error:
        raise InputError(
            f"{annotations} has the keypoints of {own.name}, none of which {schema.name} has; choose other data, or "
            "another --keypoints"
        ) from error
    return convert_keypoints(instances, keypoints)


def convert_keypoints(instances: Sequence[Instance], keypoints: KeypointMap) -> list[Instance]:
    """Return the same people in another keypoint set; keypoints that theirs lacks are unlabelled."""
    known = keypoints.known[:, None].astype(np.float32)
    return [
        replace(instance, keypoints=instance.keypoints[keypoints.indices] * known)
        for instance in instances
    ]


def _instances(
    name: str,
    schema: KeypointSchema,
    drawn: int,
    images: str | Path | None,
    category: str | None,
) -> list[Instance]:
    if name == DRAWN:
        if schema.name != "coco17":
            raise InputError(f"drawn people have COCO's 17 keypoints, not {schema.name}")
        return drawn_instances(drawn_folder(), TRAIN_SEED, drawn, schema)
    path = Path(name)
    if path.suffix == ".json":
        return load_annotated(path, schema, images, category)
    raise InputError(
        f"--data {name}: give a COCO.json, a directory of pictures, or `{DRAWN}`, optionally with :WEIGHT"
    )
