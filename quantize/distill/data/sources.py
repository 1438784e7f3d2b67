"""The training set: the people of every `--data` source in one list, one keypoint set, with their sampling weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from edge.evaluation.dataset import load_dataset
from edge.evaluation.keypoint_names import with_keypoint_set
from edge.schema import KeypointSchema
from edge.synth import DrawnVersion
from quantize.distill.data.batches import SourceSlice
from quantize.distill.data.instances import (
    Instance,
    drawn_instances,
    instances_of,
    unlabelled_instances,
)
from quantize.distill.data.joined_keypoints import joined_keypoints, named_apart
from quantize.distill.data.keypoint_transfer import KeypointMap, map_keypoints
from runtimes.errors import InputError
from runtimes.files import cache_dir
from runtimes.spec import Lineage, TrainedOn

T = TypeVar("T")

DRAWN = "synth"
DRAWN_VERSIONS: dict[str, DrawnVersion] = {DRAWN: 1, f"{DRAWN}-v2": 2}
"""Source name -> version of the generator."""
# Drawn pictures are numbered by seed; the two ranges keep training and validation apart.
TRAIN_SEED, VAL_SEED = 1_000_000, 9_000_000
MAX_EPOCH = 50_000_000  # samples; an epoch's order is a list in memory


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
    heads: Sequence[KeypointSchema] = (),
) -> TrainingSet:
    """Return the people of all sources: COCO.json, DIR, or `synth` or `synth-v2` (`drawn` pictures), each `:WEIGHT`.

    images, category: of the COCO.json. detector: finds the people in the pictures of a DIR; where empty, one person
    fills each. heads: keypoint sets of further heads; people are in `joined_keypoints` then, and a COCO.json of such a
    set is labelled there alone. Raises InputError for an unknown source, missing images, keypoint sets that share
    nothing, and a head without data.
    """
    joined = joined_keypoints(schema, heads)

    def load(name: str) -> list[Instance]:
        if name in DRAWN_VERSIONS:
            return _drawn(name, drawn, schema, joined)
        if Path(name).is_dir():
            return unlabelled_instances(Path(name), joined, detector)
        if Path(name).suffix == ".json":
            return load_annotated(name, schema, images, category, heads)
        raise InputError(
            f"--data {name}: give a COCO.json, a directory of pictures, or `{DRAWN}` or `{DRAWN}-v2`, "
            "optionally with :WEIGHT"
        )

    instances: list[Instance] = []
    slices = []
    for found, weight in load_sources(data, load):
        slices.append(SourceSlice(len(instances), len(found), weight))
        instances += found
    _check_heads(instances, schema, heads)
    return TrainingSet(tuple(instances), with_shares(data, slices))


def load_sources(data: Sequence[str], load: Callable[[str], T]) -> list[tuple[T, float]]:
    """Return what `load` gives for the name of each source, and the source's weight.

    Files are loaded first, then pictures to detect in, then those to be drawn, so that a file that does not fit is
    refused before minutes of work.
    """
    names = [split_weight(source)[0] for source in data]
    found = {name: load(name) for name in sorted(set(names), key=_cost)}
    return [
        (found[name], split_weight(source)[1]) for name, source in zip(names, data, strict=True)
    ]


def _cost(name: str) -> tuple[int, str]:
    return 2 if name in DRAWN_VERSIONS else int(Path(name).is_dir()), name


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
    drawn = all(split_weight(source)[0] in DRAWN_VERSIONS for source in data)
    return "drawn" if drawn and all(each.trained_on == "drawn" for each in begun) else "unknown"


def with_shares(data: Sequence[str], slices: Sequence[SourceSlice]) -> tuple[SourceSlice, ...]:
    """Return the slices of `data`, weighted as `:30%` wants: shares of an epoch's samples (AlphaPose: a third each).

    An epoch then has as many samples as there are in all sources. Raises InputError where only some state a share, and
    for a weight that makes an epoch too long.
    """
    shared = [source.endswith("%") and split_weight(source)[0] != source for source in data]
    if not any(shared):
        for source, each in zip(data, slices, strict=True):
            if each.count * each.weight > MAX_EPOCH:
                raise InputError(
                    f"--data {source}: {each.count} samples, each {each.weight:g} times, are more than an epoch "
                    f"can have ({MAX_EPOCH}); lower the weight: it is relative to those of the other sources"
                )
        return tuple(slices)
    if not all(shared):
        raise InputError(
            f"--data {data[shared.index(False)]}: other sources have a share in percent; give one to each"
        )
    total, samples = sum(each.weight for each in slices), sum(each.count for each in slices)
    return tuple(
        replace(each, weight=each.weight / total * samples / each.count) for each in slices
    )


def split_weight(source: str) -> tuple[str, float]:
    """Return a source's name and its `:WEIGHT` or `:SHARE%`, 1 if absent; paths may contain colons.

    Raises InputError for a number that is not above 0.
    """
    name, colon, text = source.rpartition(":")
    if not colon or Path(source).exists():
        return source, 1.0
    try:
        weight = float(text.removesuffix("%"))
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
    heads: Sequence[KeypointSchema] = (),
) -> list[Instance]:
    """Return the people of a COCO file in `schema`, whichever known keypoint set the file has.

    Keypoints are matched by name; those that only `schema` has are unlabelled. heads: see `load_training_set`. Raises
    InputError for a keypoint set that is unknown or shares no keypoint (see `with_keypoint_set`).
    """
    dataset = load_dataset(annotations, images, category)
    truth, own = with_keypoint_set(dataset.truth, schema, str(annotations))
    instances = instances_of(replace(dataset, truth=truth), own, str(annotations))
    wanted = joined_keypoints(schema, heads)
    if any(own.names == each.names for each in heads):
        own = named_apart(own)
    if own.names == wanted.names:
        return instances
    try:
        keypoints = map_keypoints(own, wanted)
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


def _drawn(name: str, count: int, schema: KeypointSchema, joined: KeypointSchema) -> list[Instance]:
    if schema.name != "coco17":
        raise InputError(f"drawn people have COCO's 17 keypoints, not {schema.name}")
    people = drawn_instances(drawn_folder(), TRAIN_SEED, count, schema, DRAWN_VERSIONS[name])
    return people if joined is schema else convert_keypoints(people, map_keypoints(schema, joined))


def _check_heads(
    instances: Sequence[Instance], schema: KeypointSchema, heads: Sequence[KeypointSchema]
) -> None:
    first = len(schema)
    for each in heads:
        block = slice(first, first + len(each))
        if not any((person.keypoints[block, 2] > 0).any() for person in instances):
            raise InputError(
                f"--extra-head {each.name}: no --data has labels of these keypoints; add a COCO.json of them, or leave "
                "the head out"
            )
        first += len(each)
