"""Bad input of every kind: one line that says what is wrong and what to do, exit code 2, and nothing written."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

BLANK = np.full((48, 64, 3), 90, np.uint8)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use no models of the user's cache."""
    monkeypatch.setenv("EDGEPOSE_CACHE", str(tmp_path_factory.getbasetemp() / "empty cache"))


def edited(**fields: object) -> Callable[[Path], None]:
    """Change fields of artifact.json by hand."""

    def edit(root: Path) -> None:
        manifest = json.loads((root / "artifact.json").read_text())
        (root / "artifact.json").write_text(json.dumps(manifest | fields))

    return edit


def changed(root: Path) -> None:
    data = bytearray((root / "model.bin").read_bytes())
    data[1000] ^= 1
    (root / "model.bin").write_bytes(data)


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "file missing": (lambda root: (root / "model.bin").unlink(), "model.bin is missing"),
    "file truncated": (
        lambda root: (root / "model.bin").write_bytes((root / "model.bin").read_bytes()[:1000]),
        "1000 bytes",
    ),
    "one bit changed": (changed, "sha256 differs"),
    "reference missing": (
        lambda root: (root / "reference.npz").unlink(),
        "reference.npz is missing",
    ),
    "manifest missing": (lambda root: (root / "artifact.json").unlink(), "artifact.json"),
    "manifest is no JSON": (
        lambda root: (root / "artifact.json").write_text("{"),
        "not a valid manifest",
    ),
    "manifest truncated": (
        lambda root: (root / "artifact.json").write_bytes(
            (root / "artifact.json").read_bytes()[:500]
        ),
        "not a valid manifest",
    ),
    "newer format": (edited(format=2), "format 2, this edgepose reads up to 1"),
    "unknown field": (edited(colour="blue"), "colour"),
    "unknown runtime": (edited(runtime="tensorrt"), "tensorrt"),
    "path that leaves the directory": (
        edited(files=[{"path": "../x", "bytes": 1, "sha256": "0"}]),
        "not a bare file name",
    ),
}


def tree(root: Path) -> set[Path]:
    """Everything below a directory, hidden things included."""
    return {path for path in root.rglob("*") if path.name not in {".", ".."}}


@pytest.fixture
def untouched(tmp_path, monkeypatch):
    """Run in an empty directory, which must be empty afterwards."""
    empty = tmp_path / "work"
    empty.mkdir()
    monkeypatch.chdir(empty)
    yield empty
    assert tree(empty) == set()


@pytest.mark.parametrize("verb", ["info", "verify", "run", "bench"])
@pytest.mark.parametrize("damage", BROKEN)
def test_a_damaged_artifact_is_refused_before_an_engine_sees_it(
    edgepose, pose, photo, tmp_path, untouched, damage, verb
):
    damage_it, said = BROKEN[damage]
    broken = tmp_path / "broken"
    shutil.copytree(pose.path, broken)
    damage_it(broken)
    args = [photo, "--pose", broken, "--save-json", "o.json"] if verb == "run" else [broken]
    done = edgepose(verb, *args)
    assert done.code == 2
    assert said in done.message
    assert str(broken) in done.message


