"""Registry of runtimes: the adapter module and the engine's import names, one line a runtime."""

import importlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass
from typing import Protocol, cast

from runtimes.artifact import Artifact
from runtimes.base import RunOptions, Session
from runtimes.errors import EngineError, MissingDependencyError
from runtimes.fork import loaded_before_fork, note_loaded
from runtimes.shared_session import SharedSession
from runtimes.spec import Runtime


@dataclass(frozen=True, slots=True)
class Engine:
    """One runtime's engine.

    adapter: the module that drives it. packages: import names, any of which will do, best first; the extra that
    installs one has the runtime's name. runs_requests: whether its adapter runs `RunOptions.requests` itself.
    reopens_after_fork: whether a child forked from a process that has loaded the
    engine can open a session of its own; OpenMP's and TBB's thread pools do not start again there.
    """

    adapter: str
    packages: tuple[str, ...]
    reopens_after_fork: bool
    runs_requests: bool = False


ENGINES: dict[Runtime, Engine] = {
    "ncnn": Engine(
        "runtimes.adapters.ncnn_adapter", ("ncnn",), reopens_after_fork=False, runs_requests=True
    ),
    "openvino": Engine(
        "runtimes.adapters.openvino_adapter", ("openvino",), reopens_after_fork=False
    ),
    "tflite": Engine(
        "runtimes.adapters.litert_adapter",
        ("ai_edge_litert", "tflite_runtime"),
        reopens_after_fork=True,
    ),
    "onnxruntime": Engine(
        "runtimes.adapters.onnxruntime_adapter", ("onnxruntime",), reopens_after_fork=True
    ),
}


class Adapter(Protocol):
    """Interface of every adapter module."""

    def open_session(self, artifact: Artifact, options: RunOptions) -> Session:
        """Load the artifact into its engine."""
        ...


def installed_engine(runtime: Runtime) -> str | None:
    """Return the import name of the engine installed for `runtime`, or None; imports nothing."""
    return next(
        (name for name in ENGINES[runtime].packages if importlib.util.find_spec(name)), None
    )


def engine_version(runtime: Runtime) -> str | None:
    """Return the installed engine's version, or None where it is not installed; "unknown" for a bare folder."""
    engine = installed_engine(runtime)
    if engine is None:
        return None
    try:
        return importlib.metadata.version(engine)
    except importlib.metadata.PackageNotFoundError:
        pass
    # onnxruntime also comes as onnxruntime-gpu and others with the same import name; reading all packages takes .3 s
    distributions = importlib.metadata.packages_distributions().get(engine, [])
    return importlib.metadata.version(distributions[0]) if distributions else "unknown"


def open_session(artifact: Artifact, options: RunOptions | None = None) -> Session:
    """Open `artifact` in its engine, for any number of threads of this process.

    Raises MissingDependencyError with the install command, and EngineError in a child that was forked after its parent
    had loaded ncnn or OpenVINO.
    """
    runtime = artifact.manifest.runtime
    if installed_engine(runtime) is None:
        raise MissingDependencyError(ENGINES[runtime].packages[0], runtime)
    if loaded_before_fork(runtime) and not ENGINES[runtime].reopens_after_fork:
        raise EngineError(
            f"{artifact.name}: {runtime} was loaded before this process was forked and would hang here;"
            " start processes with multiprocessing's 'spawn', or load it in the children alone"
        )
    note_loaded(runtime)
    adapter = cast("Adapter", importlib.import_module(ENGINES[runtime].adapter))
    options = options or RunOptions()
    session: Session
    if (options.requests or 1) > 1 and not ENGINES[runtime].runs_requests:
        from runtimes.adapters.parallel import ParallelSession  # noqa: PLC0415 loads OpenCV, which listing models does not need

        session = ParallelSession(artifact, options, adapter.open_session)
    else:
        session = adapter.open_session(artifact, options)
    return SharedSession(session, artifact.name)
