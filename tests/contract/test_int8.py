"""int8 quantization, one body over every runtime: artifacts, how they are judged, and damage that is refused.

How well int8 models do is measured in benchmarks/int8_table.py: it depends on the CPU's kernels.
"""

import dataclasses
from typing import get_args

import msgspec
import numpy as np
import pytest

from edge.parity.boxes import wilson_interval
from edge.parity.verify import verify
from runtimes.artifact import Artifact
from runtimes.base import RunOptions
from runtimes.errors import InputError, TargetExistsError
from runtimes.parity_spec import BoxesParity
from runtimes.registry import ENGINES, open_session
from runtimes.spec import KeptLayer

pytest.importorskip("torch")

from edge.parity.reference import Reference
from export.inputs import drawn_inputs
from quantize.int8.base import Mode
from quantize.int8.calibration import ImageSets
from quantize.int8.gate import float_reference, judge_int8
from quantize.int8.registry import quantizer
from quantize.int8.run import Int8Options, int8_destination, write_int8

# Few images: enough for the mechanism. An artifact for use is calibrated on 128.
CALIBRATION, SEARCH, HELD_OUT = 16, 2, 24
ENGINE_FILES = {"ncnn": ".bin", "openvino": ".bin", "tflite": ".tflite", "onnxruntime": ".onnx"}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, id=name, marks=[pytest.mark.slow] * (name == "openvino"))
        for name in ENGINES
    ],
)
def parent(request, bundled_detector) -> Artifact:
    """The detector of the package in float."""
    return bundled_detector(request.param)


@pytest.fixture(scope="module")
def sets(parent) -> ImageSets:
    images = drawn_inputs(parent.manifest, CALIBRATION + SEARCH + HELD_OUT, seed=7_000_000).images
    parts = np.split(images, [CALIBRATION, CALIBRATION + SEARCH])
    return ImageSets(*parts, source="drawn people", sha256="0" * 64)


@pytest.fixture(scope="module")
def made(parent, sets, once) -> Artifact:
    """The detector in int8, by the runtime's default recipe, not yet judged."""
    name = parent.name.replace("fp32", "int8")

    def fill(root) -> None:
        (root / name).mkdir()
        write_int8(parent, sets, Int8Options().recipe(parent), root / name)

    return Artifact.open(once(f"contract {name}", fill) / name)


@pytest.fixture(scope="module")
def reference(parent, sets) -> Reference:
    return float_reference(parent, sets.held_out)


def engine_file(artifact: Artifact):
    return artifact.file(ENGINE_FILES[artifact.manifest.runtime])


def weight_bytes(artifact: Artifact) -> int:
    return engine_file(artifact).stat().st_size


def test_its_weights_are_small_and_its_parent_is_on_record(made, parent) -> None:
    manifest = made.manifest
    assert manifest.precision == "int8"
    assert manifest.lineage.parent == parent.name
    assert weight_bytes(made) < 0.5 * weight_bytes(parent)


def test_its_manifest_lists_the_layers_in_float_with_reasons(made) -> None:
    kept = made.manifest.kept
    assert len({layer.layer for layer in kept}) == len(kept)
    assert all(layer.reason for layer in kept)


def test_its_manifest_says_how_it_was_quantized(made, parent) -> None:
    record = made.manifest.calibration
    static = quantizer(parent.manifest.runtime).default_mode(parent) == "static"
    assert record.method
    assert record.samples == (CALIBRATION if static else 0)
    assert bool(record.source) == bool(record.sha256) == static


def test_its_outputs_differ_from_its_parents(made, parent, sets) -> None:
    both = []
    for artifact in (parent, made):
        session = open_session(artifact, RunOptions(threads=1))
        both.append(session.run({"image": sets.held_out[:2]}))
        session.close()
    for name, value in both[0].items():
        assert both[1][name].shape == value.shape
        assert not np.array_equal(both[1][name], value)


def test_it_is_judged_by_the_interval_of_the_share_of_boxes(made, parent, reference) -> None:
    parity = judge_int8(made, reference, "held out", None)
    assert isinstance(parity, BoxesParity)
    assert (parity.reference, parity.inputs) == (f"artifact {parent.name}", "held out")
    assert parity.samples == HELD_OUT
    assert parity.matched_interval == wilson_interval(
        round(parity.matched * parity.boxes), parity.boxes
    )
    assert parity.symptoms == ()
    assert parity.matched > 0.75  # .94 to .99 here; other CPUs have other kernels


def test_results_on_other_images_are_refused(made, reference) -> None:
    """As many boxes as the reference's, elsewhere: nothing is broken outright, and few match."""
    turned = dataclasses.replace(reference, images=np.ascontiguousarray(reference.images[::-1]))
    parity = judge_int8(made, turned, "turned round", None)
    assert parity.passed is False
    assert parity.matched_interval[1] < 0.5
    assert parity.symptoms == ()


def test_it_can_be_verified_from_its_own_files(made) -> None:
    """Against PyTorch's outputs for eight images, as on a board."""
    parity = verify(made, RunOptions())
    assert isinstance(parity, BoxesParity)
    assert parity.matched > 0.5  # of some twenty boxes
    assert isinstance(parity.passed, bool)  # by count: a replay is never undecided
    assert parity.matched_interval is None


@pytest.mark.slow
def test_the_same_images_give_the_same_file(made, parent, sets, tmp_path) -> None:
    again = write_int8(parent, sets, Int8Options().recipe(parent), tmp_path)
    assert engine_file(again).read_bytes() == engine_file(made).read_bytes()


@pytest.mark.slow
def test_a_layer_kept_in_float_is_larger_and_listed(made, parent, sets, tmp_path) -> None:
    largest = max(quantizer(parent.manifest.runtime).layers(parent), key=lambda each: each.weights)
    kept = (KeptLayer(layer=largest.name, precision="float", reason="asked for"),)
    artifact = write_int8(parent, sets, Int8Options(kept=kept).recipe(parent), tmp_path)
    assert largest.name in {layer.layer for layer in artifact.manifest.kept}
    grown = weight_bytes(artifact) - weight_bytes(made)
    assert 0.8 * largest.weights <= grown <= 4 * largest.weights


def test_invalid_requests_are_refused_before_any_work(made, parent, tmp_path) -> None:
    with pytest.raises(InputError, match="int8 already"):
        int8_destination(made, Int8Options(), tmp_path)
    (tmp_path / made.name).mkdir()
    with pytest.raises(TargetExistsError):
        int8_destination(parent, Int8Options(), tmp_path)
    (tmp_path / made.name).rmdir()
    unknown = (KeptLayer(layer="nobody", precision="float", reason=""),)
    with pytest.raises(InputError, match="no layer 'nobody'"):
        int8_destination(parent, Int8Options(kept=unknown), tmp_path)
    drawn = msgspec.structs.replace(parent.manifest.lineage, weights="random")
    random = Artifact(parent.root, msgspec.structs.replace(parent.manifest, lineage=drawn))
    with pytest.raises(InputError, match="random weights"):
        int8_destination(random, Int8Options(), tmp_path)
    missing = set(get_args(Mode)) - set(quantizer(parent.manifest.runtime).MODES)
    for mode in missing:
        with pytest.raises(InputError, match=f"no {mode} int8"):
            int8_destination(parent, Int8Options(mode=mode), tmp_path)
