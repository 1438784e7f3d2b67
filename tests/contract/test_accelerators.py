"""Accelerators: what is asked for executes nodes, as the engine reports, and computes right; or it is refused."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edge.bench.remote.parcel import RUNNER, job_of
from runtimes.adapters.onnx_file import free_batches, with_float_inputs
from runtimes.adapters.onnx_placement import RECORD_ENTRY, keeps_record, profiled, recorded
from runtimes.adapters.onnx_providers import PROVIDERS
from runtimes.artifact import Artifact
from runtimes.base import Effective, RunOptions
from runtimes.errors import EdgeposeWarning, EngineError, InputError
from runtimes.files import seal
from runtimes.placement import Placement
from runtimes.registry import installed_engine, open_session

FILES = Path(__file__).resolve().parents[1] / "data"
# of tests/data/tiny_net/plain.tflite, as its maker lists them
OPERATIONS = {"PAD", "CONV_2D", "TRANSPOSE", "RESHAPE", "FULLY_CONNECTED"}
# and of plain.onnx, one of each
GRAPH = {"Conv", "Relu", "Flatten", "Gemm"}
NO_VULKAN = " 31=16"  # ncnn's mask of a layer: bit 4 keeps Vulkan out of it


def agree(session: Any, net: Any, photos: np.ndarray, limit: float) -> None:
    outputs = session.run({"image": photos})
    for name, value in net(photos).items():
        np.testing.assert_allclose(outputs[name], value, rtol=0, atol=limit, err_msg=name)


@pytest.fixture
def ncnn_net(tiny_of: Callable[[str], Artifact]) -> Artifact:
    tiny = tiny_of("ncnn")
    ncnn = pytest.importorskip("ncnn")
    if ncnn.get_gpu_count() == 0:
        pytest.skip(
            "ncnn finds no Vulkan device here; Mesa's mesa-vulkan-drivers has one of software"
        )
    return tiny


def masked(artifact: Artifact, root: Path, *layers: str) -> Artifact:
    """Copy a net with some of its layers kept out of Vulkan."""
    shutil.copytree(artifact.root, root)
    param = root / artifact.file(".param").name
    lines = param.read_text().splitlines()
    param.write_text(
        "\n".join(f"{line}{NO_VULKAN}" if line.startswith(layers) else line for line in lines)
    )
    return seal(root, artifact.manifest)


@pytest.mark.parametrize(("precision", "limit"), [("f32", 1e-4), ("f16", 2e-2)])
def test_vulkan_executes_every_layer(ncnn_net, net, photos, precision, limit) -> None:
    session = open_session(ncnn_net, RunOptions(accelerator="gpu", precision=precision))
    assert session.effective.accelerator == "gpu"
    # a convolution with its activation, a split and an inner product
    assert session.effective.placement == Placement((("Vulkan", 3),))
    agree(session, net, photos, limit)
    session.close()


def test_layers_that_vulkan_leaves_to_the_cpu_are_counted(ncnn_net, net, photos, tmp_path) -> None:
    mixed = masked(ncnn_net, tmp_path / "mixed", "InnerProduct")
    with pytest.warns(EdgeposeWarning, match=r"Vulkan takes 2 of 3 nodes; 1 run on CPU"):
        session = open_session(mixed, RunOptions(accelerator="gpu"))
    wanted = Placement((("Vulkan", 2), ("CPU", 1)), (("InnerProduct", 1),))
    assert session.effective.placement == wanted
    agree(session, net, photos, 1e-4)
    session.close()


def test_a_net_that_vulkan_takes_no_layer_of_is_refused(ncnn_net, tmp_path) -> None:
    none = masked(ncnn_net, tmp_path / "none", "Convolution", "Split", "InnerProduct")
    with pytest.raises(EngineError, match=r"Vulkan takes none of its 3 nodes .*--accelerator cpu"):
        open_session(none, RunOptions(accelerator="gpu"))


def test_int8_is_refused_on_vulkan_before_ncnn_builds_shaders(tiny_of, tmp_path) -> None:
    tiny = tiny_of("ncnn")
    shutil.copytree(tiny.root, tmp_path / "int8")
    quantized = msgspec.structs.replace(tiny.manifest, precision="int8")
    artifact = seal(tmp_path / "int8", quantized)
    with pytest.raises(InputError, match=r"ncnn runs int8 on the cpu alone.*--accelerator cpu"):
        open_session(artifact, RunOptions(accelerator="gpu"))


def test_the_runner_of_a_board_refuses_such_a_net_too(ncnn_net, photos, tmp_path) -> None:
    none = masked(ncnn_net, tmp_path / "none", "Convolution", "Split", "InnerProduct")
    (none.root / "job.json").write_bytes(msgspec.json.encode(job_of(none, photos)))
    (none.root / "inputs.bin").write_bytes(photos.tobytes())
    order = {"root": "none", "threads": 1, "precision": "f32", "accelerator": "gpu"}
    done = subprocess.run(
        [sys.executable, shutil.copy(RUNNER, tmp_path), "serve"],
        input=msgspec.json.encode(order) + b"\n",
        capture_output=True,
        check=False,
    )
    answer = msgspec.json.decode(done.stdout)
    assert answer["error"] == "InputError"
    assert "no layer on the GPU" in answer["message"]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Build a delegate of our own; TFLite calls it as it calls those of chips."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler here")
    target = tmp_path_factory.mktemp("delegate") / "libdelegate.so"
    source = FILES / "delegate" / "delegate.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", target, source], check=True)
    return str(target)


@pytest.fixture
def tflite_net(tiny_of: Callable[[str], Artifact]) -> Artifact:
    return tiny_of("tflite")


def opened(artifact: Artifact, **extra: str | int) -> Any:
    names = {name.replace("_", "."): value for name, value in extra.items()}
    return open_session(artifact, RunOptions(threads=1, accelerator="npu", extra=names))


def test_a_delegates_operations_are_counted_and_right(tflite_net, net, photos, library) -> None:
    with pytest.warns(EdgeposeWarning, match=r"libdelegate\.so takes 1 of 5 nodes"):
        session = opened(tflite_net, delegate=library)
    effective: Effective = session.effective
    assert effective.accelerator == "npu"
    assert effective.placement is not None
    assert effective.placement.nodes[0] == ("libdelegate.so", 1)
    assert effective.placement.total == len(OPERATIONS)
    assert {kind for kind, _ in effective.placement.left} == OPERATIONS - {"FULLY_CONNECTED"}
    agree(session, net, photos, 1e-4)
    session.close()


def test_a_delegate_that_takes_nothing_is_refused(tflite_net, library) -> None:
    with pytest.raises(EngineError, match=r"libdelegate\.so takes none of its 5 nodes"):
        opened(tflite_net, delegate=library, delegate_take="nothing")


def test_what_a_delegate_says_when_it_refuses_is_passed_on(tflite_net, library) -> None:
    with pytest.raises(EngineError, match="this device is switched off"):
        opened(tflite_net, delegate=library, delegate_take="fail")


def test_what_is_no_delegate_is_refused(tflite_net, tmp_path) -> None:
    (tmp_path / "libtext.so").write_text("no library")
    with pytest.raises(EngineError, match="does not load as a delegate"):
        opened(tflite_net, delegate=str(tmp_path / "libtext.so"))
    with pytest.raises(InputError, match="no such delegate"):
        opened(tflite_net, delegate=str(tmp_path / "libnone.so"))
    with pytest.raises(InputError, match="--engine-option delegate="):
        opened(tflite_net)
    with pytest.raises(InputError, match="path of a library"):
        opened(tflite_net, delegate=1)
    with pytest.raises(InputError, match="add --accelerator gpu or npu"):
        open_session(tflite_net, RunOptions(extra={"delegate": "libnone.so"}))


def test_xnnpack_takes_a_tflite_net_on_the_cpu(tflite_net) -> None:
    session = open_session(tflite_net)
    assert session.effective.placement == Placement((("XNNPACK", len(OPERATIONS)),))
    session.close()


@pytest.fixture(params=["onnxruntime", "onnxruntime-embedded"])
def onnx_net(request: pytest.FixtureRequest, tiny_of: Callable[[str], Artifact]) -> Artifact:
    return tiny_of(request.param)


@pytest.mark.parametrize(
    ("name", "processor"),
    [(name, each) for name, provider in PROVIDERS.items() for each in provider.accelerators],
)
def test_a_provider_executes_nodes_or_is_refused(onnx_net, net, photos, name, processor) -> None:
    """Either outcome is right, by the build and the machine; a run on the CPU instead never is."""
    options = RunOptions(accelerator=processor, extra={"provider": name})
    try:
        session = open_session(onnx_net, options)
    except (InputError, EngineError) as error:
        assert name != "cpu"
        assert "--accelerator cpu" in str(error)  # noqa: PT017 - see above
        return
    placement = session.effective.placement
    assert (placement is None) == (name == "cpu")
    assert placement is None or placement.taken > 0
    agree(session, net, photos, 1e-4 if session.effective.precision == "f32" else 5e-2)
    session.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (RunOptions(extra={"provider": "cuDNN"}), "option provider is one of cpu, xnnpack"),
        (RunOptions(extra={"provider": "cuda"}), "does not run on the cpu; use --accelerator gpu"),
        (
            RunOptions(accelerator="npu", extra={"provider": "tensorrt"}),
            "does not run on the npu; use --accelerator gpu",
        ),
        (RunOptions(extra={"provider.": 1}), "onnxruntime has no option provider."),
        (RunOptions(extra={"providers": "cuda"}), "valid ones: spinning, provider, provider.NAME"),
    ],
)
def test_a_wrong_provider_is_refused(onnx_net, options, said) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        open_session(onnx_net, options)


def test_record_and_profile_agree_with_the_graph(tmp_path) -> None:
    """Without optimisation the nodes that run are those of the file."""
    if installed_engine("onnxruntime") is None:
        pytest.skip("onnxruntime is not installed")
    ort = pytest.importorskip("onnxruntime")
    settings = ort.SessionOptions()
    settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    settings.enable_profiling = True
    settings.profile_file_prefix = str(tmp_path / "run")
    settings.add_session_config_entry(RECORD_ENTRY, "1")
    plain = FILES / "tiny_net" / "plain.onnx"
    session = ort.InferenceSession(str(plain), settings, providers=["CPUExecutionProvider"])
    session.run(None, {"x": np.zeros((1, 3, 8, 6), np.float32)})
    found = profiled(Path(session.end_profiling()), "CPUExecutionProvider")
    assert found == Placement((("CPU", len(GRAPH)),))
    if keeps_record(ort):
        assert recorded(session, "CPUExecutionProvider") == found
        elsewhere = recorded(session, "CUDAExecutionProvider")
        assert elsewhere.nodes == (("CUDA", 0), ("CPU", len(GRAPH)))
        assert {kind for kind, _ in elsewhere.left} == GRAPH


def test_a_graph_that_is_made_to_take_floats_computes_the_same(net, photos) -> None:
    ort = pytest.importorskip("onnxruntime")
    graph = with_float_inputs(FILES / "tiny_net" / "embedded.onnx")
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (source,) = session.get_inputs()
    assert source.type == "tensor(float)"
    (found,) = session.run(["zz_map"], {source.name: photos.astype(np.float32)})
    np.testing.assert_allclose(found, net(photos)["features"], rtol=0, atol=1e-4)
    plain = FILES / "tiny_net" / "plain.onnx"
    assert with_float_inputs(plain) == plain.read_bytes()


def test_free_batches_are_found_by_name() -> None:
    """As tests/data/tiny_net/make.py names them."""
    assert free_batches(FILES / "tiny_net" / "embedded.onnx") == {"N"}
    assert free_batches(FILES / "tiny_net" / "plain.onnx") == set()
