"""Every quantizer file has its line in QUANTIZERS, and every line its file."""

import inspect
from pathlib import Path
from typing import get_args

import pytest

pytest.importorskip("torch")

import quantize.int8
from quantize.int8.base import Mode, Quantizer
from quantize.int8.registry import QUANTIZERS, quantizer
from runtimes.spec import Runtime


def test_each_quantizer_is_of_a_runtime_and_each_quantizer_file_has_a_line() -> None:
    assert set(QUANTIZERS) <= set(get_args(Runtime))  # a runtime may run float artifacts only
    folder = Path(quantize.int8.__file__).parent
    files = {f"quantize.int8.{path.stem}" for path in folder.glob("*_quantizer.py")}
    files |= {
        f"quantize.int8.{path.parent.name}.quantizer" for path in folder.glob("*/quantizer.py")
    }
    assert set(QUANTIZERS.values()) == files


@pytest.mark.parametrize("runtime", QUANTIZERS)
def test_a_quantizer_has_the_functions_and_constants_of_the_protocol(runtime) -> None:
    module = quantizer(runtime)
    for name in ("default_mode", "layers", "quantize"):
        asked = list(inspect.signature(getattr(Quantizer, name)).parameters)[1:]  # without self
        assert list(inspect.signature(getattr(module, name)).parameters) == asked
    assert module.MODES
    assert set(module.MODES) <= set(get_args(Mode))
    assert module.PACKAGES
