"""From an empty cache to a pose: `get` from a local server, `run` without naming a model, and bundles for boards."""

import functools
import http.server
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest

from edge import Pipeline, load
from edge.synth import draw_scene
from runtimes.artifact import Artifact, sha256_of
from runtimes.cache.names import artifacts_dir

FIRST = "edgepose get rtmpose-s rtmdet-nano"
POSE = "drawn-pose-96x128.onnxruntime-fp32"
DETECTOR = "drawn-detector-320x320.onnxruntime-fp32"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A file server that counts requests and says nothing."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
        """Say nothing."""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("EDGEPOSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A picture of drawn people."""
    path = tmp_path / "people.png"
    assert cv2.imwrite(str(path), draw_scene(3).image)
    return path


@pytest.fixture
def asked(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A server of the drawn weights that the user's catalogue names; yields the paths it was asked for."""
    pytest.importorskip("torch")
    pytest.importorskip("onnxruntime")
    from export.bundled import BUNDLED, WEIGHTS

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    kind = type("Own", (Quiet,), {"asked": []})
    handler = functools.partial(kind, directory=str(WEIGHTS))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        site = f"http://127.0.0.1:{server.server_port}"
        pose = BUNDLED["rtmpose-t-drawn"]
        own = {"url": f"{site}/{pose.file}", "sha256": sha256_of(pose.path)}
        models = [
            {"name": "drawn-pose", "like": "rtmpose-t", **own},
            {"name": "wrong", **own, "sha256": "0" * 64},
            {"name": "like-nothing", **own, "like": "rtmpose-zz"},
            {"name": "like-a-detector", **own, "like": "rtmdet-nano"},
            {"name": "like-a-vit", **own, "like": "vitpose-s"},
            {"name": "absent", **own, "url": f"{site}/gone.pth"},
            {"name": "unreachable", **own, "url": "http://127.0.0.1:9/gone.pth"},
        ]
        (tmp_path / "own.json").write_text(json.dumps(models))
        monkeypatch.setenv("EDGEPOSE_CATALOG", str(tmp_path / "own.json"))
        yield kind.asked
        server.shutdown()
        thread.join()


@pytest.fixture
def filled(cache: Path, exported: Callable[..., Any], once: Callable[..., Path]) -> Path:
    """A cache with a detector and, after it, a pose model; returns the pose artifact."""
    models = {
        DETECTOR: ("rtmdet-nano-drawn", "drawn-detector"),
        POSE: ("rtmpose-t-drawn", "drawn-pose"),
    }

    def fill(root: Path) -> None:
        for directory, (source, name) in models.items():
            made = exported(f"bundled:{source}", "onnxruntime", 8)["fp32"]
            shutil.copytree(made.path, root / directory)
            manifest = root / directory / "artifact.json"
            manifest.write_text(manifest.read_text().replace(f'"{source}"', f'"{name}"'))

    for name in models:
        shutil.copytree(
            once("filled cache", fill) / name, artifacts_dir() / name, copy_function=shutil.copyfile
        )
    return artifacts_dir() / POSE


def test_an_empty_cache_names_the_one_command(edgepose, cache) -> None:
    done = edgepose("run", "synth")
    assert done.code == 2
    assert FIRST in done.message
    listed = edgepose("models", "--local", "--json")
    assert (listed.code, listed.json) == (0, [])
    assert listed.talk == [f"next: {FIRST}"]
    assert not cache.exists()


def test_from_a_server_to_a_pose_and_nothing_twice(edgepose, asked, cache, picture) -> None:
    done = edgepose("get", "drawn-pose", "--runtime", "onnxruntime", "--json")
    assert done.code == 0, done.err
    (made,) = done.json
    assert Path(made["artifact"]) == cache / "artifacts" / POSE
    assert (made["runtime"], made["precision"], made["passed"]) == ("onnxruntime", "fp32", True)
    assert done.talk[-1].startswith("next: edgepose run ")
    assert Artifact.open(made["artifact"]).manifest.model == "drawn-pose"
    assert asked == ["/rtmpose-t-drawn.safetensors"]

    (shown,) = edgepose("models", "drawn-pose", "--json").json
    lineage = Artifact.open(made["artifact"]).manifest.lineage
    assert shown["licence"] == ", ".join(lineage.licences) != "unknown"
    assert shown["commercial_use"] is lineage.commercial_use

    again = edgepose("get", "drawn-pose", "--runtime", "onnx", "--json")
    assert (again.code, again.json) == (0, done.json)
    assert f"{POSE}: is in the cache already" in again.err
    run = edgepose("run", picture, "--json")
    assert run.code == 0
    assert f"from the cache: pose {POSE}; without a detector" in run.err
    assert run.json["poses"] == run.json["frames"]
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("wrong", "is not the published file"),
        ("absent", "404"),
        ("unreachable", "cannot be reached"),
        ("like-nothing", "rtmpose-zz"),
        ("like-a-detector", "is like rtmdet-nano (rtmdet, detect); correct `like`"),
        ("like-a-vit", "is like vitpose-s (vitpose, pose-topdown); correct `like`"),
        ("nothing", "no model is called 'nothing'"),
        ("tinypose-256x192", "no address is known"),
    ],
)
def test_what_cannot_be_got_is_said_in_one_line(edgepose, asked, name, said) -> None:
    done = edgepose("get", name, "--runtime", "onnx")
    assert done.code == 2
    (line,) = [each for each in done.talk if not each.startswith("downloading ")]
    assert line.startswith("edgepose: ")
    assert said in line
    assert list(artifacts_dir().glob("*")) == []


