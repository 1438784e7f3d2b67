"""Conventions of the command line: help, suggestions, key=value, JSON, hints, exit codes, lazy imports."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge.catalog.lookup import CATALOG
from edge.cli import COMMANDS
from runtimes.registry import ENGINES

HEAVY = {
    "torch",
    "cv2",
    "onnx",
    "rich",
    *(name for engine in ENGINES.values() for name in engine.packages),
}
LOADED = """
import sys
from edge.cli import run
code = run(sys.argv[1:])
print("\\nLOADED", *sys.modules, file=sys.stderr)
sys.exit(code)
"""


def loaded_by(*args: str) -> set[str]:
    """Top-level modules that a command line has loaded when it ends well."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *args], capture_output=True, text=True, check=True
    )
    return set(done.stderr.rpartition("LOADED ")[2].split())


def test_help_lists_every_verb_and_loads_nothing_heavy(edgepose):
    done = edgepose("--help")
    assert done.code == 0
    assert all(f"\n  {verb} " in done.out for verb in COMMANDS)
    assert not loaded_by("--help") & HEAVY


@pytest.mark.parametrize("verb", ["models", "devices"])
def test_listing_models_and_devices_loads_nothing_heavy(verb):
    assert not loaded_by(verb) & HEAVY


def test_a_board_verb_loads_no_torch_and_no_other_engine(pose):
    loaded = loaded_by("verify", str(pose.path))
    assert "openvino" in loaded
    assert not loaded & {"torch", "onnx", "onnxruntime", "ncnn", "scipy", "matplotlib", "export"}


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_verb_explains_itself(edgepose, verb):
    done = edgepose(verb, "--help")
    assert done.code == 0
    assert done.out.startswith(f"Usage: edgepose {verb} ")
    assert "--json" in done.out
    assert done.err == ""


def test_without_a_verb_the_help_goes_to_stderr(edgepose):
    done = edgepose()
    assert done.code == 2
    assert done.out == ""
    assert done.err == edgepose("--help").out


def test_installed_script_exits_as_documented():
    script = Path(sys.executable).with_name("edgepose")
    if not script.is_file():
        pytest.skip("the package is not installed with its script")
    version = subprocess.run([script, "--version"], capture_output=True, text=True, check=False)
    assert (version.returncode, version.stderr) == (0, "")
    assert version.stdout.startswith("edgepose, version ")
    wrong = subprocess.run([script, "exprot"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.splitlines() == [
        "edgepose: no command 'exprot'; did you mean 'export'?",
        "try: edgepose --help",
    ]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["exprot"], "did you mean 'export'?"),
        (["veryfy", "x"], "did you mean 'verify'?"),
        (["zzz"], "one of: models, get, export, import"),
        (["export", "rtmpose-t", "--weigths", "random"], "--weights"),
        (["run", "x.mp4", "--kpt-trh", "0.3"], "--kpt-thr"),
        (["export", "rtmpose-t", "weigths=random"], "did you mean weights=random?"),
        (["run", "x.mp4", "skipp=3"], "did you mean skip=3?"),
        (["verify", "x", "--bogus"], "--bogus"),
        (["export"], "MODEL"),
        (["run"], "SOURCE"),
        (["eval", "x"], "--annotations"),
        (["verify", "x", "--threads", "0"], "--threads"),
        (["verify", "x", "--threads", "two"], "--threads"),
        (["verify", "x", "precision=f64"], "'f32', 'f16', 'bf16'"),
        (["run", "x", "--det-thr", "2"], "0<=x<=1"),
        (["run", "x", "--max-people", "0"], "--max-people"),
        (["export", "x", "--max-px", "-1"], "--max-px"),
        (["verify", "a", "b"], "b"),
    ],
)
def test_wrong_use_names_the_mistake_and_the_help(edgepose, args, said):
    done = edgepose(*args)
    assert done.code == 2
    assert said in done.message
    assert done.talk[-1].startswith("try: edgepose")
    assert done.talk[-1].endswith("--help")


@pytest.mark.parametrize(
    ("name", "near"),
    [("rtmpose-mm", "rtmpose-m"), ("rtmdet_nano", "rtmdet-nano"), ("tinypose", "tinypose-256x192")],
)
def test_a_misspelt_model_gets_a_suggestion(edgepose, name, near):
    done = edgepose("models", name)
    assert done.code == 2
    assert "did you mean" in done.message
    assert near in done.message


def test_key_value_is_an_option(edgepose):
    done = edgepose("export", "rtmpose-t", "weights=random", "format=onx")
    assert done.code == 2
    assert "unknown format onx" in done.message


def test_a_file_that_looks_like_key_value_stays_a_file(edgepose, tmp_path, monkeypatch, pose):
    monkeypatch.chdir(tmp_path)
    Path("out=1.jpg").write_bytes(b"no picture")
    done = edgepose("run", "out=1.jpg", "--pose", pose.path)
    assert "out=1.jpg is no image" in done.message