@pytest.fixture(scope="session")
def known(pose, detector, photo, weights, real):
    """What the words in capitals below stand for."""
    return {
        "POSE": pose.path,
        "DETECTOR": detector.path,
        "PHOTO": photo,
        "WEIGHTS": weights,
        "ONNX": detector.path / "model.onnx",
        "GRAPH": real / "models/tinypose-256x192/model.xml",
        "COCO": real / "coco-mini/person_keypoints.json",
    }


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["info", "nowhere"], "nowhere: no artifact there"),
        (["verify", "nowhere"], "nowhere: no artifact there"),
        (["verify", "POSE", "--against", "nowhere"], "nowhere: no artifact there"),
        (["verify", "POSE", "--weights", "x.pth"], "--weights goes with --layers"),
        (["verify", "POSE", "--heads", "4"], "--heads goes with --layers"),
        (["verify", "POSE", "--task", "coco"], "--task goes with --layers"),
        (["verify", "POSE", "--layers", "--weights", "x.pth"], "was imported"),
        (["export", "WEIGHTS", "--heads", "4"], "which has no attention heads; leave heads out"),
        (
            ["eval", "POSE", "--heads", "4", "--annotations", "COCO"],
            "--heads and --size describe a checkpoint",
        ),
        (["verify", "POSE", "--accelerator", "npu"], "NPU"),
        (["verify", "POSE", "--against", "DETECTOR"], "compare like with like"),
        (["verify", "DETECTOR", "--layers"], "needs --weights CHECKPOINT"),
        (["verify", "DETECTOR", "--layers", "--weights", "random"], "sha256 differs"),
        (["verify", "DETECTOR", "--layers", "--weights", "gone.pth"], "gone.pth: no such file"),
        (["run", "PHOTO"], "--pose ARTIFACT"),
        (["run", "PHOTO", "--pose", "nowhere"], "nowhere: no artifact there"),
        (["run", "PHOTO", "--pose", "DETECTOR"], "needs a pose model"),
        (["run", "PHOTO", "--pose", "POSE", "--detector", "POSE"], "finds boxes"),
        (["run", "PHOTO", "--pose", "POSE", "--skip", "0"], "from 1 up"),
        (["run", "PHOTO", "--pose", "POSE", "skip=two"], "from 1 up"),
        (["run", "gone.mp4", "--pose", "POSE"], "gone.mp4"),
        (["run", "*.gone", "--pose", "POSE"], "no image matches *.gone"),
        (["run", "99", "--pose", "POSE"], "camera 99"),
        (["run", "rtsp://127.0.0.1:9/x", "--pose", "POSE"], "rtsp://127.0.0.1:9/x"),
        (["run", "PHOTO", "--pose", "POSE", "--out", "gone/o.mp4"], "cannot write into gone"),
        (["run", "PHOTO", "--pose", "POSE", "--save-csv", "gone/o.csv"], "cannot write into gone"),
        (["run", "PHOTO", "--pose", "POSE", "--out", "o.gif"], "FILE.mp4, FILE.avi, FILE.jpg"),
        (
            ["run", "PHOTO", "--pose", "POSE", "--save-json", "o", "--save-csv", "o"],
            "two options name the same target",
        ),
        (["run", "PHOTO", "--pose", "POSE", "--save-jsonl", "-", "--json"], "both want stdout"),
        (["run", "PHOTO", "--pose", "POSE", "--out", "-"], "for --save-jsonl alone"),
        (["run", "PHOTO", "--pose", "POSE", "--shard", "3/2"], "I from 1 to N"),
        (["run", "PHOTO", "--pose", "POSE", "--shard", "1/2"], "is no video file"),
        (["run", "a.mp4", "b.mp4", "--pose", "POSE", "--out", "o.mp4"], "is one file"),
        (["run", "a.mp4", "b.mp4", "--pose", "POSE", "--show"], "shows one source"),
        (["run", "a.mp4", "b.mp4", "--pose", "POSE"], "a.mp4"),
        (
            ["run", "PHOTO", "--pose", "POSE", "--save-jsonl", "gone/o.jsonl"],
            "cannot write into gone",
        ),
        (["export", "rtmpose-t"], "add --weights FILE"),
        (["export", "rtmpose-t", "weights=ftp://a.example/b.pth"], "only http:// and https://"),
        (["export", "rtmpose-t", "weights=gone.pth"], "gone.pth: no such file"),
        (["export", "gone.pth"], "gone.pth: no such file"),
        (["export", "WEIGHTS", "--det-classes", "player"], "add --val COCO.json"),
        (["export", "rtmposet"], "did you mean"),
        (["export", "tinypose-256x192", "weights=random"], "edgepose import FILE --like"),
        (["export", "POSE"], "is a directory"),
        (["export", "ONNX"], "edgepose import"),
        (["export", "WEIGHTS", "weights=random"], "leave --weights out"),
        (["export", "rtmpose-t", "--weights", "WEIGHTS"], "holds rtmdet-nano, not rtmpose-t"),
        (["export", "WEIGHTS", "format=onnx,rknn"], "unknown format rknn"),
        (["export", "WEIGHTS", "format=engine"], "for an engine of TensorRT: --format tensorrt"),
        (
            ["export", "WEIGHTS", "format=tensorrt", "--accelerator", "gpu"],
            "give the one or the other",
        ),
        (
            ["export", "WEIGHTS", "format=ncnn", "--engine-option", "provider=cuda"],
            "ncnn has no option provider",
        ),
        (
            ["export", "WEIGHTS", "format=onnx", "--engine-option", "provider=tensorrt"],
            "does not run on the cpu; use --accelerator gpu",
        ),
        (["export", "WEIGHTS", "format="], "unknown format"),
        (["export", "WEIGHTS", "precision=fp8"], "unknown precision fp8"),
        (["export", "WEIGHTS", "input=320"], "WxH"),
        (["export", "WEIGHTS", "input=0x320"], "WxH"),
        (["export", "WEIGHTS", "input=321x320"], "multiples of 32"),
        (["export", "WEIGHTS", "--max-ap-drop", "1"], "add --val COCO.json"),
        (["export", "WEIGHTS", "val=gone.json"], "gone.json"),
        (["export", "WEIGHTS", "calib=gone"], "gone"),
        (["export", "WEIGHTS", "val=COCO", "images=gone"], "in gone;"),
        (["export", "WEIGHTS", "val=COCO", "images=gone", "val-images=away"], "in away;"),
        (["export", "WEIGHTS", "out=/proc"], "cannot write into /proc"),
        (["import", "GRAPH"], "--like NAME"),
        (["import", "GRAPH", "--like", "x", "--spec", "y"], "--like NAME"),
        (["import", "GRAPH", "--like", "movenet-lightning"], "no published openvino file"),
        (["import", "GRAPH", "--like", "tinypos"], "did you mean tinypose-256x192"),
        (["import", "gone.xml", "--like", "tinypose-256x192"], "gone.xml: no such file"),
        (["import", "PHOTO", "--like", "tinypose-256x192"], "exactly one graph file"),
        (["import", "GRAPH", "--spec", "gone.json"], "gone.json: cannot be read"),
        (["eval", "POSE", "annotations=gone.json"], "gone.json"),
        (["eval", "nowhere", "annotations=COCO"], "no model is called 'nowhere'"),
        (["eval", "rtmpose-t", "annotations=COCO"], "add --weights FILE"),
        (["eval", "POSE", "annotations=COCO", "detector=POSE"], "finds no boxes"),
        (["eval", "DETECTOR", "annotations=COCO", "--flip"], "is a detector"),
        (["eval", "POSE", "annotations=COCO", "--common", "hand21"], "share no keypoint"),
        (["eval", "POSE", "annotations=COCO", "--common", "coco18"], "coco18"),
        (["eval", "DETECTOR", "annotations=COCO", "--common", "coco133"], "is for pose models"),
        (["eval", "DETECTOR", "annotations=COCO", "--pose-nms", "oks"], "is a detector"),
        (["eval", "POSE", "annotations=COCO", "--det-thr", "0.3"], "--detections FILE"),
        (["eval", "POSE", "annotations=COCO", "detections=gone.json"], "cannot read gone.json"),
        (["eval", "POSE", "annotations=COCO", "detections=COCO"], "it is an annotation file"),
        (
            ["eval", "POSE", "annotations=COCO", "detections=COCO", "detector=DETECTOR"],
            "two sources of boxes",
        ),
        (
            ["eval", "POSE", "annotations=COCO", "category=all", "detector=DETECTOR"],
            "give --detections FILE",
        ),
        (["eval", "DETECTOR", "annotations=COCO", "category=all"], "top-down pose models"),
        (["eval", "POSE", "annotations=COCO", "weights=random"], "an artifact has its own"),
        (["eval", "POSE", "annotations=COCO", "images=gone"], "--images DIR"),
    ],
)
def test_what_cannot_be_used_is_named(edgepose, known, untouched, args, said):
    done = edgepose(*(_filled(arg, known) for arg in args))
    assert done.code == 2
    assert said in done.message


