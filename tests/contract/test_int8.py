"""int8, one body over every runtime: what is made and how it is judged; a ruined detector does not pass."""

import dataclasses

import msgspec
import numpy as np
import pytest

from edge.parity.boxes import MIN_BOXES, wilson_interval
from edge.parity.verify import verify
from runtimes.artifact import Artifact
from runtimes.base import RunOptions
from runtimes.errors import InputError, TargetExistsError
from runtimes.parity_spec import BoxesParity
from runtimes.registry import ADAPTERS, installed_engine, open_session
from runtimes.spec import KeptLayer

pytest.importorskip("torch")

from export import Target, export_model, load_checkpoint
from export.bundled import BUNDLED
from export.inputs import drawn_inputs
from quantize.int8.calibration import Sets
from quantize.int8.gate import float_reference, judge_int8
from quantize.int8.registry import quantizer
from quantize.int8.run import Job, int8_destination, quantize_artifact

NAME = "rtmdet-nano-drawn"
CALIBRATE, REPORT = 48, 24


@pytest.fixture(scope="session")
def sets() -> Sets:
    spec = load_checkpoint(BUNDLED[NAME].path).spec
    images = drawn_inputs(spec, CALIBRATE + 8 + REPORT, seed=7_000_000).images
    parts = np.split(images, [CALIBRATE, CALIBRATE + 8])
    return Sets(*parts, source="drawn people", sha256="0" * 64)


