"""Fixtures every test may use: the reference outputs and real data, where they are there, and exports of models."""

import functools
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from runtimes.artifact import REFERENCE
from runtimes.codec_spec import HeatmapCodec
from runtimes.parity_spec import PxParity
from runtimes.registry import installed_engine
from runtimes.spec import CropSpec, ImageSpec, KeypointsSpec, Lineage, Manifest

if TYPE_CHECKING:
    from export import Exported, LoadedModel
    from export.inputs import GateInputs
    from runtimes.artifact import Artifact
    from runtimes.spec import Runtime

SHARED = Path(__file__).resolve().parents[2] / "shared"


def _shared(name: str) -> Path:
    path = SHARED / name
    if not path.is_dir():
        pytest.skip(f"{path} is absent: reference data lies outside the repository")
    return path


@pytest.fixture(scope="session")
def oracles() -> Path:
    """Outputs of the reference implementations."""
    return _shared("oracles")


@pytest.fixture(scope="session")
def real() -> Path:
    """Real weights, photographs and clips."""
    return _shared("real")


@pytest.fixture(scope="session")
def loaded_model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], "LoadedModel"]:
    """Load "random:NAME" (our own draw), "oracle:NAME" (the reference's draw) or "real:rtmdet-nano", each once.

    "oracle:NAME:TASK" chooses among the parts of a ViTPose++, and "@WxH" at the end another input size.
    """

    @functools.cache
    def load(source: str) -> "LoadedModel":
        pytest.importorskip("torch")
        from export import load_checkpoint
        from export.checkpoint import with_input
        from export.random_weights import random_model

        weights, _, size = source.partition("@")
        if size:
            width, height = map(int, size.split("x"))
            return with_input(load(weights), (width, height))
        kind, name, *task = weights.split(":")
        if kind == "random":
            return random_model(name)
        if kind == "real":
            models = request.getfixturevalue("real") / "models"
            return load_checkpoint(models / "rtmdet-nano-person" / "rtmdet_nano_person.pth")
        oracles = request.getfixturevalue("oracles")
        path = tmp_path_factory.mktemp("weights") / f"{name}.pth"
        regenerate = [sys.executable, "-B", oracles / "regen.py", name, path]
        subprocess.run(regenerate, check=True, capture_output=True)
        if (config := oracles / f"{name}.config.json").is_file():
            shutil.copyfile(config, path.with_name("config.json"))
        return load_checkpoint(path, task=task[0] if task else None)

    return load


@pytest.fixture(scope="session")
def exported(
    loaded_model: Callable[[str], "LoadedModel"], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., dict[str, "Exported"]]:
    """Export a model of `loaded_model` to a runtime, once a session: {"fp32": ..., "fp16": ...}.

    The gate runs its usual number of pictures, or `pictures` of them.
    """

    @functools.cache
    def draw(source: str, pictures: int | None) -> "GateInputs":
        from export.inputs import drawn_inputs

        return drawn_inputs(loaded_model(source).spec, pictures)

    @functools.cache
    def export(source: str, runtime: "Runtime", pictures: int | None) -> dict[str, "Exported"]:
        if installed_engine(runtime) is None:
            pytest.skip(f"{runtime} is not installed")
        loaded = loaded_model(source)
        from export import Target, export_model

        targets = [Target(runtime, "fp32"), Target(runtime, "fp16")]
        out = tmp_path_factory.mktemp("exported")
        made = export_model(loaded, targets, out, inputs=draw(source, pictures))
        return {result.target.precision: result for result in made}

    # the cache tells a default that is left out from one that is given
    return lambda source, runtime, pictures=None: export(source, runtime, pictures)


@pytest.fixture(scope="session")
def small_artifact() -> Callable[..., "Artifact"]:
    """Write an ONNX Runtime artifact of a network small enough to be computed by hand, with its reference.

    Keypoint 0 is where it is blue, keypoint 1 where it is red: the mean of each 4x4 cell of a 32x32 picture. `changes`
    are the manifest's; `swapped` has it look for red and blue the other way round, after the reference was made.
    """
    pytest.importorskip("onnx")
    if installed_engine("onnxruntime") is None:
        pytest.skip("onnxruntime is not installed")
    return _write_small


def _write_small(root: Path, *, swapped: bool = False, **changes: Any) -> "Artifact":
    import onnx

    from edge.parity.reference import make_reference, save_reference
    from runtimes.files import seal
    from runtimes.spec import TensorSpec

    weights = np.array([[1, 0, 0], [0, 0, 1]], np.float32) / 255
    kernel = np.broadcast_to(weights[:, :, None, None] / 16, (2, 3, 4, 4)).astype(np.float32)
    helper, kinds = onnx.helper, onnx.TensorProto
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["real"], to=kinds.FLOAT),
            helper.make_node("Transpose", ["real"], ["x"], perm=[0, 3, 1, 2]),
            helper.make_node("Conv", ["x", "kernel"], ["heatmap"], strides=[4, 4]),
        ],
        "small",
        [helper.make_tensor_value_info("image", kinds.UINT8, ["N", 32, 32, 3])],
        [helper.make_tensor_value_info("heatmap", kinds.FLOAT, ["N", 2, 8, 8])],
        [onnx.numpy_helper.from_array(kernel[:, ::-1] if swapped else kernel, "kernel")],
    )
    root.mkdir(parents=True)
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), root / "model.onnx")
    picture = TensorSpec(name="image", dtype="uint8", shape=(-1, 32, 32, 3), layout="NHWC")
    manifest = Manifest(
        **{
            "model": "small",
            "task": "pose-topdown",
            "runtime": "onnxruntime",
            "precision": "fp32",
            "inputs": (picture,),
            "outputs": (TensorSpec(name="heatmap", shape=(-1, 2, 8, 8)),),
            "image": ImageSpec(wh=(32, 32), order="BGR", embedded=True),
            "crop": CropSpec(kind="stretch"),
            "codec": HeatmapCodec(refine="none"),
            "keypoints": KeypointsSpec(name="two", names=("blue", "red"), sigmas=(0.1, 0.1)),
            "lineage": Lineage(weights="checkpoint"),
            "parity": (PxParity(reference="by hand", passed=True, px_p95=0.01),),
            **changes,
        }
    )
    pictures = np.zeros((4, 32, 32, 3), np.uint8)
    for number, each in enumerate(pictures):
        each[4 * number : 4 * number + 4, 8:12, 0] = 255
        each[16:20, 4 * number : 4 * number + 4, 2] = 255
    means = pictures.reshape(4, 8, 4, 8, 4, 3).mean(axis=(2, 4))
    outputs = {"heatmap": np.einsum("byxc,kc->bkyx", means, weights).astype(np.float32)}
    save_reference(root / REFERENCE, make_reference(pictures, outputs, manifest, "by hand"))
    return seal(root, manifest)
