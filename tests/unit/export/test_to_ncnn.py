"""pnnx runs that do not finish."""

from pathlib import Path

import pytest
from torch import nn

from edge.catalog.specs_fastpose import fastpose_spec
from export import to_ncnn
from export.converter import ConversionSource
from runtimes.errors import ConversionError


def test_a_converter_that_takes_too_long_is_a_failed_conversion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pnnx")
    monkeypatch.setattr(to_ncnn, "TIMEOUT_S", 0.001)
    source = ConversionSource(
        nn.Conv2d(3, 17, 3), fastpose_spec("any", (192, 256), "coco17"), tmp_path
    )
    with pytest.raises(ConversionError, match=r"pnnx did not finish any in 0\.001 s"):
        to_ncnn.convert(source, "fp32", tmp_path)
