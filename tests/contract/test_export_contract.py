"""The contract of exported artifacts: one test body, run over every family and runtime."""

import re
import shutil
import zipfile
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edge.model import load
from edge.parity.compare import compare
from edge.parity.reference import load_reference
from edge.parity.verify import verify, verify_against
from export.registry import FAMILIES
from runtimes.artifact import REFERENCE, Artifact
from runtimes.base import RunOptions
from runtimes.errors import ArtifactError, EngineError
from runtimes.files import seal
from runtimes.registry import ENGINES, open_session
from runtimes.spec import ModelSpec, Runtime, model_spec

# A network of each family, and one of ViTPose++, whose experts are merged as it is loaded. Large networks take inputs
# smaller than their own: it is the weights that are converted. Oracles share their exports with test_export_raw.
MODELS = {
    "rtmpose": "random:rtmpose-t",
    "cspnext": "random:cspnext-t-fpn@96x128",
    "rtmdet": "bundled:rtmdet-nano-drawn",  # trained: boxes judge it, raw outputs judge the others
    "vitpose": "oracle:vitpose-s",
    "vitpose++": "oracle:vitae-vitpose++-s-moe-d3:wholebody",
    "sapiens": "oracle:sapiens-mini-17@192x256",
    "fastpose": "random:fastpose-res50@96x128",
    "openpose": "random:openpose-coco18@96x64",
    "openpose_body25": "random:openpose-body25@96x64",
    "openpose_light": "random:openpose-light@128x96",
}
# The others confirm what this one shows; a tiny pose student is exported to every runtime in test_export_student.
QUICK = {"rtmdet"}
PICTURES = 8  # in the gate, as many as an artifact keeps
USUAL = (
    "random:rtmpose-t",
    "onnxruntime",
)  # the product's own number there, which other tests share
LIMITS = {"fp32": 1e-3, "fp16": 3e-2}
PRECISIONS = tuple(LIMITS)
# What every byte of some weights is made: an engine loads it all the same. Zeros, but not for the VGG networks: drawn
# weights give them outputs near 0.1, and stages that hardly need the ones before, so that zeros there move the outputs
# by less than the limits; nor for the trained detector, which may keep every box. Theirs become 3.0 (2.1 in half).
DAMAGE = {"openpose": b"@", "openpose_body25": b"@", "rtmdet": b"@"}


def marks(family: str) -> list[pytest.MarkDecorator]:
    return [] if family in QUICK else [pytest.mark.slow]


FAMILY_PARAMS = [pytest.param(family, marks=marks(family)) for family in MODELS]


def test_no_family_is_left_out() -> None:
    assert set(MODELS) == {*FAMILIES, "vitpose++"}


def test_each_network_is_of_the_family_it_stands_for(loaded_model, family) -> None:
    assert loaded_model(MODELS[family]).family == family.removesuffix("++")


# Of session scope, so that pytest runs all tests of one family, and of one runtime in it, one after the other: in
# another order two processes wait for each other's exports all the time.
@pytest.fixture(scope="session", params=FAMILY_PARAMS)
def family(request) -> str:
    return request.param


@pytest.fixture(scope="session", params=ENGINES)
def runtime(request) -> Runtime:
    return request.param


@pytest.fixture(scope="session")
def source(family) -> str:
    return MODELS[family]


@pytest.fixture(scope="session")
def spec(family, loaded_model) -> ModelSpec:
    return loaded_model(MODELS[family]).spec


@pytest.fixture(scope="session")
def exported(exported):
    """`exported` with few pictures in the gate."""

    def export(source: str, runtime: Runtime):
        return exported(source, runtime, None if (source, runtime) == USUAL else PICTURES)

    return export


@pytest.fixture(scope="session")
def pair(source, runtime, exported):
    """The artifacts of one family on one runtime, by precision."""
    return exported(source, runtime)


@pytest.fixture(params=PRECISIONS)
def made(request, pair):
    return pair[request.param]


def engine_files(artifact: Artifact) -> list[Path]:
    return [artifact.root / r.path for r in artifact.manifest.files if r.path != REFERENCE]


def test_it_passes_its_own_gate(made, family) -> None:
    assert made.passed, made.error or made.parity
    (parity,) = made.parity
    limit = LIMITS[made.target.precision]
    assert parity.samples == (32 if (MODELS[family], made.target.runtime) == USUAL else PICTURES)
    if family == "rtmdet":
        assert parity.basis == "boxes"
        assert parity.boxes > PICTURES
    else:  # a reference's weights are drawn too: they place too few keypoints clearly to be judged by
        assert (parity.basis, parity.limit) == ("raw", limit)
    assert parity.raw_error is not None
    assert parity.raw_error <= limit / 2
    assert (parity.arithmetic, parity.reference) == ("f32", "PyTorch float32")
    assert parity.inputs.startswith("drawn people")


