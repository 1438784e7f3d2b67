"""Checkpoints loaded to models ready to run: read safely, recognised by their tensors, loaded strictly."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from edge.catalog.lookup import CATALOG, find_by_hash
from edge.catalog.specs import SCHEMA_OF_DATASET
from edge.schema import SCHEMAS, KeypointSchema, numbered_range, schema_of
from edge.types import counted
from export.keypoints import (
    Chosen,
    keypoints_of_file,
    keypoints_of_task,
    own_keypoints,
    refuse_for_no_keypoints,
)
from export.lineage import lineage_of
from export.models.vit import at_input
from export.models.vitpose_config import at_configured_input, read_config
from export.models.vitpose_experts import split_task
from export.recognise import differences, expected_shapes, recognise
from export.registry import FAMILIES, TRANSFORMERS, Variant, load_family, model_name, variant_of
from export.student_file import Card, choose_head, with_teacher
from export.weights import COUNTER, Weights, read_weights
from runtimes.errors import CheckpointError, InputError
from runtimes.naming import MODEL_NAME
from runtimes.spec import KeypointsSpec, Lineage, ModelSpec


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A network with weights: `module` (eval, float32, CPU), its spec, the lineage of the weights, and its variant.

    module(x) takes normalised float32 NCHW and returns a tuple of tensors in the order of `spec.outputs`. notes: what
    was assumed about the file, or chosen among its parts, for the user to read.
    """

    module: nn.Module
    spec: ModelSpec
    lineage: Lineage
    variant: Variant
    notes: tuple[str, ...] = ()

    @property
    def family(self) -> str:
        """The family's name, such as "rtmpose"."""
        return self.variant.family

    @property
    def size(self) -> str:
        """The size within the family, such as "t"."""
        return self.variant.size


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user says of a checkpoint, as `load_checkpoint` takes it."""

    task: str | None = None
    heads: int | None = None
    keypoints: KeypointSchema | None = None
    input_wh: tuple[int, int] | None = None
    size: str = ""


def load_checkpoint(
    path: str | Path,
    name: str | None = None,
    task: str | None = None,
    heads: int | None = None,
    *,
    keypoints: KeypointSchema | None = None,
    input_wh: tuple[int, int] | None = None,
    size: str = "",
) -> LoadedModel:
    """Load a .pth, .pt or .safetensors file; family, size and keypoints come from its tensors.

    name: a catalogue name, which the weights must then fit, or a name of your own; by default the catalogue's.
    task: the dataset whose keypoints the model predicts ("coco", "ap10k", ...), which also selects the head of a
    ViTPose++. keypoints: a set of your own. Without either: those that the file's `dataset_meta` names, else the
    name's, else what their number means, else kp0, kp1, ...
    heads: attention heads of a transformer, which no tensor shows; by default those of the published width, else what
    a config in or beside the file says, else one for each 64 channels. input_wh: the input size that the weights were
    trained at, where the tensors allow several. size: a ViTPose's whole size, where the tensors do not show its stride
    or windows, such as `b-stride8-window8x8-shift`.
    Raises CheckpointError, one line, for a file that is missing, damaged, hostile or of no known family.
    """
    path = Path(path)
    asked = Asked(task, heads, keypoints, input_wh, size)
    if task is not None and keypoints is not None:
        raise CheckpointError("--task and --keypoints both say which keypoints; leave one out")
    weights = read_weights(path)
    if weights.card is not None:
        return _student(path, weights, weights.card, name, asked)
    if split := split_task(weights.state):
        weights = replace(weights, meta=replace(weights.meta, name=weights.meta.name or split))
    if name in CATALOG:
        entry = CATALOG[name]
        # the entry knows the size that it was trained at; another one is for `with_input`
        asked = replace(asked, task=asked.task or entry.dataset or None, input_wh=entry.input_wh)
    variant, state = _recognise(path, weights, asked)
    lineage = lineage_of(path, variant)
    chosen = _keypoints(path, variant, weights, lineage, asked)
    if chosen is not None:
        variant = replace(variant, schema=chosen.schema)
    certain = chosen is not None and chosen.certain
    noted = chosen is not None and chosen.note and name not in CATALOG
    assumed: tuple[str, ...] = (chosen.note,) if chosen and noted else ()
    if variant.family == "rtmdet":
        variant, assumed = _with_classes(variant, weights)
        official = find_by_hash(lineage.checkpoint_sha256)
        certain = official is None and variant.classes == weights.meta.classes
    if name in CATALOG:
        variant = _as_catalogued(path, variant, name, certain=certain)
    elif name is not None and not MODEL_NAME.fullmatch(name):
        raise CheckpointError(f"{name!r}: a model's name has letters, digits and . _ + - only")
    module = _assemble(path, variant, state)
    name = name or _name(variant, lineage, asked.task or weights.meta.name)
    spec = load_family(variant.family).spec(variant, name)
    notes = (*weights.notes, *assumed, *_size_note(variant, weights, asked, name))
    return LoadedModel(module, spec, lineage, variant, notes)


def _size_note(variant: Variant, weights: Weights, asked: Asked, name: str) -> tuple[str, ...]:
    """Return a note where the user's word alone says which grid a transformer's positions are."""
    width, height = variant.input_wh
    usual = 4 * width == 3 * height or width == height
    told = asked.input_wh == variant.input_wh and weights.hints.input_wh is None
    if usual or not told or variant.family not in TRANSFORMERS or name in CATALOG:
        return ()
    return (f"its positions were taken as those of {width}x{height}, as --input says",)


def _recognise(
    path: Path, weights: Weights, asked: Asked
) -> tuple[Variant, Mapping[str, torch.Tensor]]:
    """Return variant and tensors as `recognise` does, with what a config in or beside the file adds."""
    config = read_config(path, weights.state)
    hints = replace(
        weights.hints,
        heads=asked.heads,
        input_wh=weights.hints.input_wh or asked.input_wh,
        size=asked.size,
        keypoint_count=_named_count(weights, asked),
    )
    if config is not None:
        hints = replace(hints, config_heads=config.heads)
    variant, state = recognise(path, weights.state, asked.task, hints)
    if asked.size and variant.family != "vitpose":
        raise CheckpointError(
            f"{path}: looks like {variant.family}-{variant.size}, whose size its tensors show; leave --size out"
        )
    if asked.heads is not None and variant.family not in TRANSFORMERS:
        raise CheckpointError(
            f"{path}: looks like {variant.family}-{variant.size}, which has no attention heads; leave heads out"
        )
    return at_configured_input(config, variant) if config is not None else variant, state


def _named_count(weights: Weights, asked: Asked) -> int | None:
    """Return the number of keypoints in the set that the user or the file names."""
    if asked.keypoints is not None:
        return len(asked.keypoints)
    if asked.task in SCHEMA_OF_DATASET:
        return len(schema_of(SCHEMA_OF_DATASET[asked.task]))
    return len(weights.meta.keypoints) if weights.meta.keypoints else None


def _keypoints(
    path: Path, variant: Variant, weights: Weights, lineage: Lineage, asked: Asked
) -> Chosen | None:
    """Return the keypoint set of a pose network; None for others, of which none may be asked for."""
    if variant.schema is None:
        if asked.task is not None or asked.keypoints is not None:
            refuse_for_no_keypoints(path, variant, "task" if asked.task else "--keypoints")
        return None
    if asked.keypoints is not None:
        return Chosen(own_keypoints(path, variant, asked.keypoints))
    if asked.task is not None:
        return Chosen(keypoints_of_task(path, variant, asked.task))
    official = find_by_hash(lineage.checkpoint_sha256)
    if official is not None and official.schema and not official.dataset:
        return Chosen(official.schema, certain=False)
    if variant.family.startswith("openpose") and weights.meta.keypoints is None:
        return Chosen(variant.schema, certain=False)
    return keypoints_of_file(variant.keypoint_count, weights.meta)


def _with_classes(variant: Variant, weights: Weights) -> tuple[Variant, tuple[str, ...]]:
    """Return a detector's variant with the classes that the file names, and a note where it names others or none."""
    named, count = weights.meta.classes, len(variant.classes)
    twice = len(set(named)) < len(named)
    if len(named) == count and not twice:
        return replace(variant, classes=named), ()
    says = f"names {'one twice' if twice else len(named)}" if named else "does not name them"
    numbered = variant.classes[0] == "class0"
    shown = numbered_range("class", count) if numbered else f"{variant.classes[0]} as in COCO"
    note = f"the network has {counted(count, 'class', 'classes')}, but the file {says}: {shown}"
    return variant, (note,) if named or numbered else ()