def _filled(arg: str, known: dict[str, Path]) -> str:
    key, equals, value = arg.rpartition("=")
    return f"{key}{equals}{known.get(value, value)}"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{no", "is no COCO annotation file"),
        (b"[]", "Expected `object`, got `array`"),
        (b"", "is no COCO annotation file"),
        (b'{"images": [], "annotations": [], "categories": []}', "lists no images"),
        (b'{"images": [{"id": 1}], "annotations": [], "categories": []}', "file_name"),
    ],
)
@pytest.mark.parametrize("verb", ["eval", "export"])
def test_a_file_that_is_no_coco_file(
    edgepose, pose, weights, tmp_path, untouched, verb, content, said
):
    path = tmp_path / "coco.json"
    path.write_bytes(content)
    args = (
        [pose.path, "--annotations", path]
        if verb == "eval"
        else [weights, "--format", "onnx", "--val", path]
    )
    done = edgepose(verb, *args)
    assert done.code == 2
    assert said in done.message
    assert str(path) in done.message


def save_unknown(path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"encoder.weight": torch.zeros(3, 3)}, path)


class Hostile:
    """Would write a file if its pickle were run."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("pwned"),)


def save_hostile(path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"state_dict": {"w": torch.zeros(1)}, "hook": Hostile()}, path)


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (save_unknown, "of no known family"),
        (save_hostile, "names foreign code"),
        (lambda path: path.write_bytes(b"not a checkpoint"), "no PyTorch checkpoint"),
        (lambda path: path.write_bytes(b""), "is empty"),
    ],
)
def test_a_checkpoint_that_cannot_be_used(edgepose, tmp_path, untouched, write, said):
    path = tmp_path / "weights.pth"
    write(path)
    done = edgepose("export", path)
    assert done.code == 2
    assert said in done.message
    assert str(path) in done.message


def test_a_checkpoint_cut_short(edgepose, weights, tmp_path, untouched):
    path = tmp_path / "weights.pth"
    path.write_bytes(weights.read_bytes()[:-100_000])
    done = edgepose("export", path)
    assert done.code == 2
    assert "cut short" in done.message


@pytest.mark.parametrize("name", ["broken.jpg", "broken.mp4", "folder"])
def test_pictures_that_do_not_decode_leave_no_output(
    edgepose, pose, photo, tmp_path, untouched, name
):
    source = tmp_path / name
    if name == "folder":
        source.mkdir()
        for number in (1, 2):
            (source / f"{number}.jpg").write_bytes(photo.read_bytes()[: 100 * number])
    else:
        source.write_bytes(b"\x00" * 64)
    targets = ["--save-json", "o.json", "--save-csv", "o.csv", "--save-openpose", "o", "--out"]
    done = edgepose("run", source, "--pose", pose.path, *targets, "pictures")
    assert done.code == 2
    assert str(source) in done.message
    assert "convert it" in done.message


def test_a_broken_picture_is_named_and_the_rest_is_done(edgepose, pose, photo, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copy(photo, folder / "1.jpg")
    (folder / "2.jpg").write_bytes(photo.read_bytes()[:100])
    shutil.copy(photo, folder / "3.jpg")
    for hidden in ("._1.jpg", ".DS_Store", "Thumbs.db"):
        (folder / hidden).write_bytes(b"\0\5\x16\7")
    out = tmp_path / "out.json"
    done = edgepose("run", folder, "--pose", pose.path, "--save-json", out, "--json")
    assert done.code == 0
    assert (done.json["frames"], done.json["unread_frames"]) == (2, 1)
    assert "1 frame could not be read: 2.jpg" in done.err
    assert {each["image_id"] for each in json.loads(out.read_text())} == {0, 2}


def test_a_video_without_frames(edgepose, pose, tmp_path, untouched, videos):
    path = tmp_path / "empty.mp4"
    videos(path, [BLANK])
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"mdat")])
    done = edgepose("run", path, "--pose", pose.path, "--out", "o.mp4")
    assert done.code == 2
    assert "has no index" in done.message


def test_a_folder_without_pictures(edgepose, pose, tmp_path, untouched):
    (tmp_path / "folder").mkdir()
    done = edgepose("run", tmp_path / "folder", "--pose", pose.path)
    assert done.code == 2
    assert "no images in" in done.message


@pytest.mark.parametrize("option", ["--out", "--save-json", "--save-csv", "--save-jsonl"])
def test_a_result_is_replaced_only_by_force(edgepose, pose, photo, tmp_path, option):
    target = tmp_path / "target.mp4"
    target.write_bytes(b"precious")
    done = edgepose("run", photo, "--pose", pose.path, option, target)
    assert done.code == 2
    assert f"{target} exists; add --force" in done.message
    assert target.read_bytes() == b"precious"
    assert edgepose("run", photo, "--pose", pose.path, option, target, "--force").code == 0
    assert target.read_bytes() != b"precious"
    assert tree(tmp_path) == {target}


@pytest.mark.parametrize("option", ["--save-json", "--save-csv", "--save-jsonl"])
def test_a_directory_is_never_replaced_by_a_file(edgepose, pose, photo, tmp_path, option):
    done = edgepose("run", photo, "--pose", pose.path, option, tmp_path, "--force")
    assert done.code == 2
    assert "is a directory; name a file" in done.message


@pytest.mark.parametrize("option", ["--out", "--save-openpose"])
def test_a_folder_with_something_in_it_is_never_replaced(edgepose, pose, photo, tmp_path, option):
    (tmp_path / "diary.txt").write_text("mine")
    done = edgepose("run", photo, "--pose", pose.path, option, tmp_path, "--force")
    assert done.code == 2
    assert "did not write diary.txt" in done.message
    assert [path.name for path in tmp_path.iterdir()] == ["diary.txt"]


def test_showing_without_a_display_does_not_abort(edgepose, pose, photo, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    done = edgepose("run", photo, "--pose", pose.path, "--show")
    assert done.code == 2
    assert "no display" in done.message


def test_an_artifact_is_replaced_only_by_force(edgepose, pose, real):
    before = (pose.path / "artifact.json").read_bytes()
    graph = real / "models/tinypose-256x192/model.xml"
    done = edgepose("import", graph, "--like", "tinypose-256x192", "--out", pose.path.parent)
    assert done.code == 2
    assert f"{pose.path} exists; add --force" in done.message
    assert (pose.path / "artifact.json").read_bytes() == before


def test_an_export_refuses_an_existing_target_before_any_work(edgepose, detector, weights):
    out = detector.path.parent
    done = edgepose("export", weights, "--format", "onnx", "--out", out)
    assert done.code == 2
    assert f"{detector.path} exists; add --force" in done.message
    assert [path.name for path in out.iterdir()] == [detector.path.name]


@pytest.mark.parametrize("suffix", [".xml", ".param"])
def test_a_foreign_file_that_its_engine_refuses(edgepose, real, tmp_path, suffix):
    pytest.importorskip("ncnn")
    (tmp_path / f"model{suffix}").write_bytes(b"garbage")
    (tmp_path / "model.bin").write_bytes(b"garbage")
    out = tmp_path / "out"
    done = edgepose(
        "import", tmp_path / f"model{suffix}", "--like", "tinypose-256x192", "--out", out
    )
    assert done.code == 2
    # the artifact under construction is gone, so the message names the file that was given
    assert str(tmp_path) in done.message
    assert ".edgepose-" not in done.message
    assert tree(out) == set()


WRONG_SPECS: dict[str, tuple[dict[str, object], str]] = {
    "newer format": ({"format": 99}, "write 1"),
    "path as a name": ({"model": "../../x"}, "a name has letters"),
    "no size": ({"image": {"wh": [0, 0]}}, "image.wh"),
    "no input": ({"inputs": []}, "0 inputs"),
    "too few outputs": ({"outputs": []}, "codec yxs reads 1"),
    "another codec": ({"codec": {"kind": "simcc"}}, "codec simcc reads 2"),
    "another task": ({"task": "detect"}, "does not belong to task detect"),
    "no keypoints": ({"keypoints": None}, "has keypoints"),
    "another runtime": ({"runtime": "ncnn"}, "the files are tflite"),
    "unknown key": ({"colour": "blue"}, "colour"),
    "files": ({"files": []}, "files"),
    "other names": ({"outputs": [{"name": "keypoints", "engine_name": "nope"}]}, "nope"),
    "other shape": (
        {"outputs": [{"name": "keypoints", "engine_name": "OUT", "shape": [-1, 2, 17, 3]}]},
        "the manifest says (-1, 2, 17, 3)",
    ),
    "shape of other keypoints": (
        {"outputs": [{"name": "keypoints", "engine_name": "OUT", "shape": [-1, 1, 26, 3]}]},
        "axis 2 should be 17",
    ),
    "no scale": ({"image": {"wh": [192, 192], "std": [1, 0, 1]}}, "image.std"),
    "pair of other keypoints": (
        {"keypoints": {"name": "x", "names": ["nose"], "pairs": [[0, 1]]}},
        "keypoints.pairs has [0, 1]",
    ),
    "output that the codec cannot read": (
        {
            "outputs": [{"name": "a", "engine_name": "OUT"}, {"name": "b", "engine_name": "OUT"}],
            "codec": {"kind": "simcc"},
        },
        "correct the spec",
    ),
    "fewer keypoints": (
        {
            "keypoints": {"name": "x", "names": ["nose"]},
            "outputs": [{"name": "keypoints", "engine_name": "OUT"}],
        },
        "the spec names 1",
    ),
}


@pytest.mark.parametrize("wrong", WRONG_SPECS)
def test_a_spec_that_contradicts_itself_or_the_file(edgepose, real, tmp_path, wrong):
    pytest.importorskip("ai_edge_litert")
    from export.import_spec import ImportSpec, like_spec

    spec = msgspec.to_builtins(like_spec("movenet-lightning", "tflite"))
    assert set(spec) == set(ImportSpec.__struct_fields__)
    fields, said = WRONG_SPECS[wrong]
    text = json.dumps(spec | fields).replace("OUT", spec["outputs"][0]["engine_name"])
    path = tmp_path / "spec.json"
    path.write_text(text)
    graph = real / "models/movenet-lightning/movenet_single_pose_lightning_ptq.tflite"
    done = edgepose("import", graph, "--spec", path, "--out", tmp_path / "out")
    assert done.code == 2
    assert said in done.message
    assert not tree(tmp_path / "out")


def test_a_run_that_fails_drops_what_it_wrote(edgepose, pose, tmp_path, videos, untouched):
    # pictures of two sizes do not make one video; the first is written when the second comes
    from edge.image import write_image

    write_image(tmp_path / "1.png", BLANK)
    write_image(tmp_path / "2.png", BLANK[:40])
    done = edgepose(
        "run", tmp_path / "*.png", "--pose", pose.path, "--out", "o.mp4", "--save-json", "o.json"
    )
    assert done.code == 2
    assert "write frames of different sizes to a folder" in done.message