def test_its_manifest_is_the_models_spec_and_the_engines_tensors(
    made, family, spec, loaded_model
) -> None:
    artifact = Artifact.open(made.path)
    manifest = artifact.manifest
    assert (manifest.runtime, manifest.precision) == (made.target.runtime, made.target.precision)
    width, height = spec.image.wh
    # a network outside the catalogue bears its size already, height first
    model = spec.model.removesuffix(f"-{height}x{width}")
    name = f"{model}-{width}x{height}.{manifest.runtime}-{manifest.precision}"
    assert artifact.root.name == name
    assert manifest.image.embedded is (manifest.runtime != "ncnn")
    assert manifest.lineage == loaded_model(MODELS[family]).lineage
    drawn_here = MODELS[family].startswith("random:")
    assert manifest.lineage.weights == ("random" if drawn_here else "checkpoint")
    assert manifest.tools
    assert {out.name for out in manifest.outputs} == set(
        load_reference(made.path / REFERENCE).outputs
    )


def test_any_batch_and_any_thread_count_say_the_same(made) -> None:
    artifact = Artifact.open(made.path)
    images = load_reference(made.path / REFERENCE).images[:5]
    together, alone = (open_session(artifact, RunOptions(threads=n)) for n in (2, 1))
    joined = together.run({"image": images})
    for index in range(5):
        single = alone.run({"image": images[index : index + 1]})
        for tensor in artifact.manifest.outputs:
            assert single[tensor.name].shape == (1, *tensor.shape[1:])
            scale = max(1.0, float(np.abs(joined[tensor.name]).max()))
            error = np.abs(single[tensor.name][0] - joined[tensor.name][index]).max()
            assert error <= 1e-3 * scale
    together.close()
    alone.close()


def test_it_verifies_wherever_it_is_copied(made, tmp_path) -> None:
    shutil.copytree(made.path, tmp_path / "copy")
    verdict = verify(Artifact.open(tmp_path / "copy"), RunOptions(threads=2))
    assert verdict.passed is True
    assert (verdict.samples, verdict.arithmetic) == (8, "f32")


def test_damaged_weights_are_refused_with_and_without_their_hashes(made, family, tmp_path) -> None:
    shutil.copytree(made.path, tmp_path / "copy")
    artifact = Artifact.open(tmp_path / "copy")
    largest = max(engine_files(artifact), key=lambda path: path.stat().st_size)
    data = bytearray(largest.read_bytes())
    start, length = len(data) // 2, len(data) // 8
    data[start : start + length] = DAMAGE.get(family, b"\0") * length
    largest.write_bytes(data)
    with pytest.raises(ArtifactError, match="sha256"):
        Artifact.open(artifact.root)
    resealed = seal(artifact.root, artifact.manifest)
    try:
        verdict = verify(Artifact.open(resealed.root), RunOptions())
    except EngineError:
        return
    assert verdict.passed is False


def test_half_is_little_more_than_half_the_size(pair) -> None:
    full, half = (
        sum(path.stat().st_size for path in engine_files(Artifact.open(pair[p].path)))
        for p in PRECISIONS
    )
    assert 0.45 * full < half < 0.6 * full


def test_the_two_precisions_agree_with_each_other(pair) -> None:
    full, half = (Artifact.open(pair[precision].path) for precision in PRECISIONS)
    verdict = verify_against(half, full, RunOptions())
    assert verdict.passed is True
    assert verdict.raw_error is not None
    assert 0 < verdict.raw_error < 3e-2


def test_frames_go_in_and_results_come_out(made, spec) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (90, 160, 3), dtype=np.uint8)
    with load(made.path, threads=1) as model:
        result = model(frame)
    if spec.task == "detect":
        assert result.boxes.shape[1] == 4
    else:
        # bottom-up networks find people themselves, any number of them
        people = len(result) if spec.task == "pose-bottomup" else 1
        assert result.xy.shape == (people, len(spec.keypoints.names), 2)
        assert np.isfinite(result.xy).all()


