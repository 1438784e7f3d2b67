"""`edgepose export` and `import`: what passes is in place, what drifts is set aside, what is interrupted is gone."""

import importlib.metadata
import json
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

from runtimes.artifact import Artifact

ROW_KEYS = {"artifact", "runtime", "precision", "bytes", "passed", "parity"}
ROOT = Path(__file__).resolve().parents[2]


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def size(artifact: Path) -> int:
    manifest = json.loads((artifact / "artifact.json").read_text())
    return sum((artifact / each["path"]).stat().st_size for each in manifest["files"])


def test_real_weights_pass_the_gate(detector, weights):
    done = detector.done
    assert done.code == 0
    (row,) = done.json
    assert set(row) == ROW_KEYS
    assert row["artifact"] == str(detector.path)
    assert (row["runtime"], row["precision"], row["passed"]) == ("onnxruntime", "fp32", True)
    assert row["bytes"] == size(detector.path)
    (parity,) = row["parity"]
    assert (parity["basis"], parity["reference"]) == ("boxes", "PyTorch float32")
    assert parity["boxes"] > 0
    assert parity["matched"] == 1.0
    assert done.talk == [f"wrote {detector.path}", f"next: edgepose verify {detector.path}"]
    assert files(detector.path.parent) == {detector.path.name}
    lineage = Artifact.open(detector.path).manifest.lineage
    assert (lineage.weights, lineage.checkpoint) == ("checkpoint", weights.name)


def test_random_weights_pass_on_raw_numbers_and_say_so(random_pose):
    done = random_pose.done
    assert done.code == 0
    (row,) = done.json
    (parity,) = row["parity"]
    assert (parity["basis"], parity["passed"]) == ("raw", True)
    assert parity["raw_error"] <= 1e-3
    assert any("RANDOM" in line for line in done.talk)
    assert Artifact.open(random_pose.path).manifest.lineage.weights == "random"


def test_an_import_is_not_judged(pose):
    (row,) = pose.done.json
    assert pose.done.code == 0
    assert set(row) == ROW_KEYS
    assert (row["runtime"], row["precision"], row["passed"]) == ("openvino", "fp16", None)
    assert row["bytes"] == size(pose.path)
    assert pose.done.talk[-2].startswith(f"wrote {pose.path}")
    assert pose.done.talk[-1].startswith(f"next: edgepose eval {pose.path}")
    assert files(pose.path.parent) == {pose.path.name}


@pytest.fixture(scope="module")
def underflowing(tmp_path_factory):
    """A checkpoint whose last weights are too small for half precision: features are large to make up for them."""
    torch = pytest.importorskip("torch")
    from export.random_weights import random_model

    state = random_model("rtmpose-t").module.state_dict()
    scaled = {
        "head.gau.o.weight": 1e5,
        "head.gau.res_scale.scale": 1e5,
        "head.cls_x.weight": 1e-6,
        "head.cls_y.weight": 1e-6,
    }
    path = tmp_path_factory.mktemp("underflowing") / "weights.pth"
    torch.save({name: state[name] * scaled.get(name, 1) for name in state}, path)
    return path


@pytest.fixture(scope="module")
def refused(edgepose, underflowing, tmp_path_factory):
    """How its export in half precision ends, and where."""
    out = tmp_path_factory.mktemp("refused")
    args = ("export", underflowing, "format=onnx", "precision=fp16", "--out", out, "--json")
    return edgepose(*args), out


NAME = "rtmpose-t-192x256.onnxruntime-fp16"


def test_an_accelerators_verdict_stands_beside_the_cpus(edgepose, weights, tmp_path):
    """ONNX Runtime's CPU provider by its name: no other is in every build."""
    named = ("--engine-option", "provider=cpu")
    done = edgepose("export", weights, "format=onnx", *named, "--out", tmp_path, "--json")
    assert done.code == 0
    (row,) = done.json
    first, second = row["parity"]
    assert (first["engine"], first["passed"]) == ("", True)
    assert second["engine"].endswith("CPUExecutionProvider")
    assert (second["passed"], second["accelerator"], second["arithmetic"]) == (True, "cpu", "f32")
    options = "--accelerator cpu --precision f32 --engine-option provider=cpu"
    assert done.talk[-1] == f"next: edgepose verify {row['artifact']} {options}"


