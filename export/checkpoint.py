"""Checkpoints loaded to models ready to run: read safely, recognised by their tensors, loaded strictly."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from edge.catalog.lookup import CATALOG, find_by_hash
from edge.catalog.specs import SCHEMA_OF_DATASET
from edge.schema import SCHEMAS, load_schema
from export.lineage import lineage_of
from export.models.vit import at_input
from export.models.vitpose_config import at_configured_input, read_config
from export.models.vitpose_experts import split_task
from export.recognise import differences, expected_shapes, recognise
from export.registry import FAMILIES, TRANSFORMERS, Variant, load_family, model_name, variant_of
from export.student_file import Card, with_teacher
from export.weights import COUNTER, Weights, read_weights
from runtimes.errors import CheckpointError, InputError
from runtimes.naming import MODEL_NAME
from runtimes.spec import Lineage, ModelSpec


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A network with weights: `module` (eval, float32, CPU), its spec, the lineage of the weights, and its variant.

    module(x) takes normalised float32 NCHW and returns a tuple of tensors in the order of `spec.outputs`.
    """

    module: nn.Module
    spec: ModelSpec
    lineage: Lineage
    variant: Variant

    @property
    def family(self) -> str:
        """The family's name, such as "rtmpose"."""
        return self.variant.family

    @property
    def size(self) -> str:
        """The size within the family, such as "t"."""
        return self.variant.size


def load_checkpoint(
    path: str | Path,
    name: str | None = None,
    task: str | None = None,
    heads: int | None = None,
) -> LoadedModel:
    """Load a .pth, .pt or .safetensors file; family, size and keypoints come from its tensors.

    name: a catalogue name, which the weights must then fit, or a name of your own; by default the catalogue's.
    task: the dataset whose keypoints the model predicts ("coco", "ap10k", ...), which also selects the head of a
    ViTPose++; by default the name's, else the file's, else what the number of keypoints means.
    heads: attention heads of a transformer, which no tensor shows; by default those of the published width, else what
    a config in or beside the file says, else one for each 64 channels.
    Raises CheckpointError, one line, for a file that is missing, damaged, hostile or of no known family.
    """
    path = Path(path)
    weights = read_weights(path)
    if weights.card is not None:
        if heads is not None:
            raise CheckpointError(
                f"{path}: is the student {weights.card.model}, whose card says the heads; leave heads out"
            )
        return _student(path, weights.state, weights.card, name, task)
    weights = replace(weights, dataset=weights.dataset or split_task(weights.state) or "")
    if task is None and name in CATALOG:
        task = CATALOG[name].dataset or None
    config = read_config(path, weights.state)
    hints = replace(weights.hints, heads=heads)
    if config is not None:
        hints = replace(hints, config_heads=config.heads)
    variant, state = recognise(path, weights.state, task, hints)
    if heads is not None and variant.family not in TRANSFORMERS:
        raise CheckpointError(
            f"{path}: looks like {variant.family}-{variant.size}, which has no attention heads; leave heads out"
        )
    variant = _with_dataset(path, variant, weights, task)
    if config is not None:
        variant = at_configured_input(config, variant)
    if name in CATALOG:
        variant = _as_catalogued(path, variant, name, task)
    elif name is not None and not MODEL_NAME.fullmatch(name):
        raise CheckpointError(f"{name!r}: a model's name has letters, digits and . _ + - only")
    module = _assemble(path, variant, state)
    lineage = lineage_of(path, variant)
    name = name or _name(variant, lineage, task or weights.dataset)
    spec = load_family(variant.family).spec(variant, name)
    return LoadedModel(module, spec, lineage, variant)


def _student(
    path: Path, state: Mapping[str, torch.Tensor], card: Card, name: str | None, task: str | None
) -> LoadedModel:
    """Build the network that a student's card describes."""
    if task is not None or name in CATALOG:
        raise CheckpointError(
            f"{path}: is the student {card.model}, whose card names model and keypoints; leave name and task out"
        )
    name = name or card.model
    if not MODEL_NAME.fullmatch(name):
        raise CheckpointError(f"{name!r}: a model's name has letters, digits and . _ + - only")
    if card.family not in FAMILIES or card.schema not in (None, *SCHEMAS):
        raise CheckpointError(
            f"{path}: its card names family {card.family} and keypoints {card.schema}; one is unknown, update edgepose"
        )
    variant = card.variant
    try:
        spec = load_family(variant.family).spec(variant, name)
        module = _assemble(path, variant, state)
    except (InputError, KeyError) as error:
        raise CheckpointError(
            f"{path}: its card says {card.family}-{card.size} at {card.input_wh}, which cannot be built ({error})"
        ) from error
    return LoadedModel(module, spec, with_teacher(lineage_of(path, variant), card), variant)


def with_input(loaded: LoadedModel, input_wh: tuple[int, int]) -> LoadedModel:
    """Return the model at another input size; raises CheckpointError where its weights fix the size."""
    family = load_family(loaded.family)
    variant = family.resize(loaded.variant, input_wh)
    spec = family.spec(variant, loaded.spec.model)
    module = at_input(loaded.module, variant.input_wh)
    return replace(loaded, module=module, spec=spec, variant=variant)


def _with_dataset(path: Path, variant: Variant, weights: Weights, task: str | None) -> Variant:
    """Return the variant with the facts that tensors do not show: the keypoint set, and the names of the classes."""
    if task is not None and task not in SCHEMA_OF_DATASET:
        raise CheckpointError(f"unknown task {task!r}; known: {', '.join(SCHEMA_OF_DATASET)}")
    if variant.schema is None:
        if task is not None:
            raise CheckpointError(
                f"{path}: looks like {variant.family}-{variant.size}, which gives no keypoints; leave task out"
            )
        fits = len(weights.classes) == len(variant.classes)
        return replace(variant, classes=weights.classes) if fits else variant
    wanted = SCHEMA_OF_DATASET.get(task or weights.dataset, variant.schema)
    if len(load_schema(wanted)) == variant.keypoint_count:
        return replace(variant, schema=wanted)
    if task is None:
        return variant
    raise CheckpointError(
        f"{path}: looks like {variant.family}-{variant.size}, but has {variant.keypoint_count} keypoints, "
        f"task {task} has {len(load_schema(wanted))}"
    )


def _as_catalogued(path: Path, variant: Variant, name: str, task: str | None) -> Variant:
    """Return the variant of the catalogue entry `name`; raises CheckpointError where the weights are another's."""
    wanted = variant_of(CATALOG[name])
    found = replace(variant, input_wh=wanted.input_wh) if wanted.classes else variant
    same_count = found.keypoint_count == wanted.keypoint_count and len(found.classes) == len(
        wanted.classes
    )
    if task is None and same_count:
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
