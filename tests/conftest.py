"""Fixtures every test may use: the reference outputs and real data, where they are there, and exports of models."""

import functools
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runtimes.registry import installed_engine

if TYPE_CHECKING:
    from export import Exported, LoadedModel
    from export.inputs import GateInputs
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