@pytest.fixture(scope="module", params=[pytest.param(name, id=name) for name in ADAPTERS])
def parent(request, tmp_path_factory) -> Artifact:
    """The shipped detector in float."""
    if installed_engine(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    loaded = load_checkpoint(BUNDLED[NAME].path)
    inputs = drawn_inputs(loaded.spec, 8)
    out = tmp_path_factory.mktemp(request.param)
    made = export_model(loaded, [Target(request.param, "fp32")], out, inputs=inputs)
    assert made[0].passed, made[0]
    return Artifact.open(made[0].path)


@pytest.fixture(scope="module")
def made(parent, sets) -> Artifact:
    result = quantize_artifact(
        parent, sets, int8_destination(parent, Job(), parent.root.parent), Job()
    )
    # in place or under .rejected/: how many boxes of drawn people match is measured in benchmarks/, not here
    assert not result.error
    return Artifact.open(result.path)


def weight_bytes(artifact: Artifact) -> int:
    return (
        artifact.file(
            {"ncnn": ".bin", "openvino": ".bin", "tflite": ".tflite"}.get(
                artifact.manifest.runtime, ".onnx"
            )
        )
        .stat()
        .st_size
    )


def test_it_runs_and_is_judged_against_its_parent(made, parent) -> None:
    manifest = made.manifest
    assert made.name == parent.name.replace("fp32", "int8")
    assert manifest.precision == "int8"
    assert manifest.lineage.parent == parent.name
    assert manifest.parity[0].reference == f"artifact {parent.name}"
    (parity,) = manifest.parity
    assert isinstance(parity, BoxesParity)
    assert parity.samples > REPORT  # which hold some hundred boxes: more pictures were drawn
    assert parity.boxes >= MIN_BOXES
    assert parity.passed is not False
    assert parity.matched_interval == wilson_interval(
        round(parity.matched * parity.boxes), parity.boxes
    )
    assert parity.symptoms == ()
    assert weight_bytes(made) < 0.5 * weight_bytes(parent)


def test_its_manifest_says_what_is_left_in_float_and_why(made) -> None:
    kept = made.manifest.kept
    assert len({layer.layer for layer in kept}) == len(kept)
    assert all(layer.reason for layer in kept)


def test_its_manifest_says_how_it_was_quantized(made, parent) -> None:
    record = made.manifest.calibration
    static = quantizer(parent.manifest.runtime).default_mode(parent) == "static"
    assert record.method
    assert record.samples == (CALIBRATE if static else 0)
    assert bool(record.source) == bool(record.sha256) == static


def test_it_is_no_copy_of_its_parent(made, parent, sets) -> None:
    """Outputs are close and not equal: something was rounded."""
    both = []
    for artifact in (parent, made):
        session = open_session(artifact, RunOptions(threads=1))
        both.append(session.run({"image": sets.report[:2]}))
        session.close()
    for name, value in both[0].items():
        assert both[1][name].shape == value.shape
        assert not np.array_equal(both[1][name], value)


def test_it_can_be_verified_from_its_own_files(made) -> None:
    """Beside PyTorch's outputs, as on a board; the shipped boxes of eight pictures."""
    parity = verify(made, RunOptions())
    assert parity.basis == "boxes"
    assert parity.matched is not None
    assert parity.matched >= 0.9  # of some twenty boxes: one or two may go
    assert isinstance(parity.passed, bool)  # by count: a replay is never undecided
    assert parity.matched_interval is None


@pytest.mark.slow
def test_the_same_images_give_the_same_file(made, parent, sets, tmp_path) -> None:
    again = quantize_artifact(parent, sets, int8_destination(parent, Job(), tmp_path), Job())
    records = {record.path: record.sha256 for record in made.manifest.files}
    other = {record.path: record.sha256 for record in Artifact.open(again.path).manifest.files}
    suffix = {"openvino": ".bin", "tflite": ".tflite", "ncnn": ".bin", "onnxruntime": ".onnx"}
    engine = [name for name in records if name.endswith(suffix[parent.manifest.runtime])]
    assert engine
    assert {name: other[name] for name in engine} == {name: records[name] for name in engine}


@pytest.mark.slow
def test_a_layer_left_in_float_is_left(made, parent, sets, tmp_path) -> None:
    largest = max(quantizer(parent.manifest.runtime).layers(parent), key=lambda each: each.weights)
    kept = (KeptLayer(layer=largest.name, precision="float", reason="asked for"),)
    job = Job(kept=kept)
    result = quantize_artifact(parent, sets, int8_destination(parent, job, tmp_path), job)
    artifact = Artifact.open(result.path)
    assert largest.name in {layer.layer for layer in artifact.manifest.kept}
    grown = weight_bytes(artifact) - weight_bytes(made)
    assert 0.8 * largest.weights <= grown <= 4 * largest.weights


def test_who_says_the_wrong_thing_is_refused(made, parent, sets) -> None:
    """The right network on the wrong pictures: as many boxes, elsewhere."""
    reference = float_reference(parent, sets.report)
    turned = dataclasses.replace(reference, images=np.ascontiguousarray(reference.images[::-1]))
    parity = judge_int8(made, turned, "turned round", None)
    assert parity.passed is False
    assert parity.symptoms == ()


def test_what_cannot_be_quantized_is_refused_before_work(made, parent, tmp_path) -> None:
    with pytest.raises(InputError, match="int8 already"):
        int8_destination(made, Job(), tmp_path)
    (tmp_path / made.name).mkdir()
    with pytest.raises(TargetExistsError):
        int8_destination(parent, Job(), tmp_path)
    (tmp_path / made.name).rmdir()
    unknown = (KeptLayer(layer="nobody", precision="float", reason=""),)
    with pytest.raises(InputError, match="no layer 'nobody'"):
        int8_destination(parent, Job(kept=unknown), tmp_path)
    drawn = msgspec.structs.replace(parent.manifest.lineage, weights="random")
    random = Artifact(parent.root, msgspec.structs.replace(parent.manifest, lineage=drawn))
    with pytest.raises(InputError, match="random weights"):
        int8_destination(random, Job(), tmp_path)
    missing = {"static", "dynamic", "weight-only"} - set(quantizer(parent.manifest.runtime).MODES)
    for mode in missing:
        with pytest.raises(InputError, match=f"no {mode} int8"):
            int8_destination(parent, Job(mode=mode), tmp_path)
