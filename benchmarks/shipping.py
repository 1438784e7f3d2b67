"""The weights that ship with edgepose: a trained student in half precision, under a name and card of its own."""

from pathlib import Path

from export import load_checkpoint
from export.student_file import Card, write_student

ASSETS = Path(__file__).parents[1] / "weights"


def ship(student: Path, name: str, method: str, folder: Path) -> Path:
    """Write the student's weights in half precision as NAME.safetensors into `folder`; return the file."""
    loaded = load_checkpoint(student)
    variant = loaded.variant
    card = Card(
        model=name,
        family=variant.family,
        size=variant.size,
        input_wh=variant.input_wh,
        schema=variant.schema,
        classes=variant.classes,
        simcc_sigma=variant.simcc_sigma,
        method=method,
        licences=("Apache-2.0",),
        commercial_use=True,
        trained_on="drawn",
    )
    target = folder / f"{name}.safetensors"
    write_student(target, loaded.module.half(), card)
    return target
