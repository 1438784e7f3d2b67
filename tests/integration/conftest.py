"""The command line, run in this process or in its own, and artifacts that it made of real weights, once a run."""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import pytest

from edge.cli import run as run_cli
from runtimes.registry import installed_engine
from runtimes.spec import Cost

ROOT = Path(__file__).resolve().parents[2]
# What a shell starts, with packages named in HIDDEN as if they were not installed. Ctrl-C reaches it as it does at a
# terminal: a shell that starts the tests in the background has them, and what they start, ignore it.
START = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_UNBLOCK, {{signal.SIGINT, signal.SIGTERM}})
sys.modules.update(dict.fromkeys({hidden}))
from edge.cli import main
sys.argv[0] = "edgepose"
main()
"""


@dataclass(frozen=True)
class Done:
    """How a command line ended, what it printed, and what it talked."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Stdout, which must be one JSON document."""
        return json.loads(self.out)

    @property
    def talk(self) -> list[str]:
        """Lines of stderr."""
        return [line for line in self.err.splitlines() if line.strip()]

    @property
    def message(self) -> str:
        """The one line that says what was wrong: no traceback, no data, nothing beside it but where to read on."""
        assert self.out == ""
        assert "Traceback" not in self.err
        said = [line for line in self.talk if line.startswith("edgepose: ")]
        rest = [line for line in self.talk if line not in said]
        assert len(said) == 1, self.err
        assert all(line.startswith("try: edgepose") for line in rest), self.err
        return said[0]


@dataclass(frozen=True)
class Made:
    """An artifact, and how the command that made it ended."""

    path: Path
    done: Done


Cli = Callable[..., Done]
Once = Callable[[str, Callable[[Path], None]], Path]


@pytest.fixture(scope="session")
def edgepose() -> Cli:
    """Run a command line in this process."""

    def call(*args: object) -> Done:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run_cli([str(arg) for arg in args])
        return Done(code, out.getvalue(), err.getvalue())

    return call


@pytest.fixture(scope="session")
def start() -> Callable[..., "subprocess.Popen[str]"]:
    """Start a command line in a process of its own."""

    def call(*args: object, hidden: tuple[str, ...] = (), cwd: Path = ROOT) -> Any:
        code = START.format(hidden=list(hidden))
        return subprocess.Popen(
            [sys.executable, "-c", code, *map(str, args)],
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    return call


@pytest.fixture(scope="session")
def process(start: Callable[..., "subprocess.Popen[str]"]) -> Cli:
    """Run a command line in a process of its own."""

    def call(*args: object, **where: Any) -> Done:
        running = start(*args, **where)
        out, err = running.communicate(timeout=300)
        return Done(running.returncode, out, err)

    return call


@pytest.fixture(scope="session")
def weights(real: Path) -> Path:
    """Real weights of RTMDet nano."""
    return real / "models/rtmdet-nano-person/rtmdet_nano_person.pth"


@pytest.fixture(scope="session")
def photo(real: Path) -> Path:
    """A photograph of one person."""
    return real / "mmpose-coco/000000000785.jpg"


@pytest.fixture(scope="session")
def clip(real: Path, once: Once) -> Path:
    """Twelve frames of a real video with people in it."""

    def fill(root: Path) -> None:
        capture = cv2.VideoCapture(str(real / "videos/demo_skeleton.mp4"))
        frames = [capture.read()[1] for _ in range(12)]
        capture.release()
        write_video(root / "clip.mp4", frames)

    return once("clip", fill) / "clip.mp4"


@pytest.fixture(scope="session")
def made(edgepose: Cli, once: Once) -> Callable[..., Made]:
    """Make an artifact with a command, once a run: `name` is where it lies below the --out that is added."""

    def make(name: str, *args: object) -> Made:
        def fill(root: Path) -> None:
            done = edgepose(*args, "--out", root / "out", "--json")
            (root / "done.json").write_text(json.dumps(asdict(done)))

        root = once(f"made {name}", fill)
        return Made(root / "out" / name, Done(**json.loads((root / "done.json").read_text())))

    return make


@pytest.fixture(scope="session")
def pose(made: Callable[..., Made], real: Path) -> Made:
    """TinyPose, imported for OpenVINO."""
    _need("openvino")
    graph = real / "models/tinypose-256x192/model.xml"
    name = "tinypose-192x256.openvino-fp16"
    return made(name, "import", graph, "--like", "tinypose-256x192")


@pytest.fixture(scope="session")
def detector(made: Callable[..., Made], weights: Path) -> Made:
    """RTMDet nano with its real weights, exported to ONNX Runtime."""
    _need("onnxruntime", "torch", "onnx", "onnxsim", "onnxscript")
    return made("rtmdet-nano-320x320.onnxruntime-fp32", "export", weights, "--format", "onnx")


@pytest.fixture(scope="session")
def random_pose(made: Callable[..., Made]) -> Made:
    """RTMPose tiny with random weights, exported to ONNX Runtime."""
    _need("onnxruntime", "torch", "onnx", "onnxsim", "onnxscript")
    name = "rtmpose-t-192x256.onnxruntime-fp32"
    return made(name, "export", "rtmpose-t", "weights=random", "format=onnx")


def write_video(path: Path, frames: list[Any]) -> None:
    """Write frames uint8 BGR of one size."""
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (width, height))
    for frame in frames:
        writer.write(frame)
    writer.release()


@pytest.fixture(scope="session")
def videos() -> Callable[[Path, list[Any]], None]:
    """Give the writer of videos."""
    return write_video


def _need(*packages: str) -> None:
    for package in packages:
        if package in {"openvino", "onnxruntime"}:
            if installed_engine(package) is None:
                pytest.skip(f"{package} is not installed")
        else:
            pytest.importorskip(package)


@pytest.fixture
def counted(small_artifact, tmp_path):
    """An artifact whose cost is of an export; 2 GMACs, whatever its network has."""
    cost = Cost(macs=2_000_000_000, parameters=10, io_bytes=60)
    return small_artifact(tmp_path / "small.onnxruntime-fp32", cost=cost).root
