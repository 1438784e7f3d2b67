"""Settings of ONNX Runtime's providers, and the order in which they are tried. Needs no ONNX Runtime."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from runtimes.adapters.onnx_providers import ORDER, PROVIDERS, engine_cache
from runtimes.artifact import Artifact
from runtimes.base import Accelerator, RunOptions
from runtimes.errors import InputError

DATA = Path(__file__).resolve().parents[3] / "data" / "artifact_f373529"


@pytest.fixture
def artifact() -> Artifact:
    return Artifact.open(DATA / "spots-64x64.onnxruntime-fp32")


@pytest.mark.parametrize("accelerator", get_args(Accelerator))
def test_each_processor_has_providers_that_drive_it(accelerator: Accelerator) -> None:
    assert ORDER[accelerator]
    for name in ORDER[accelerator]:
        assert accelerator in PROVIDERS[name].accelerators


@pytest.mark.parametrize(
    ("precision", "half", "brain"), [("f32", "0", "0"), ("f16", "1", "0"), ("bf16", "0", "1")]
)
def test_tensorrt_gets_the_arithmetic_and_the_cache(
    artifact, tmp_path, monkeypatch, precision, half, brain
) -> None:
    monkeypatch.setenv("EDGEPOSE_CACHE", str(tmp_path / "mine"))
    options = RunOptions(accelerator="gpu", precision=precision)
    settings = PROVIDERS["tensorrt"].options(artifact, options)
    assert (settings["trt_fp16_enable"], settings["trt_bf16_enable"]) == (half, brain)
    assert settings["trt_int8_enable"] == "0"  # of an fp32 file
    assert settings["trt_engine_cache_enable"] == "1"
    assert settings["trt_engine_cache_path"] == str(tmp_path / "mine" / "tensorrt")
    assert (tmp_path / "mine" / "tensorrt").is_dir()


def test_tensorrt_builds_int8_for_an_int8_file(artifact, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("EDGEPOSE_CACHE", str(tmp_path))
    manifest = msgspec.structs.replace(artifact.manifest, precision="int8")
    quantized = replace(artifact, manifest=manifest)
    settings = PROVIDERS["tensorrt"].options(quantized, RunOptions(accelerator="gpu"))
    assert settings["trt_int8_enable"] == "1"


def test_a_cache_that_cannot_be_made_is_refused(tmp_path, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDGEPOSE_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match="set EDGEPOSE_CACHE to a writable folder"):
        engine_cache()


@pytest.mark.parametrize(
    ("accelerator", "precision", "wanted"),
    [
        ("cpu", "f32", {"device_type": "CPU", "num_of_threads": "3"}),
        ("gpu", "f32", {"device_type": "GPU", "precision": "FP32"}),
        ("gpu", "f16", {"device_type": "GPU", "precision": "FP16"}),
        ("npu", "f32", {"device_type": "NPU"}),
    ],
)
def test_openvino_gets_the_device(artifact, accelerator, precision, wanted) -> None:
    options = RunOptions(threads=3, accelerator=accelerator, precision=precision)
    assert PROVIDERS["openvino"].options(artifact, options) == wanted


def test_cuda_computes_in_full_float32(artifact) -> None:
    options = RunOptions(accelerator="gpu")
    assert PROVIDERS["cuda"].options(artifact, options) == {"use_tf32": "0"}


def test_xnnpack_has_the_threads(artifact) -> None:
    assert PROVIDERS["xnnpack"].options(artifact, RunOptions(threads=3)) == {
        "intra_op_num_threads": "3"
    }