def test_models_lists_the_catalogue(edgepose):
    done = edgepose("models", "--json")
    assert [entry["name"] for entry in done.json] == list(CATALOG)
    (entry,) = edgepose("models", "rtmdet-nano", "--json").json
    assert entry["input_wh"] == [320, 320]
    assert entry["licence"] == "Apache-2.0"


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (["models"], "next: edgepose export NAME --weights "),
        (["models", "rtmdet-nano"], "next: edgepose export rtmdet-nano --weights "),
        (["models", "movenet-lightning"], "next: edgepose import FILE --like movenet-lightning"),
        (["doctor"], "next: "),
        (["devices"], "next: edgepose tune ARTIFACT --threads "),
    ],
)
@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_the_last_line_is_the_next_command(edgepose, args, hint, flags):
    done = edgepose(*args, *flags)
    assert done.code == 0
    assert done.out
    assert done.talk[-1].startswith(hint)


def test_doctor_knows_what_is_installed(edgepose):
    report = edgepose("doctor", "--json").json
    installed = {each["package"]: each["version"] for each in report["packages"]}
    assert installed["openvino"] == _version("openvino")
    assert report["machine"]["allowed_cores"] <= os.cpu_count()


def test_info_shows_a_checked_artifact(edgepose, pose):
    done = edgepose("info", pose.path, "--json")
    assert done.code == 0
    assert done.json["model"] == "tinypose-256x192"
    assert len(done.json["keypoints"]["names"]) == 17
    assert done.talk == [f"next: edgepose verify {pose.path}"]
    assert "tinypose-256x192" in edgepose("info", pose.path).out


def test_a_reader_that_leaves_early_gets_no_traceback():
    # a pipe whose reader has gone before the first byte
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", "from edge.cli import main; main()", "models", "--json"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("package", "extra", "args"),
    [
        ("openvino", "openvino", ["verify", "POSE"]),
        ("openvino", "openvino", ["run", "PHOTO", "--pose", "POSE"]),
        ("torch", "export", ["export", "rtmpose-t", "--weights", "random"]),
        ("torch", "quantize", ["quantize", "POSE", "--calib", "synth"]),
        ("torch", "distill", ["distill", "--teacher", "x.pth", "--student", "rtmpose-t"]),
        ("torch", "distill", ["train", "--student", "rtmdet-nano"]),
        ("torch", "export", ["demo"]),
        ("onnxruntime", "onnxruntime", ["export", "rtmpose-t", "--weights", "random"]),
    ],
)
def test_what_is_not_installed_is_named_with_its_command(
    process, pose, photo, tmp_path, package, extra, args
):
    known = {
        "POSE": pose.path,
        "PHOTO": photo,
    }
    done = process(*(known.get(arg, arg) for arg in args), hidden=(package,), cwd=tmp_path)
    assert done.code == 4
    assert f"{package} is not installed; run: pip install 'edgepose[{extra}]'" in done.message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ["run", "bench", "eval"])
def test_without_opencv_a_verb_exits_4_with_the_command(process, tmp_path, verb):
    done = process(verb, "x", "--annotations", "y", hidden=("cv2",), cwd=tmp_path)
    assert done.code == 4
    assert "OpenCV is not installed; run: pip install opencv-python" in done.message


def test_import_needs_no_torch(process, real, tmp_path):
    graph = real / "models/tinypose-256x192/model.xml"
    done = process("import", graph, "--like", "tinypose-256x192", hidden=("torch",), cwd=tmp_path)
    assert done.code == 0


def test_verify_needs_no_torch(process, pose):
    done = process("verify", pose.path, "--json", hidden=("torch", "onnx"))
    assert done.code == 0
    assert done.json["runtime"] == "openvino"


def _version(package: str) -> str:
    return importlib.metadata.version(package)


@pytest.mark.parametrize("option", ["--out", "--save-json", "--save-csv", "--save-jsonl"])
def test_a_name_no_file_can_have_is_one_line(edgepose, small_artifact, tmp_path, option):
    pose = small_artifact(tmp_path / "small.onnxruntime-fp32").root
    done = edgepose("run", "synth", "--pose", pose, option, tmp_path / f"{'x' * 300}.mp4")
    assert done.code == 2
    assert "File name too long" in done.message


@pytest.mark.parametrize(
    ("verb", "option"),
    [("run", "--kpt-thr"), ("run", "--det-thr"), ("run", "--give-up"), ("label", "--det-thr")],
)
def test_nan_is_no_number(edgepose, verb, option):
    done = edgepose(verb, "synth", option, "nan")
    assert done.code == 2
    assert f"Invalid value for '{option}'" in done.message


@pytest.mark.parametrize("option", ["--lr", "--weight-decay", "--deep-supervision"])
def test_infinity_is_no_number(edgepose, option):
    done = edgepose("train", "--student", "rtmpose-t", option, "inf")
    assert done.code == 2
    assert f"Invalid value for '{option}': infinity is no number" in done.message
