"""Times of layers: every engine that tells them names the tiny net's one convolution and one linear layer."""

import importlib

import pytest

from edge.bench.layers import TIMERS, check_layers
from edge.bench.measure import Case
from runtimes.base import RunOptions
from runtimes.errors import InputError

KINDS = {"openvino": ("Convolution", "FullyConnected"), "onnxruntime": ("Conv", "Gemm")}


@pytest.mark.parametrize("case", ["openvino", "onnxruntime", "openvino-embedded"])
def test_the_layers_with_weights_are_there_once(tiny_of, photos, case) -> None:
    artifact = tiny_of(case)
    timer = importlib.import_module(TIMERS[artifact.manifest.runtime])
    layers = timer.layer_times(artifact, RunOptions(threads=1), photos, 3)
    for kind in KINDS[artifact.manifest.runtime]:
        assert sum(kind in each.kind for each in layers) == 1, layers
    assert all(each.name and each.ms >= 0 for each in layers)


def test_engines_that_tell_none_are_refused_alone(tiny_of) -> None:
    silent, open_one = Case(tiny_of("ncnn"), RunOptions()), Case(tiny_of("openvino"), RunOptions())
    check_layers([silent, open_one])
    with pytest.raises(InputError, match="leave out --layers"):
        check_layers([silent])
    with pytest.raises(InputError, match="on the CPU"):
        check_layers([Case(tiny_of("openvino"), RunOptions(accelerator="gpu"))])
