"""Fixtures for every test: reference outputs and real data, where they are present, and exported models."""

import fcntl
import functools
import os
import pickle
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import hypothesis
import numpy as np
import pytest

from runtimes.artifact import REFERENCE
from runtimes.codec_spec import HeatmapCodec
from runtimes.parity_spec import PxParity
from runtimes.registry import installed_engine
from runtimes.spec import CropSpec, ImageSpec, KeypointsSpec, Lineage, Manifest

if TYPE_CHECKING:
    import torch

    from export import Exported, LoadedModel
    from export.inputs import GateInputs
    from runtimes.artifact import Artifact
    from runtimes.spec import Runtime

COMMITTED = Path(__file__).parent / "data" / "oracles"
SHARED = Path(__file__).resolve().parents[2] / "shared"
REQUIRED = "EDGEPOSE_REQUIRE_ORACLES"  # where it is 1, a test whose reference data is absent fails
# Attention heads of a reference whose width is no published one and whose heads are not 64 wide.
HEADS = {"sapiens-mini-17": 6}
ABSENT = "reference data lies outside the repository"

Find = Callable[[str], Path]
Once = Callable[[str, Callable[[Path], None]], Path]


def pytest_configure() -> None:
    """Have threads sleep while they wait, and libraries take one each where processes of pytest-xdist share the cores.

    OpenMP reads these as torch and ncnn are loaded. Sessions still take as many threads as a test asks for. Hypothesis
    judges no time either.
    """
    slow = [hypothesis.HealthCheck.too_slow]
    hypothesis.settings.register_profile("edgepose", deadline=None, suppress_health_check=slow)
    hypothesis.settings.load_profile("edgepose")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    if int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1:
        os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests did not run for want of reference data."""
    skipped = terminalreporter.stats.get("skipped", [])
    absent = sum(ABSENT in str(report.longrepr) for report in skipped)
    if absent:
        terminalreporter.write_line(f"{absent} tests did not run: {SHARED} lacks their data")


def _shared(path: Path) -> Path:
    if not path.exists():
        give_up = pytest.fail if os.environ.get(REQUIRED) == "1" else pytest.skip
        give_up(f"{path} is absent: {ABSENT}")
    return path


@pytest.fixture(scope="session")
def oracles() -> Find:
    """Find a file of reference implementations' outputs by its name: committed, or beside the repository."""

    def find(name: str) -> Path:
        committed = COMMITTED / name
        return committed if committed.is_file() else _shared(SHARED / "oracles" / name)

    return find


@pytest.fixture(scope="session")
def real() -> Path:
    """Real weights, photographs and clips."""
    return _shared(SHARED / "real")


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Make a directory once a run: the first worker of pytest-xdist to ask fills it, the others wait for it.

    Call it with a name and with what fills a new, empty directory; what it returns is for reading only.
    """
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "once"
    root.mkdir(exist_ok=True)

    def make(name: str, fill: Callable[[Path], None]) -> Path:
        path = root / quote(name, safe="")
        done = path.with_name(f"{path.name}.done")
        with path.with_name(f"{path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(path, ignore_errors=True)
                path.mkdir()
                fill(path)
                done.touch()
        return path

    return make


@pytest.fixture(scope="session")
def reference_state(oracles: Find) -> Callable[[str], "dict[str, torch.Tensor]"]:
    """Make the weights that a reference ran with, under its own keys."""

    def make(name: str) -> "dict[str, torch.Tensor]":
        import torch

        script = oracles("regen.py")
        state = runpy.run_path(str(script))["regen"](name, str(script.parent))
        return {key: torch.from_numpy(np.array(value)) for key, value in state.items()}

    return make


@pytest.fixture(scope="session")
def reference_weights(
    oracles: Find, once: Once, reference_state: Callable[[str], "dict[str, torch.Tensor]"]
) -> Find:
    """Write those weights as a checkpoint, once a run; beside it its config.json, where it has one."""

    def write(name: str) -> Path:
        def fill(root: Path) -> None:
            import torch

            torch.save({"meta": {}, "state_dict": reference_state(name)}, root / f"{name}.pth")
            config = oracles("regen.py").with_name(f"{name}.config.json")
            if config.is_file():
                shutil.copyfile(config, root / "config.json")

        return once(f"weights {name}", fill) / f"{name}.pth"

    return write


@pytest.fixture(scope="session")
def loaded_model(
    request: pytest.FixtureRequest, reference_weights: Find
) -> Callable[[str], "LoadedModel"]:
    """Load a network, each once.

    "random:NAME" is our own draw of weights, "oracle:NAME" the reference's, "real:rtmdet-nano" mmdet's own training,
    "bundled:NAME" what is in the package. "oracle:NAME:TASK" chooses among the parts of a ViTPose++, and "@WxH" at the
    end another input size.
    """

    @functools.cache
    def load(source: str) -> "LoadedModel":
        pytest.importorskip("torch")
        from export import load_checkpoint
        from export.bundled import BUNDLED
        from export.checkpoint import with_input
        from export.random_weights import random_model

        weights, _, size = source.partition("@")
        if size:
            width, height = map(int, size.split("x"))
            return with_input(load(weights), (width, height))
        kind, name, *task = weights.split(":")
        if kind == "random":
            return random_model(name)
        if kind == "bundled":
            return load_checkpoint(BUNDLED[name].path)
        if kind == "real":
            models = request.getfixturevalue("real") / "models"
            return load_checkpoint(models / "rtmdet-nano-person" / "rtmdet_nano_person.pth")
        chosen = task[0] if task else None
        return load_checkpoint(reference_weights(name), task=chosen, heads=HEADS.get(name))

    return load


@pytest.fixture(scope="session")
def exported(
    loaded_model: Callable[[str], "LoadedModel"], once: Once
) -> Callable[..., dict[str, "Exported"]]:
    """Export a model of `loaded_model` to a runtime, once a run: {"fp32": ..., "fp16": ...}, for reading only.

    The gate runs its usual number of pictures, or `pictures` of them.
    """

    @functools.cache
    def draw(source: str, pictures: int | None) -> "GateInputs":
        from export.inputs import drawn_inputs

        return drawn_inputs(loaded_model(source).spec, pictures)

    @functools.cache
    def export(
        source: str, runtime: "Runtime", pictures: int | None = None
    ) -> dict[str, "Exported"]:
        if installed_engine(runtime) is None:
            pytest.skip(f"{runtime} is not installed")
        loaded = loaded_model(source)
        from export import Target, export_model

        def fill(root: Path) -> None:
            targets = [Target(runtime, "fp32"), Target(runtime, "fp16")]
            inputs = draw(source, pictures)
            made = export_model(loaded, targets, root, inputs=inputs)
            by_precision = {result.target.precision: result for result in made}
            (root / "results.pickle").write_bytes(pickle.dumps(by_precision))

        root = once(f"{source} {runtime} {pictures}", fill)
        results: dict[str, Exported] = pickle.loads((root / "results.pickle").read_bytes())  # noqa: S301
        return results

    return export


@pytest.fixture(scope="session")
def bundled_detector(
    exported: Callable[..., dict[str, "Exported"]],
) -> Callable[["Runtime"], "Artifact"]:
    """Export the detector that is in the package to a runtime in fp32, once a run, for reading only."""

    def export(runtime: "Runtime") -> "Artifact":
        from runtimes.artifact import Artifact

        made = exported("bundled:rtmdet-nano-drawn", runtime, 8)["fp32"]
        assert made.passed, made
        return Artifact.open(made.path)

    return export


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