def test_int8_is_made_by_quantize(edgepose, cache) -> None:
    done = edgepose("get", "rtmpose-s", "--precision", "fp32,int8")
    assert done.code == 2
    assert "edgepose quantize rtmpose-s --calib DIR" in done.message


def test_the_detector_of_the_cache_goes_with_its_pose_model(edgepose, filled, picture) -> None:
    done = edgepose("run", picture, "--json")
    assert done.code == 0, done.err
    assert f"from the cache: pose {POSE}, detector {DETECTOR}" in done.err
    assert done.json["detections_run"] == done.json["frames"]
    named = edgepose("run", picture, "--pose", "drawn-pose", "--json")
    assert "from the cache" not in named.err
    assert named.json["detections_run"] == 0
    rows = edgepose("models", "--local", "--json").json
    assert [(row["artifact"], row["runs_here"]) for row in rows] == [(POSE, True), (DETECTOR, True)]


@pytest.mark.parametrize(
    "args",
    [
        ["info", "NAME"],
        ["info", POSE],
        ["verify", "NAME"],
        ["verify", "NAME", "--against", "NAME"],
        ["bench", "NAME", "--rounds", "1", "--time", "0.01"],
        ["tune", "NAME", "--threads", "1", "--rounds", "1", "--time", "0.01"],
        ["eval", "NAME", "--annotations", "FILE"],
        ["quantize", "NAME", "--calib", "FILE"],
    ],
)
def test_every_verb_takes_a_name_of_the_cache(edgepose, filled, tmp_path, args) -> None:
    known = {"NAME": "drawn-pose", "FILE": tmp_path / "none.json"}
    done = edgepose(*(known.get(arg, arg) for arg in args))
    reads_a_file = "FILE" in args
    assert done.code == (2 if reads_a_file else done.code)
    assert "no artifact there" not in done.err
    assert ("none.json" in done.err) is reads_a_file
    if args[0] in {"info", "verify", "bench"}:
        assert done.code == 0, done.err


def test_the_sdk_takes_a_name_of_the_cache(filled) -> None:
    with load("drawn-pose") as model:
        assert model.name == POSE
    with Pipeline("drawn-pose", DETECTOR) as pipeline:
        assert (pipeline.pose.name, pipeline.detector.name) == (POSE, DETECTOR)


def test_a_bundle_reaches_a_board_without_torch(
    edgepose, process, filled, picture, tmp_path, monkeypatch
) -> None:
    # the address is never asked: the model is in the cache
    from export.bundled import BUNDLED

    sha256 = sha256_of(BUNDLED["rtmpose-t-drawn"].path)
    model = {"name": "drawn-pose", "url": "http://127.0.0.1:9/x.pth", "sha256": sha256}
    (tmp_path / "own.json").write_text(json.dumps([model]))
    monkeypatch.setenv("EDGEPOSE_CATALOG", str(tmp_path / "own.json"))
    options = ["--runtime", "onnxruntime", "--bundle", tmp_path / "b.tar"]
    done = edgepose("get", "drawn-pose", *options)
    assert done.code == 0, done.err
    assert (
        done.talk[-1]
        == f"next: copy {tmp_path / 'b.tar'} to the board, and there: edgepose get b.tar"
    )
    again = ("get", "drawn-pose", "--runtime", "onnx")
    assert process(*again, hidden=("torch",)).code == 0
    other = [model | {"sha256": "0" * 64}]  # other weights: what is there is another model's
    (tmp_path / "own.json").write_text(json.dumps(other))
    assert process(*again, hidden=("torch",)).code == 4
    (tmp_path / "own.json").write_text(json.dumps([model]))
    (filled / "reference.npz").write_bytes(b"damaged")  # so it has to be made again
    assert process(*again, hidden=("torch",)).code == 4
    refused = edgepose("get", "drawn-pose", *options)
    assert refused.code == 2
    assert "b.tar exists" in refused.message
    monkeypatch.setenv("EDGEPOSE_CACHE", str(tmp_path / "board"))
    board = process("get", tmp_path / "b.tar", "--json", hidden=("torch", "onnx", "openvino"))
    assert board.code == 0, board.err
    assert Path(board.json[0]["artifact"]) == tmp_path / "board" / "artifacts" / POSE
    ran = process("run", picture, "--json", hidden=("torch", "onnx", "openvino"))
    assert ran.code == 0, ran.err
    assert ran.json["poses"] == ran.json["frames"]


def test_a_board_is_told_what_to_run_on_the_host(process, cache) -> None:
    done = process("get", "rtmpose-s", "rtmdet-nano", "--runtime", "ncnn", hidden=("torch",))
    assert done.code == 4
    command = "edgepose get --bundle models.tar --runtime ncnn rtmpose-s rtmdet-nano"
    assert command in done.message
    assert "edgepose get models.tar" in done.message
    assert not cache.exists()