def test_what_drifts_is_set_aside_with_a_report(refused, underflowing):
    done, out = refused
    assert done.code == 3
    (row,) = done.json
    assert row["passed"] is False
    assert row["artifact"] == str(out / ".rejected" / NAME)
    assert files(out) == {".rejected"}
    assert files(out / ".rejected") == {NAME, f"{NAME}.report.json"}
    (report,) = json.loads((out / ".rejected" / f"{NAME}.report.json").read_text())
    assert report == row["parity"][0]
    assert report["raw_error"] > report["limit"]
    again = f"next: edgepose verify {out / '.rejected' / NAME} --layers --weights {underflowing}"
    assert done.talk[-1] == again
    (line,) = (line for line in done.talk if line.startswith("refused, kept for study"))
    assert line.endswith(f"raw error {report['raw_error']:.4g} (limit {report['limit']:.4g})")
    assert not any(line.startswith("wrote ") for line in done.talk)


def test_verify_of_what_was_set_aside_fails_too(edgepose, refused):
    _, out = refused
    done = edgepose("verify", out / ".rejected" / NAME, "--json")
    assert done.code == 3
    assert done.json["passed"] is False
    (line,) = (line for line in done.talk if line.startswith("refused: "))
    assert line.startswith(f"refused: {NAME}: raw error ")
    assert "(limit " in line


def test_layers_name_the_first_that_drifts(edgepose, refused, underflowing):
    _, out = refused
    rejected = out / ".rejected" / NAME
    done = edgepose("verify", rejected, "--layers", "--weights", underflowing, "--json")
    assert done.code == 3
    assert done.json["first"]["name"] == "simcc_x"
    over = [row["name"] for row in done.json["layers"] if row["raw_error"] > row["limit"]]
    assert over == ["simcc_x", "simcc_y"]
    assert done.talk[-1].startswith("next: ")


@pytest.mark.slow
def test_an_interrupted_export_leaves_nothing(start, tmp_path):
    pytest.importorskip("onnxsim")
    args = ("export", "rtmdet-nano", "weights=random", "format=onnx", "--out", "artifacts")
    running = start(*args, cwd=tmp_path)
    deadline = time.monotonic() + 300
    # the staging directory is made once the conversion begins
    while not any(tmp_path.glob("artifacts/.edgepose-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    # deep enough for the exporter to turn the interrupt into an error of its own
    time.sleep(1.5)
    assert running.poll() is None
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=300)
    assert running.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    assert "edgepose: interrupted; nothing half-written was left in place" in err
    assert list(tmp_path.rglob("*")) == [tmp_path / "artifacts"]


def test_a_missing_converter_is_found_before_any_work(tmp_path):
    """Everything installed here but pnnx, as links: its metadata is gone too."""
    packages = tmp_path / "packages"
    packages.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if not path.name.lower().startswith("pnnx") and path.suffix != ".pth":
            (packages / path.name).symlink_to(path)
    for needed in ("torch", "onnx", "onnxsim", "onnxscript", "onnxruntime", "ncnn", "pnnx"):
        _need(needed)
    work = tmp_path / "work"
    work.mkdir()
    paths = [str(ROOT), str(packages)]
    code = f"import sys; sys.path[:0] = {paths}; from edge.cli import main; main()"
    args = ["export", "rtmpose-t", "--weights", "random", "--format", "onnx,ncnn"]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, *args],
        cwd=work,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "edgepose: pnnx is not installed; run: pip install 'edgepose[export]'"
    ]
    assert files(work) == set()


def _need(distribution: str) -> None:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{distribution} is not installed")


@pytest.mark.slow
def test_heads_that_no_tensor_shows_are_given(edgepose, tmp_path):
    torch = pytest.importorskip("torch")
    from export.random_weights import random_variant
    from export.registry import Variant

    made = random_variant(Variant("vitpose", "160x1x5-simple", (48, 64), schema="coco17"))
    weights = tmp_path / "narrow.pth"
    torch.save(made.module.state_dict(), weights)
    plain = ("export", weights, "format=onnx", "--out", tmp_path / "out", "--json")
    assert "give --heads N" in edgepose(*plain).message
    done = edgepose(*plain, "--heads", "5")
    assert done.code == 0
    artifact = Artifact.open(Path(done.json[0]["artifact"]))
    assert artifact.manifest.model == "vitpose-160x1x5-simple-coco17-64x48"
    layers = ("verify", artifact.root, "--layers", "--weights", weights, "--json")
    assert edgepose(*layers, "--heads", "5").code == 0
    assert edgepose(*layers).code == 2
