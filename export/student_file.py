"""Students on disk: safetensors under the official keys, and a card that says what no tensor shows.

A transformer's heads, the input's size and the dataset's keypoints are not in the weights; what a student was taught by
decides its terms. The card lies in the file's own metadata, under "edgepose", as JSON.
"""

from pathlib import Path

import msgspec
from torch import nn

from export.registry import Variant
from runtimes.errors import CheckpointError, MissingDependencyError
from runtimes.files import atomic_file
from runtimes.record import Record
from runtimes.spec import Lineage

CARD = "edgepose"
FORMAT = 1


class Card(Record, frozen=True, kw_only=True):
    """What a student is: the fields of its Variant, its name, and who taught it.

    `teacher` names the teacher, and the licences are its: what learns from a model is bound as the model is.
    """

    format: int = FORMAT
    model: str
    family: str
    size: str
    input_wh: tuple[int, int]
    schema: str | None = None
    classes: tuple[str, ...] = ()
    codec: str = ""
    teacher: str = ""
    method: str = ""
    licences: tuple[str, ...] = ()
    commercial_use: bool | None = None

    @property
    def variant(self) -> Variant:
        """The network."""
        return Variant(self.family, self.size, self.input_wh, self.schema, self.classes, self.codec)


def read_card(path: Path, metadata: dict[str, str]) -> Card | None:
    """Return the card among a safetensors file's metadata; None where there is none.

    Raises CheckpointError for one that is not sound, or of a later format.
    """
    if CARD not in metadata:
        return None
    try:
        card = msgspec.json.decode(metadata[CARD], type=Card)
    except msgspec.DecodeError as error:
        raise CheckpointError(
            f"{path}: what it says of itself cannot be read ({error}); was it written by a later edgepose?"
        ) from error
    if card.format != FORMAT:
        raise CheckpointError(
            f"{path}: is of format {card.format}, this edgepose reads {FORMAT}; update edgepose"
        )
    return card


def write_student(path: Path, module: nn.Module, card: Card) -> None:
    """Write a network's tensors and its card; the file appears when it is whole, and replaces an older one.

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
    """Add to a file's lineage who taught it and what its teacher's terms allow."""
    return msgspec.structs.replace(
        lineage,
        teacher=card.teacher,
        licences=card.licences or lineage.licences,
        commercial_use=card.commercial_use,
    )