def _student(
    path: Path, weights: Weights, card: Card, name: str | None, asked: Asked
) -> LoadedModel:
    """Build the network that a student's card describes."""
    if asked.heads is not None or asked.size:
        option = "heads" if asked.heads is not None else "size"
        raise CheckpointError(
            f"{path}: is the student {card.model}, whose card says the {option}; leave {option} out"
        )
    chosen = asked.task if card.further else None
    if asked.task != chosen or asked.keypoints is not None or name in CATALOG:
        raise CheckpointError(
            f"{path}: is the student {card.model}, whose card names model and keypoints; "
            "leave name and task out, and keypoints"
        )
    others = [spec.name if isinstance(spec, KeypointsSpec) else spec for spec in card.further]
    state, card = choose_head(path, weights.state, card, chosen)
    name = name or card.model
    if not MODEL_NAME.fullmatch(name):
        raise CheckpointError(f"{name!r}: a model's name has letters, digits and . _ + - only")
    unknown = isinstance(card.schema, str) and card.schema not in SCHEMAS
    if card.family not in FAMILIES or unknown:
        raise CheckpointError(
            f"{path}: its card names family {card.family} and keypoints {card.schema}; one is unknown, update edgepose"
        )
    try:
        variant = card.variant
        spec = load_family(variant.family).spec(variant, name)
        module = _assemble(path, variant, state)
    except (InputError, KeyError) as error:
        raise CheckpointError(
            f"{path}: its card says {card.family}-{card.size} at {card.input_wh}, which cannot be built ({error})"
        ) from error
    lineage = with_teacher(lineage_of(path, variant), card)
    unasked = others and chosen is None
    notes = (
        (f"its further heads, for {', '.join(others)}, are chosen with --task",) if unasked else ()
    )
    return LoadedModel(module, spec, lineage, variant, notes)


