"""ModelSpec: what its task says of it."""

from typing import get_args

import pytest

from runtimes.codec_spec import YxsCodec
from runtimes.spec import CropSpec, ImageSpec, ModelSpec, Task

# task: the properties that hold for it
HOLDS: dict[Task, set[str]] = {
    "pose-topdown": {"is_top_down", "gives_keypoints", "takes_boxes"},
    "pose-bottomup": {"is_bottom_up", "gives_keypoints"},
    "pose-single": {"gives_keypoints", "takes_boxes"},
    "detect": {"is_detector"},
    "segment": {"is_dense"},
    "depth": {"is_dense"},
    "normal": {"is_dense"},
    "embedding": {"takes_boxes", "is_embedding"},
}
PROPERTIES = set.union(*HOLDS.values())


def test_every_task_is_listed() -> None:
    assert set(HOLDS) == set(get_args(Task))


@pytest.mark.parametrize("task", HOLDS)
def test_predicates_follow_the_task(task: Task) -> None:
    spec = ModelSpec(
        model="any",
        task=task,
        inputs=(),
        outputs=(),
        image=ImageSpec(wh=(8, 8)),
        crop=CropSpec(kind="stretch"),
        codec=YxsCodec(),
    )
    assert {name for name in PROPERTIES if getattr(spec, name)} == HOLDS[task]
