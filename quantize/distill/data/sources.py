"""The training set: the people of every `--data` source in one list, one keypoint set, with their sampling weights."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge.catalog.specs import SCHEMA_OF_COUNT
from edge.evaluation.dataset import Dataset, load_dataset
from edge.schema import KeypointSchema, load_schema
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


def load_training_set(
    data: Sequence[str],
    schema: KeypointSchema,
    drawn: int,
    images: str | Path | None = None,
    category: str | None = None,
) -> TrainingSet:
    """Return the people of all sources: `synth` (`drawn` pictures, rendered once), COCO.json or DIR, each `:WEIGHT`.

    images, category: of the COCO.json. Raises InputError for an unknown source, missing images, and keypoint sets that
    share nothing.
    """
    instances: list[Instance] = []
    slices = []
    for source in data:
        name, weight = split_weight(source)
        found = _instances(name, schema, drawn, images, category)
        slices.append(SourceSlice(len(instances), len(found), weight))
        instances += found
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
    that is unknown or shares no keypoint.
    """
    dataset = load_dataset(annotations, images, category)
    own = _schema_of(dataset, schema, str(annotations))
    instances = instances_of(dataset, own, str(annotations))
    if own.names == schema.names:
        return instances
    return convert_keypoints(instances, map_keypoints(own, schema))


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
    if path.is_dir():
        return unlabelled_instances(path, schema)
    if path.suffix == ".json":
        return load_annotated(path, schema, images, category)
    raise InputError(
        f"--data {name}: give a COCO.json, a directory of pictures, or `{DRAWN}`, optionally with :WEIGHT"
    )


def _schema_of(dataset: Dataset, preferred: KeypointSchema, name: str) -> KeypointSchema:
    """Return a file's keypoint set, recognised by its number of keypoints; `preferred` where that fits."""
    counts = {len(each.keypoints) // 3 for each in dataset.truth.people if each.labelled}
    if not counts or len(preferred) in counts:
        return preferred
    known = SCHEMA_OF_COUNT.get(count := counts.pop())
    if known is None:
        raise InputError(
            f"{name}: no known keypoint set has {count} keypoints; known are "
            f"{', '.join(f'{n} ({each})' for n, each in SCHEMA_OF_COUNT.items())}"
        )
    return load_schema(known)
