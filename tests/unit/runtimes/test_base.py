"""Options of a session."""

import pytest

from runtimes.base import RunOptions
from runtimes.errors import InputError


@pytest.mark.parametrize(
    ("options", "known"),
    [({"precision": "fp16"}, "f32, f16, bf16"), ({"accelerator": "cuda"}, "cpu, gpu, npu")],
)
def test_what_no_engine_knows_is_refused(options: dict[str, str], known: str) -> None:
    with pytest.raises(InputError, match=known):
        RunOptions(**options)
