"""Keypoint set of a checkpoint: the user's, else the file's own, else what the number of keypoints means."""

from dataclasses import dataclass, replace
from pathlib import Path

from edge.catalog.specs import SCHEMA_OF_COUNT, SCHEMA_OF_DATASET
from edge.schema import (
    SCHEMAS,
    KeypointSchema,
    KeypointSet,
    known_schema,
    numbered_range,
    numbered_schema,
    schema_of,
)
from edge.types import counted
from export.dataset_meta import DatasetMeta
from export.registry import Variant
from runtimes.errors import CheckpointError

SAY = "give --keypoints SCHEMA.json to name them"


@dataclass(frozen=True, slots=True)
class Chosen:
    """A keypoint set.

    certain: the user or the file named it; it was not taken from the number alone. note: "" or what was assumed.
    """

    schema: KeypointSet
    certain: bool = True
    note: str = ""


def refuse_for_no_keypoints(path: Path, variant: Variant, option: str) -> None:
    """Raise CheckpointError: the network has no keypoints that `option` could name."""
    raise CheckpointError(
        f"{path}: looks like {variant.family}-{variant.size}, which gives no keypoints; leave {option} out"
    )


def own_keypoints(path: Path, variant: Variant, keypoints: KeypointSchema) -> KeypointSet:
    """Return the user's set for the network; raises CheckpointError where the network has another number."""
    if len(keypoints) != variant.keypoint_count:
        raise CheckpointError(
            f"{path}: looks like {variant.family}-{variant.size} with {counted(variant.keypoint_count, 'keypoint')}, "
            f"but {keypoints.name} names {len(keypoints)}; correct --keypoints"
        )
    known = known_schema(keypoints.names)
    return known if known and schema_of(known) == keypoints else distinct(keypoints)


def keypoints_of_task(path: Path, variant: Variant, task: str) -> KeypointSet:
    """Return the set of a data set's name; raises CheckpointError where it is unknown or has another number."""
    if task not in SCHEMA_OF_DATASET:
        raise CheckpointError(f"unknown task {task!r}; known: {', '.join(SCHEMA_OF_DATASET)}")
    wanted = SCHEMA_OF_DATASET[task]
    if len(schema_of(wanted)) != variant.keypoint_count:
        has = counted(variant.keypoint_count, "keypoint")
        raise CheckpointError(
            f"{path}: looks like {variant.family}-{variant.size}, but has {has}, "
            f"task {task} has {len(schema_of(wanted))}"
        )
    return wanted


def keypoints_of_file(count: int, meta: DatasetMeta) -> Chosen:
    """Return the set that a checkpoint describes; where it names none, a known one only if it says nothing at all.

    count: keypoints of the network.
    """
    own, of_data = meta.keypoints, SCHEMA_OF_DATASET.get(meta.name)
    if own is not None and len(own) == count:
        return Chosen(known_schema(own.names) or distinct(own))
    numbered = numbered_schema(count)
    those = counted(count, "keypoint")
    last = f"{numbered_range('kp', count)} without flip pairs: {SAY}"
    if own is not None or meta.problem:
        why = meta.problem or f"its dataset_meta names {len(own or ())}"
        return Chosen(numbered, note=f"the network has {those}, but {why}; {last}")
    if of_data is not None and len(schema_of(of_data)) == count:
        return Chosen(of_data)
    if meta.name and of_data is None:
        why = f"the file names data set {meta.name} but not its {those}"
        return Chosen(numbered, note=f"{why}; {last}")
    if count in SCHEMA_OF_COUNT:
        assumed = SCHEMA_OF_COUNT[count]
        note = f"assumed {assumed}: the file does not name its {those}; {SAY} otherwise"
        return Chosen(assumed, certain=False, note=note)
    return Chosen(numbered, note=f"the file does not name its {those}; {last}")


def distinct(keypoints: KeypointSchema) -> KeypointSchema:
    """Return the set under a name that no known set has, since known names mean known keypoints."""
    if keypoints.name not in SCHEMAS:
        return keypoints
    return replace(keypoints, name=f"own-{keypoints.name}")
