"""Student checkpoints: safetensors under the official keys, with a card of the facts that tensors do not show.

Those are a transformer's heads, the input size, the keypoint set, and the teacher, whose terms bind the student. The
card is JSON in the file's own metadata, under "edgepose".
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import torch
from torch import nn

from edge.catalog.label_sigma import scaled_simcc_sigma
from edge.schema import SCHEMAS, KeypointSchema, KeypointSet, load_schema, plain_name
from export.registry import Variant
from runtimes.errors import CheckpointError, MissingDependencyError
from runtimes.files import atomic_file
from runtimes.record import MALFORMED, Positive, Record
from runtimes.spec import KeypointsSpec, Lineage, TrainedOn

CARD = "edgepose"
FORMAT = 1
FURTHER = "further_heads."
# Bundled weights whose cards were written before `trained_on`.
DRAWN_ONLY = ("rtmdet-nano-drawn", "rtmpose-t-drawn")


class Card(Record, frozen=True, kw_only=True):
    """A student's name, the fields of its Variant, its method and its teacher.

    schema: the name of a known keypoint set, or a set of the user's own. further: the sets of its further heads, whose
    tensors are named `further_heads.0.` ... in place of `head.`. simcc_sigma: (x, y) of the SimCC labels it learned, in
    bins; cards of edgepose 0.1 lack it.

    The licences are the teacher's: a student distilled from a model is bound as the model is.
    """

    format: int = FORMAT
    model: str
    family: str
    size: str
    input_wh: tuple[int, int]
    schema: str | KeypointsSpec | None = None
    further: tuple[str | KeypointsSpec, ...] = ()
    classes: tuple[str, ...] = ()
    codec: str = ""
    simcc_sigma: tuple[Positive, Positive] | None = None
    teacher: str = ""
    method: str = ""
    licences: tuple[str, ...] = ()
    commercial_use: bool | None = None
    trained_on: TrainedOn = "unknown"

    @property
    def variant(self) -> Variant:
        """The network."""
        own = self.schema if isinstance(self.schema, KeypointsSpec) else None
        known = None if isinstance(self.schema, KeypointsSpec) else self.schema
        schema: KeypointSet | None = KeypointSchema.from_spec(own) if own else known
        sigma = self.simcc_sigma
        if self.family == "rtmpose" and sigma is None:
            sigma = scaled_simcc_sigma(self.input_wh)
        return Variant(
            self.family,
            self.size,
            self.input_wh,
            schema,
            self.classes,
            self.codec,
            simcc_sigma=sigma,
        )


def read_card(path: Path, metadata: dict[str, str]) -> Card | None:
    """Return the card in the metadata of a safetensors file; None where there is none.

    Raises CheckpointError for one that is malformed or of a later format.
    """
    if CARD not in metadata:
        return None
    try:
        card = msgspec.json.decode(metadata[CARD], type=Card)
    except MALFORMED as error:
        raise CheckpointError(
            f"{path}: its card cannot be read ({error}); update edgepose if a later version wrote it"
        ) from error
    if card.format != FORMAT:
        raise CheckpointError(
            f"{path}: its card has format {card.format}, this edgepose reads {FORMAT}; update edgepose"
        )
    return card


def stored_set(keypoints: KeypointSet | None) -> str | KeypointsSpec | None:
    """Return a keypoint set as a card has it: a known one by its name, the user's own whole."""
    if not isinstance(keypoints, KeypointSchema):
        return keypoints
    known = keypoints.name in SCHEMAS and keypoints == load_schema(keypoints.name)
    return keypoints.name if known else keypoints.to_spec()


def choose_head(
    path: Path, state: Mapping[str, torch.Tensor], card: Card, wanted: str | None
) -> tuple[dict[str, torch.Tensor], Card]:
    """Return tensors and card of a student with one head: its own, or that of the keypoint set `wanted`.

    Raises CheckpointError for a set that no head of it has.
    """
    names = [each.name if isinstance(each, KeypointsSpec) else each for each in card.further]
    own = {name: value for name, value in state.items() if not name.startswith(FURTHER)}
    one = msgspec.structs.replace(card, further=())
    first = card.schema.name if isinstance(card.schema, KeypointsSpec) else card.schema
    if wanted is None or wanted == first:
        return own, one
    if wanted not in names:
        raise CheckpointError(
            f"{path}: has heads for {', '.join([first or 'its own keypoints', *names])}, none for {wanted}; "
            "give one of these as --task"
        )
    place = names.index(wanted)
    prefix = f"{FURTHER}{place}."
    backbone = {name: value for name, value in own.items() if not name.startswith("head.")}
    head = {
        name.replace(prefix, "head.", 1): value
        for name, value in state.items()
        if name.startswith(prefix)
    }
    model = f"{card.model}-{plain_name(wanted)}"
    chosen = msgspec.structs.replace(one, model=model, schema=card.further[place])
    return {**backbone, **head}, chosen


def write_student(path: Path, module: nn.Module, card: Card) -> None:
    """Write a network's tensors and its card atomically, replacing an older file.

    Raises MissingDependencyError without the safetensors package; OSError where the disk is full.
    """
    try:
        from safetensors.torch import save
    except ImportError as error:
        raise MissingDependencyError("safetensors", "export") from error
    state = {name: tensor.contiguous().cpu() for name, tensor in module.state_dict().items()}
    data = save(state, {CARD: msgspec.json.encode(card).decode()})
    with atomic_file(path) as stream:
        stream.write(data)


def with_teacher(lineage: Lineage, card: Card) -> Lineage:
    """Add to a file's lineage the teacher, its terms, and what the student was trained on."""
    return msgspec.structs.replace(
        lineage,
        teacher=card.teacher,
        licences=card.licences or lineage.licences,
        commercial_use=card.commercial_use,
        trained_on="drawn" if card.model in DRAWN_ONLY else card.trained_on,
    )
