"""Export from conversion to publication: artifacts that pass, are rejected, or are interrupted."""

import dataclasses
import json
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from torch import nn

from edge.catalog.specs import image_input
from export.checkpoint import LoadedModel
from export.exporter import Exported, export_model, export_to, publish_or_reject
from export.gate import judge_parity, torch_reference
from export.inputs import GateInputs
from export.registry import Variant
from runtimes.artifact import Artifact
from runtimes.base import RunOptions
from runtimes.codec_spec import HeatmapCodec
from runtimes.errors import EngineError, TargetExistsError
from runtimes.naming import Destination, Target, artifact_name, destinations
from runtimes.parity_spec import ApParity
from runtimes.spec import (
    CropSpec,
    ImageSpec,
    KeypointsSpec,
    Lineage,
    ModelSpec,
    TensorSpec,
)

SIDE, STRIDE = 64, 4
ONNX = Target("onnxruntime", "fp32")
HALF = Target("onnxruntime", "fp16")
NAME = "spots-64x64.onnxruntime-fp32"
SPEC = ModelSpec(
    model="spots-64x64",
    task="pose-topdown",
    inputs=(image_input((SIDE, SIDE)),),
    outputs=(TensorSpec(name="heatmap", shape=(-1, 2, 16, 16)),),
    image=ImageSpec(wh=(SIDE, SIDE), order="RGB", mean=(1.0, 2.0, 3.0), std=(50.0, 60.0, 70.0)),
    crop=CropSpec(kind="affine"),
    codec=HeatmapCodec(refine="none"),
    keypoints=KeypointsSpec(name="two", names=("red", "blue"), sigmas=(0.1, 0.1)),
)


