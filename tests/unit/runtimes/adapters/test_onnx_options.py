"""Options of ONNX Runtime's providers: those that would be ignored are refused. Needs no ONNX Runtime."""

import pytest

from runtimes.adapters.onnx_options import provider_options
from runtimes.base import RunOptions
from runtimes.errors import InputError


def of(provider: str, **given: int | str) -> dict[str, str]:
    extra = {f"provider.{name}": value for name, value in given.items()}
    return provider_options(RunOptions(extra=extra), provider)


@pytest.mark.parametrize("provider", ["cpu", "xnnpack", "qnn"])
def test_what_a_provider_does_not_know_is_refused(provider) -> None:
    with pytest.raises(InputError, match=f"option provider.foo: the provider {provider} "):
        of(provider, foo=1)
    assert of(provider) == {}


def test_options_of_qnn_are_those_of_its_documentation() -> None:
    """The examples and defaults of onnxruntime-qnn's QNN-ExecutionProvider.md."""
    given = {"soc_model": 57, "htp_arch": 75, "htp_performance_mode": "burst", "vtcm_mb": 8}
    assert of("qnn", **given) == {name: str(value) for name, value in given.items()}
    with pytest.raises(
        InputError, match=r"htp_performance_mode is one of default, burst, .*'fast'"
    ):
        of("qnn", htp_performance_mode="fast")
    with pytest.raises(InputError, match="enable_htp_fp16_precision is one of 0, 1, not '2'"):
        of("qnn", enable_htp_fp16_precision=2)


@pytest.mark.parametrize("provider", ["tensorrt", "cuda", "openvino"])
def test_providers_that_refuse_by_themselves_get_all(provider) -> None:
    assert of(provider, foo=1) == {"foo": "1"}