def test_runtimes_agree_on_one_picture(exported, source) -> None:
    """Every runtime's outputs against the first one's, through the gate's own comparison."""
    artifacts = [Artifact.open(exported(source, r)["fp32"].path) for r in ENGINES]
    for artifact in artifacts[1:]:
        assert verify_against(artifact, artifacts[0], RunOptions()).passed is True


def test_an_artifact_that_mistook_one_picture_for_another_would_not_pass(exported, source) -> None:
    """Drawn weights must let the picture through to the outputs, or the comparison shows nothing."""
    made = exported(source, "onnxruntime")["fp32"]
    artifact = Artifact.open(made.path)
    reference = load_reference(made.path / REFERENCE)
    session = open_session(artifact)
    outputs = session.run({"image": np.roll(reference.images, 1, axis=0)})
    session.close()
    assert compare(reference, outputs, artifact.manifest, "fp32").passed is False


# What other tools find in the files


def mirrored(artifact: Artifact) -> ModelSpec:
    """The spec as the engine file itself carries it."""
    (path,) = (p for p in engine_files(artifact) if p.suffix in {".onnx", ".xml", ".tflite"})
    if path.suffix == ".onnx":
        onnx = pytest.importorskip("onnx")
        (text,) = (e.value for e in onnx.load(path).metadata_props if e.key == "edgepose")
    elif path.suffix == ".xml":
        openvino = pytest.importorskip("openvino")
        text = openvino.Core().read_model(path).get_rt_info(["model_info", "edgepose"]).astype(str)
    else:
        with zipfile.ZipFile(path) as archive:
            text = archive.read("edgepose.json").decode()
    return msgspec.json.decode(text, type=ModelSpec)


@pytest.mark.parametrize("engine", ["openvino", "tflite", "onnxruntime"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_engine_files_carry_the_spec(exported, loaded_model, source, engine, precision) -> None:
    artifact = Artifact.open(exported(source, engine)[precision].path)
    assert mirrored(artifact) == loaded_model(source).spec
    assert model_spec(artifact.manifest).codec == loaded_model(source).spec.codec


@pytest.mark.parametrize("precision", PRECISIONS)
def test_onnx_has_our_names_and_a_free_batch(exported, loaded_model, source, precision) -> None:
    onnx = pytest.importorskip("onnx")
    artifact = Artifact.open(exported(source, "onnxruntime")[precision].path)
    graph = onnx.load(artifact.file(".onnx")).graph
    spec = loaded_model(source).spec
    width, height = spec.image.wh
    (image,) = graph.input
    assert image.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    dims = image.type.tensor_type.shape.dim
    assert (image.name, dims[0].dim_value) == ("image", 0)
    assert [dim.dim_value for dim in dims[1:]] == [height, width, 3]
    assert [out.name for out in graph.output] == [out.name for out in spec.outputs]
    for out, tensor in zip(graph.output, spec.outputs, strict=True):
        sizes = [dim.dim_value for dim in out.type.tensor_type.shape.dim]
        assert sizes == [0, *tensor.shape[1:]]
    kinds = {tensor.data_type for tensor in graph.initializer}
    assert (onnx.TensorProto.FLOAT16 in kinds) == (precision == "fp16")


@pytest.mark.slow
def test_openvino_tells_model_api_what_it_is(exported) -> None:
    openvino = pytest.importorskip("openvino")
    path = Artifact.open(exported(MODELS["rtmpose"], "openvino")["fp32"].path).file(".xml")
    model = openvino.Core().read_model(path)
    info = {
        key: model.get_rt_info(["model_info", key]).astype(str)
        for key in ("model_type", "labels", "mean_values", "reverse_input_channels")
    }
    assert info["model_type"] == "keypoint_detection"
    assert info["labels"].split()[:2] == ["nose", "left_eye"]
    assert info["mean_values"] == "123.675 116.28 103.53"
    assert info["reverse_input_channels"] == "True"
    assert model.input().get_element_type() == openvino.Type.u8
    assert model.input().partial_shape[0].is_dynamic
    assert [out.any_name for out in model.outputs] == ["simcc_x", "simcc_y"]


def test_ncnn_files_hold_no_wrapper(exported, loaded_model, source) -> None:
    param = Artifact.open(exported(source, "ncnn")["fp32"].path).file(".param").read_text()
    kinds = {line.split()[0] for line in param.splitlines()[2:]}
    assert not {kind for kind in kinds if "." in kind}  # `Tensor.to` and its like do not load
    outputs = set(re.findall(r"\bout\d\b", param))
    assert len(outputs) == len(loaded_model(source).spec.outputs)
