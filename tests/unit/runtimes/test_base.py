"""Options of a session."""

import re
from typing import Any

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


@pytest.mark.parametrize("threads", [0, -1, 257, 20000, True, "4", 2.0, float("nan")])
def test_threads_are_a_whole_number_from_1_to_256(threads: Any) -> None:
    said = re.escape(f"whole number from 1 to 256, or None, not {threads!r}")
    with pytest.raises(InputError, match=said):
        RunOptions(threads=threads)


@pytest.mark.parametrize("threads", [None, 1, 256])
def test_threads_at_the_limits_are_taken(threads: int | None) -> None:
    assert RunOptions(threads=threads).threads == threads
