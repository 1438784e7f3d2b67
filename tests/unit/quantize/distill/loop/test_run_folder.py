"""The stored configuration of a run: resumed as the student that it trains, of whatever task."""

import pytest

from quantize.distill.bottom_up.config import BottomUpConfig
from quantize.distill.config import DistillConfig
from quantize.distill.detector.config import DetectorConfig
from quantize.distill.loop.run_folder import check_student, write_config
from runtimes.errors import InputError

CONFIGS = (
    DistillConfig(student="rtmpose-t"),
    DetectorConfig(student="rtmdet-nano"),
    BottomUpConfig(student="cspnext-t-fpn-ae"),
)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda each: each.student)
def test_a_run_is_resumed_as_its_own_student_alone(tmp_path, config) -> None:
    write_config(tmp_path, config)
    for other in CONFIGS:
        if other is config:
            check_student(tmp_path, other.student)
            continue
        with pytest.raises(InputError, match=f"student '{config.student}', not '{other.student}'"):
            check_student(tmp_path, other.student)


def test_a_folder_without_a_run_is_named(tmp_path) -> None:
    with pytest.raises(InputError, match="no training run to resume"):
        check_student(tmp_path, "rtmpose-t")
