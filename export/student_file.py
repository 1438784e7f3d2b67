"""Student checkpoints: safetensors under the official keys, with a card of the facts that tensors do not show.

Those are a transformer's heads, the input size, the keypoint set, and the teacher, whose terms bind the student. The
card is JSON in the file's own metadata, under "edgepose".
"""

from pathlib import Path

import msgspec
from torch import nn

from edge.catalog.label_sigma import scaled_simcc_sigma
from edge.schema import KeypointSchema, KeypointSet
from export.registry import Variant
from runtimes.errors import CheckpointError, MissingDependencyError
from runtimes.files import atomic_file
from runtimes.record import MALFORMED, Positive, Record
from runtimes.spec import KeypointsSpec, Lineage, TrainedOn

CARD = "edgepose"
FORMAT = 1
# Bundled weights whose cards were written before `trained_on`.
DRAWN_ONLY = ("rtmdet-nano-drawn", "rtmpose-t-drawn")


class Card(Record, frozen=True, kw_only=True):
    """A student's name, the fields of its Variant, its method and its teacher.

    schema: the name of a known keypoint set, or a set of the user's own. simcc_sigma: (x, y) of the SimCC labels it
    learned, in bins; cards of edgepose 0.1 lack it.

    The licences are the teacher's: a student distilled from a model is bound as the model is.
    """

    format: int = FORMAT
    model: str
    family: str
    size: str
    input_wh: tuple[int, int]
    schema: str | KeypointsSpec | None = None
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