class Spots(nn.Module):
    """Keypoint 0 is where it is red, keypoint 1 where it is blue."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, STRIDE, STRIDE, bias=False)
        with torch.no_grad():
            self.conv.weight.zero_()
            self.conv.weight[0, 0] = self.conv.weight[1, 2] = 1 / STRIDE**2

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (self.conv(image),)


def spots(count: int = 4) -> GateInputs:
    """Black pictures with one red and one blue cell."""
    rng = np.random.default_rng(5)
    pictures = np.zeros((count, SIDE, SIDE, 3), np.uint8)
    for picture in pictures:
        for channel in (0, 2):
            x, y = rng.integers(0, SIDE // STRIDE, 2) * STRIDE
            picture[y : y + STRIDE, x : x + STRIDE, channel] = 255
    return GateInputs(pictures, "spots")


@pytest.fixture
def loaded() -> LoadedModel:
    lineage = Lineage(weights="checkpoint", checkpoint_sha256="0" * 64)
    return LoadedModel(Spots().eval(), SPEC, lineage, Variant("spots", "s", (SIDE, SIDE)))


def export(loaded: LoadedModel, out: Path, **options: object) -> Exported:
    (made,) = export_model(loaded, [ONNX], out, inputs=spots(), **options)
    return made


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("rtmpose-t", "rtmpose-t-64x48.ncnn-int8"),
        ("tinypose-48x64", "tinypose-64x48.ncnn-int8"),
        ("tinypose-64x48", "tinypose-64x48-64x48.ncnn-int8"),
    ],
)
def test_directories_are_named_width_first(model, name) -> None:
    spec = msgspec.structs.replace(SPEC, model=model, image=ImageSpec(wh=(64, 48)))
    assert artifact_name(spec, Target("ncnn", "int8")) == name


def test_what_passes_is_put_intoplace_whole(loaded, tmp_path) -> None:
    made = export(loaded, tmp_path)
    assert made.passed
    assert names(tmp_path) == [NAME]
    artifact = Artifact.open(tmp_path / NAME)
    manifest = artifact.manifest
    assert {record.path for record in manifest.files} == {"model.onnx", "reference.npz"}
    assert made.bytes == sum((artifact.root / r.path).stat().st_size for r in manifest.files)
    assert manifest.lineage == loaded.lineage
    assert manifest.parity == made.parity
    (parity,) = manifest.parity
    assert (parity.basis, parity.passed, parity.inputs) == ("px", True, "spots")
    assert (parity.arithmetic, parity.reference) == ("f32", "PyTorch float32")
    assert parity.isa
    assert set(manifest.tools) == {"torch", "onnx", "onnxscript", "onnxsim"}


def test_an_existing_target_is_refused_before_any_work(loaded, tmp_path) -> None:
    (tmp_path / "spots-64x64.onnxruntime-fp16").mkdir()
    steps: list[str] = []
    with pytest.raises(TargetExistsError, match="--force"):
        export_model(loaded, [ONNX, HALF], tmp_path, inputs=spots(), progress=steps.append)
    assert steps == []
    assert names(tmp_path) == ["spots-64x64.onnxruntime-fp16"]


def test_force_replaces(loaded, tmp_path) -> None:
    export(loaded, tmp_path)
    (tmp_path / NAME / "old").write_text("old")
    assert export(loaded, tmp_path, force=True).passed
    assert names(tmp_path) == [NAME]
    assert "old" not in names(tmp_path / NAME)


def verdict(*, passed: bool | None) -> ApParity:
    return ApParity(
        reference="a judge",
        passed=passed,
        limit=0.005,
        ap=0.5,
        ap_reference=0.6,
        ap_drop=0.1,
        ap_interval=(0.0, 0.2),
    )


@pytest.mark.parametrize("passed", [False, None])
def test_what_drifts_or_is_undecided_goes_under_rejected_with_its_report(
    loaded, tmp_path, passed
) -> None:
    made = export(loaded, tmp_path, accuracy=lambda _: verdict(passed=passed))
    assert not made.passed
    assert names(tmp_path) == [".rejected"]
    assert made.path == tmp_path / ".rejected" / NAME
    assert Artifact.open(made.path).manifest.parity[1].passed is passed
    report = json.loads((tmp_path / ".rejected" / f"{NAME}.report.json").read_text())
    assert [record["basis"] for record in report] == ["px", "ap"]
    assert report[1]["ap_drop"] == 0.1


def test_a_rejected_export_leaves_the_good_artifact_inplace(loaded, tmp_path) -> None:
    good = export(loaded, tmp_path)
    before = (good.path / "artifact.json").read_bytes()
    export(loaded, tmp_path, force=True, accuracy=lambda _: verdict(passed=False))
    assert (good.path / "artifact.json").read_bytes() == before
    assert Artifact.open(good.path).manifest.parity == good.parity


def test_what_passes_removes_its_own_earlier_rejection_and_no_other(loaded, tmp_path) -> None:
    def refuse(artifact: Artifact) -> ApParity:
        return verdict(passed=False)

    _, half = export_model(loaded, [ONNX, HALF], tmp_path, inputs=spots(), accuracy=refuse)
    assert export(loaded, tmp_path).passed
    assert names(tmp_path) == [".rejected", NAME]
    assert names(tmp_path / ".rejected") == [half.path.name, f"{half.path.name}.report.json"]

    (now,) = export_model(loaded, [HALF], tmp_path, inputs=spots())
    assert now.passed
    assert names(tmp_path) == [now.path.name, NAME]  # the empty folder is gone too


@pytest.mark.parametrize("target", [ONNX, HALF])
def test_an_accelerator_is_a_second_gate(loaded, tmp_path, target) -> None:
    """The CPU provider asked for by name is one that every ONNX Runtime has; TensorRT drives no NPU anywhere."""
    planned = destinations(SPEC, [target], tmp_path)
    named = {"onnxruntime": RunOptions(extra={"provider": "cpu"})}
    (made,) = export_to(loaded, planned, inputs=spots(), accelerated=named)
    assert made.passed
    manifest = Artifact.open(planned[0].path).manifest
    assert [bool(record.engine) for record in manifest.parity] == [False, True]
    assert manifest.parity == made.parity

    nowhere = RunOptions(accelerator="npu", extra={"provider": "tensorrt"})
    planned = destinations(SPEC, [target], tmp_path / "none")
    asked = {"onnxruntime": nowhere, "ncnn": nowhere}
    (failed,) = export_to(loaded, planned, inputs=spots(), accelerated=asked)
    assert not failed.passed
    assert "does not run on the npu" in failed.error
    assert str(tmp_path) not in failed.error
    assert not planned[0].path.exists()


def test_an_artifact_that_is_not_the_module_is_rejected(loaded, tmp_path) -> None:
    made = export(loaded, tmp_path / "first")
    other = Spots().eval()
    with torch.no_grad():
        other.conv.weight.copy_(other.conv.weight.flip(1))  # red for blue
    reference = torch_reference(other, SPEC, spots())
    artifact = Artifact.open(made.path)
    parity = judge_parity(artifact, reference, spots(), None)
    assert (parity.basis, parity.passed) == ("px", False)
    placed = publish_or_reject(artifact, Destination(ONNX, tmp_path / "second" / NAME), (parity,))
    assert placed.path == tmp_path / "second" / ".rejected" / NAME
    assert not (tmp_path / "second" / NAME).exists()


def test_the_pixel_limit_can_be_set(loaded, tmp_path) -> None:
    artifact = Artifact.open(export(loaded, tmp_path).path)
    moved = GateInputs(np.roll(spots().images, STRIDE, axis=2), "moved")
    # what PyTorch says of the plain pictures, against what the artifact says of the moved ones
    plain = torch_reference(loaded.module, SPEC, spots())
    reference = dataclasses.replace(plain, images=moved.images)
    assert judge_parity(artifact, reference, moved, None).passed is False
    for limit, passed in ((STRIDE - 0.1, False), (float(SIDE), True)):
        parity = judge_parity(artifact, reference, moved, limit)
        assert (parity.limit, parity.passed) == (limit, passed)


@pytest.mark.parametrize("step", ["PyTorch reference", "onnxruntime fp32", "onnxruntime fp16"])
def test_an_interruption_leaves_only_what_was_finished(loaded, tmp_path, step) -> None:
    def progress(now: str) -> None:
        if now == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_model(loaded, [ONNX, HALF], tmp_path, inputs=spots(), progress=progress)
    assert names(tmp_path) == ([NAME] if step == "onnxruntime fp16" else [])


def test_an_interruption_in_the_gate_leaves_nothing(loaded, tmp_path) -> None:
    def interrupt(artifact: Artifact) -> ApParity:
        assert artifact.root.parent.parent == tmp_path  # in a staging folder beside its target
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(loaded, tmp_path, accuracy=interrupt)
    assert names(tmp_path) == []


def test_a_target_that_fails_does_not_take_the_others_with_it(loaded, tmp_path) -> None:
    def refuse(artifact: Artifact) -> ApParity:
        if artifact.manifest.precision == "fp32":
            raise EngineError("the engine refused it")
        return verdict(passed=True)

    full, half = export_model(loaded, [ONNX, HALF], tmp_path, inputs=spots(), accuracy=refuse)
    assert (full.passed, full.error, full.parity) == (False, "the engine refused it", ())
    assert half.passed
    assert half.error == ""
    assert names(tmp_path) == [half.path.name]


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from test_exporter import Spots, SPEC, spots, ONNX
from pathlib import Path
from export.checkpoint import LoadedModel
from export.registry import Variant
from export.exporter import export_model
from runtimes.spec import Lineage
loaded = LoadedModel(
    Spots().eval(), SPEC, Lineage(weights="random"), Variant("spots", "s", (64, 64)))
kill = lambda artifact: os.kill(os.getpid(), signal.SIGKILL)
export_model(loaded, [ONNX], Path(sys.argv[1]), inputs=spots(), accuracy=kill)
"""


@pytest.mark.slow
def test_a_killed_export_leaves_nothing_under_the_artifacts_name(tmp_path) -> None:
    argv = [sys.executable, "-c", KILLED, str(tmp_path), str(Path(__file__).parent)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [name for name in names(tmp_path) if not name.startswith(".")] == []
