"""Small teachers and batches of noise, for losses against a teacher."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from quantize.distill.data.batches import Batch
    from quantize.distill.teachers.teacher import Teacher


@pytest.fixture
def teacher_of() -> Callable[..., "Teacher"]:
    """Make PyTorch teachers, named as students are, with fresh weights that follow from a seed."""

    def make(name: str, wh: tuple[int, int], schema: str = "coco17", seed: int = 0) -> "Teacher":
        from export.torch_session import TorchSession
        from quantize.distill.student import new_student, student_spec, student_variant
        from quantize.distill.teachers.teacher import Teacher
        from runtimes.spec import Lineage

        variant = student_variant(name, wh, schema)
        spec, module = student_spec(variant, name), new_student(variant, seed)
        session = TorchSession(module, spec)
        return Teacher(session, spec, f"{name} {seed}", Lineage(weights="random"), module)

    return make


@pytest.fixture
def batch_of() -> Callable[..., "Batch"]:
    """Make batches of noise without labelled keypoints."""

    def make(wh: tuple[int, int], seed: int = 0, people: int = 2) -> "Batch":
        import torch

        from edge.geometry import Crop
        from quantize.distill.data.batches import Batch

        rng = np.random.default_rng(seed)
        images = rng.integers(0, 256, (people, wh[1], wh[0], 3), dtype=np.uint8)
        return Batch(
            torch.from_numpy(images),
            torch.zeros(people, 17, 2),
            torch.zeros(people, 17),
            (Crop(np.eye(2, 3, dtype=np.float32), wh),) * people,
            tuple(range(people)),
            (False,) * people,
        )

    return make
