"""doctor and the other verbs where installed packages do not load: the test's own come before them on the path."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

LIBXCB = (
    'raise ImportError("libxcb.so.1: cannot open shared object file: No such file or directory")'
)
LIBGOMP = (
    'raise ImportError("libgomp.so.1: cannot open shared object file: No such file or directory")'
)
AVAILABLE = "def get_available_providers():\n    return ['CPUExecutionProvider']"
# every verb in one process: an import that failed is tried again
ALL_VERBS = """
import sys
from edge.cli import COMMANDS, run
for verb in COMMANDS:
    print(verb, run([verb, *(() if verb in {"models", "demo"} else ("gone",))]))
"""


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Put packages of the given source on the path of the processes that are started."""

    def put(**sources: str) -> Path:
        for name, source in sources.items():
            (tmp_path / "site" / name).mkdir(parents=True)
            (tmp_path / "site" / name / "__init__.py").write_text(source)
        path = [str(tmp_path / "site"), str(Path(__file__).resolve().parents[2])]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
        return tmp_path / "site"

    return put


def rows(done) -> dict[str, dict]:
    return {each["package"]: each for each in done.json["packages"]}


def test_doctor_imports_and_names_what_does_not_load(edgepose, packages) -> None:
    packages(
        cv2=LIBXCB,
        ncnn="import os; os.abort()",
        openvino='raise OSError("/x/libopenvino.so: undefined symbol: tbb")',
        onnxruntime="import sys; sys.exit(0)",
        ai_edge_litert="",
    )
    done = edgepose("doctor", "--json")
    assert done.code == 4
    found = rows(done)
    opencv = next(each["problem"] for each in found.values() if each["module"] == "cv2")
    assert "libxcb.so.1 is missing" in opencv
    assert "apt install libxcb1" in opencv
    assert "pip install opencv-python-headless" in opencv
    assert "by SIGABRT" in found["ncnn"]["problem"]
    assert "files of two versions are mixed" in found["openvino"]["problem"]
    assert "SystemExit" in found["onnxruntime"]["problem"]
    assert found["ai-edge-litert"]["problem"] == ""
    assert found["ncnn"]["problem"] in done.err
    assert done.talk[-1] == "next: edgepose doctor, once that is mended"


def test_doctor_says_what_each_package_is_needed_for(edgepose, packages, monkeypatch) -> None:
    packages(
        **dict.fromkeys(["cv2", "ncnn", "ai_edge_litert"], ""),
        openvino="class Core:\n    available_devices = ['CPU', 'GPU']",
        onnxruntime=AVAILABLE,
    )
    absent = {"torch", "nncf"}
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name in absent:
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr("importlib.metadata.version", version)
    report = edgepose("doctor", "--json")
    rows = {each["package"]: each for each in report.json["packages"]}
    assert "export" in rows["torch"]["role"]
    assert rows["nncf"]["role"] == "quantize openvino"
    assert rows["openvino"]["devices"] == ["CPU", "GPU"]
    assert rows["onnxruntime"]["devices"] == ["CPU"]
    (note,) = [each for each in report.json["notes"] if "board" in each]
    assert "run, verify, bench" in note
    assert note in report.err
    assert report.code == 0


def test_doctor_names_an_engine_that_has_no_wheel_here(edgepose, packages, monkeypatch) -> None:
    packages(cv2="", ncnn="", onnxruntime=AVAILABLE, ai_edge_litert="")
    monkeypatch.setitem(sys.modules, "openvino", None)  # not installed
    missing = rows(edgepose("doctor", "--json"))["openvino"]
    assert missing["version"] is None
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    monkeypatch.setattr("platform.python_implementation", lambda: "CPython")
    done = edgepose("doctor")
    assert "openvino: no wheel for Python 3." in done.err
    assert "only for x86_64, aarch64" in done.err
    assert done.code == 0


HANGS = """
import pathlib, subprocess
child = subprocess.Popen(["sleep", "600"])
pathlib.Path(__file__).with_name("pid").write_text(str(child.pid))
child.wait()
"""


def test_doctor_ends_a_hanging_import_and_what_it_started(edgepose, packages) -> None:
    site = packages(cv2=HANGS)
    done = edgepose("doctor", "--json", "--time-limit", 2)
    assert done.code == 4
    (problem,) = [each["problem"] for each in done.json["packages"] if each["module"] == "cv2"]
    assert "did not end within 2 s" in problem
    pid = (site / "cv2/pid").read_text()
    state = Path(f"/proc/{pid}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


def test_no_verb_ends_in_a_traceback_where_opencv_does_not_load(packages, tmp_path) -> None:
    packages(cv2=LIBXCB)
    done = subprocess.run(
        [sys.executable, "-c", ALL_VERBS], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == 0, done.stderr
    codes = dict(line.split() for line in done.stdout.splitlines() if line.count(" ") == 1)
    needy = [
        "import",
        "verify",
        "label",
        "eval",
        "run",
        "bench",
        "tune",
        "demo",
        "export",
        "quantize",
    ]
    assert {verb: codes[verb] for verb in needy} == dict.fromkeys(needy, "4")
    said = [line for line in done.stderr.splitlines() if "libxcb1" in line]
    assert len(said) >= len(needy)
    assert all(line.startswith("edgepose: OpenCV cannot be loaded: ") for line in said)


@pytest.mark.parametrize(
    "source",
    [LIBXCB, "raise AttributeError(\"partially initialized module 'cv2' has no attribute 'x'\")"],
)
def test_an_opencv_that_fails_otherwise_is_named_too(packages, process_of, source) -> None:
    packages(cv2=source)
    done = process_of("run", "gone.jpg")
    assert done.returncode == 4
    assert done.stderr.startswith("edgepose: OpenCV cannot be loaded: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("verb", ["verify", "bench"])
def test_an_engine_that_does_not_load_is_named(
    packages, process_of, small_artifact, tmp_path, verb
) -> None:
    artifact = small_artifact(tmp_path / "small.onnxruntime-fp32")
    packages(onnxruntime=LIBGOMP)
    done = process_of(verb, str(artifact.root))
    assert done.returncode == 4
    assert "onnxruntime is installed, but cannot be loaded: libgomp.so.1 is missing" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def process_of():
    """Run a command line in a process of its own, with the environment of the test."""

    def call(*args: str) -> "subprocess.CompletedProcess[str]":
        code = "from edge.cli import main; main()"
        return subprocess.run(
            [sys.executable, "-c", code, *args], capture_output=True, text=True, check=False
        )

    return call