def with_input(loaded: LoadedModel, input_wh: tuple[int, int]) -> LoadedModel:
    """Return the model at another input size; raises CheckpointError where its weights fix the size."""
    family = load_family(loaded.family)
    variant = family.resize(loaded.variant, input_wh)
    spec = family.spec(variant, loaded.spec.model)
    module = at_input(loaded.module, variant.input_wh)
    return replace(loaded, module=module, spec=spec, variant=variant)


def _as_catalogued(path: Path, variant: Variant, name: str, *, certain: bool) -> Variant:
    """Return the variant of the catalogue entry `name`; raises CheckpointError where the weights are another's.

    certain: keypoints and classes are the user's or the file's, not the entry's to choose.
    """
    wanted = variant_of(CATALOG[name])
    found = replace(variant, input_wh=wanted.input_wh) if wanted.classes else variant
    same_count = found.keypoint_count == wanted.keypoint_count and len(found.classes) == len(
        wanted.classes
    )
    if same_count and not certain:
        found = replace(found, schema=wanted.schema, classes=wanted.classes)
    found = replace(found, codec=wanted.codec)  # no tensor shows it
    if found != wanted:
        raise CheckpointError(
            f"{path}: holds {model_name(variant)}, not {name}; give --weights of {name}, or leave the name out"
        )
    return found


def _assemble(path: Path, variant: Variant, state: Mapping[str, torch.Tensor]) -> nn.Module:
    """Build the network from the tensors; raises CheckpointError unless every name and shape fits."""
    expected = expected_shapes(variant)
    counters = {
        key: torch.zeros((), dtype=torch.int64) for key in expected if key.endswith(COUNTER)
    }
    if found := differences(state, expected):
        raise CheckpointError(f"{path}: looks like {variant.family}-{variant.size}, but {found}")
    with torch.device("meta"):
        module = load_family(variant.family).build(variant)
    module.load_state_dict(counters | dict(state), strict=True, assign=True)
    return module.eval().requires_grad_(requires_grad=False)


def _name(variant: Variant, lineage: Lineage, task: str) -> str:
    """Return the catalogue name of an official file, else of its network, which several files may hold."""
    official = find_by_hash(lineage.checkpoint_sha256)
    same = official is not None and variant_of(official) == variant
    return official.name if official and same else model_name(variant, task)
