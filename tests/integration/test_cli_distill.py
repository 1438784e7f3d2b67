"""edgepose distill, end to end on drawn people: student, curves, card, resume, and refused input."""

import csv
import json
from pathlib import Path

import cv2
import pytest

pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")
pytest.importorskip("matplotlib")
pytest.importorskip("safetensors")

from safetensors import safe_open
from safetensors.numpy import load_file

from edge.model import load
from edge.schema import load_schema
from edge.synth import write_dataset
from export import load_checkpoint
from export.weights import read_weights
from quantize.distill.data.instances import unlabelled_instances
from runtimes.errors import CheckpointError

TINY = (
    *("--student", "vitpose-48x2x3-simple", "--input", "48x64"),
    *("--batch", "4", "--max-steps", "6"),
)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A cache of its own, and a few drawn people to learn from and to be judged by."""
    root = tmp_path_factory.mktemp("distill")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEPOSE_CACHE", str(root / "cache"))
        write_dataset(root / "learn", 21, 4)
        write_dataset(root / "val", 31, 2)
        yield root


@pytest.fixture(scope="module")
def distill(edgepose, home):
    """Run the command on the few people; options given later win."""

    def run(out: str, *options: str):
        few = ("--data", f"{home / 'learn' / 'person_keypoints.json'}")
        data = () if "--data" in options else few
        val = ("--val", f"{home / 'val' / 'person_keypoints.json'}")
        return edgepose("distill", *TINY, *data, *val, "--out", str(home / out), *options)

    return run


@pytest.fixture(scope="module")
def teacher(distill, home) -> Path:
    """A student trained without a teacher, which teaches the others."""
    done = distill("teacher", "--method", "none", "--student", "vitpose-48x3x3-simple")
    assert done.code == 0, done.err
    return home / "teacher" / "student.safetensors"


def test_what_is_left_in_the_folder(distill, teacher, home) -> None:
    done = distill("both", "--teacher", str(teacher), "--method", "heatmap,token", "--json")
    assert done.code == 0, done.err
    assert done.json["steps"] == 6
    assert done.json["student"] == str(home / "both" / "student.safetensors")
    assert done.talk[-2].startswith("wrote ")
    assert done.talk[-1].startswith("next: edgepose export ")
    folder = home / "both"
    with (folder / "log.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["step"] for row in rows] == list("123456")
    assert {"truth", "heatmap"} < set(rows[0])
    assert cv2.imread(str(folder / "curves.png")) is not None
    assert json.loads((folder / "result.json").read_text())["steps"] == 6
    assert (folder / "token.safetensors").is_file()


@pytest.mark.slow
def test_a_heatmap_student_pretrains_an_rtmpose_backbone(distill, teacher, home, edgepose) -> None:
    """Taught by a teacher, exported without a flag, and then what the SimCC student starts from."""
    network = ("--input", "64x96", "--max-steps", "2")
    size = "160x1x1x1x1"
    done = distill("maps", "--teacher", str(teacher), "--student", f"cspnext-{size}-fpn", *network)
    assert done.code == 0, done.err
    maps = home / "maps" / "student.safetensors"
    export = ("export", maps, "--format", "onnx", "--out", home / "artifacts", "--json")
    made = edgepose(*export, "--precision", "fp32")
    assert made.code == 0, made.err
    assert made.json[0]["passed"]
    assert made.json[0]["artifact"].endswith(f"cspnext-{size}-fpn-64x96.onnxruntime-fp32")
    init = ("--method", "none", "--init", str(maps), "--freeze", "backbone")
    tuned = distill("tuned", *init, "--student", f"rtmpose-{size}", *network)
    assert tuned.code == 0, tuned.err
    weights = [load_file(home / run / "student.safetensors") for run in ("maps", "tuned")]
    shared = [name for name in weights[1] if name.startswith("backbone.")]
    assert len(shared) > 100
    assert all((weights[0][name] == weights[1][name]).all() for name in shared)
    other = distill("other", *init, "--student", "rtmpose-t", *network)
    assert other.code == 2
    assert f"holds cspnext-{size}-fpn, the student is rtmpose-t: stem.0.conv" in other.message


@pytest.mark.slow
def test_fastpose_learns_by_integral_regression(distill, teacher, home) -> None:
    student = ("--student", "fastpose-1x1x1x1-integral", "--input", "64x96", "--max-steps", "2")
    done = distill("integral", "--teacher", str(teacher), *student)
    assert done.code == 0, done.err
    card = load_checkpoint(home / "integral" / "student.safetensors")
    assert (card.variant.size, card.variant.codec) == ("1x1x1x1", "integral")


def test_another_teachers_cache_is_refused_before_work(distill, teacher, home) -> None:
    other = {
        "format": 2,
        "teacher": "another",
        "views": "upright",
        "people": "",
        "map_wh": [12, 16],
        "keypoints": [],
        "sources": [],
        "count": 1,
    }
    folder = home / "another-cache"
    folder.mkdir()
    (folder / "index.json").write_text(json.dumps(other))
    options = ("--method", "heatmap,token", "--teacher-cache", str(folder))
    done = distill("refused", "--teacher", str(teacher), *options)
    assert done.code == 2
    assert "is the cache of another teacher, other views" in done.err
    assert not (home / "refused" / "token.safetensors").exists()
    assert not (home / "refused" / "recipe.json").exists()  # the corrected command starts there


def test_a_student_needs_no_flag_to_be_exported(edgepose, distill, teacher, home) -> None:
    done = distill("taught", "--teacher", str(teacher), "--method", "token")
    assert done.code == 0, done.err
    made = edgepose(
        *("export", str(home / "taught" / "student.safetensors"), "--format", "onnx"),
        *("--out", str(home / "artifacts"), "--json"),
    )
    assert made.code == 0, made.err
    assert made.json[0]["passed"]
    manifest = json.loads((Path(made.json[0]["artifact"]) / "artifact.json").read_text())
    assert manifest["model"] == "vitpose-48x2x3-simple-token"
    assert manifest["lineage"]["teacher"] == "vitpose-48x3x3-simple"


def test_it_resumes_where_it_stopped(distill, home) -> None:
    """A finished training resumed is the same student; another recipe is refused, and so is a second beginning."""
    first = distill("again", "--method", "none")
    assert first.code == 0, first.err
    path = home / "again" / "student.safetensors"
    before = path.read_bytes()
    assert distill("again", "--method", "none", "--resume").code == 0
    assert path.read_bytes() == before
    other = distill("again", "--method", "none", "--resume", "--lr", "0.5")
    assert other.code == 2
    assert "started with lr" in other.message
    twice = distill("again", "--method", "none")
    assert twice.code == 2
    assert "holds a training" in twice.message


def test_unlabelled_images_are_supervised_by_the_teacher_alone(distill, teacher, home) -> None:
    folder = home / "learn" / "images"
    done = distill("pictures", "--teacher", str(teacher), "--data", str(folder), "--json")
    assert done.code == 0, done.err
    assert any("4 of them without a labelled keypoint" in line for line in done.talk)
    assert json.loads((home / "pictures" / "result.json").read_text())["unlabelled"] == 4
    with (home / "pictures" / "log.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert float(rows[0]["heatmap"]) > 0


def test_a_deeper_network_gives_its_blocks(distill, teacher, home) -> None:
    """What was taken is counted on stderr and listed in init.json; only the deeper network's own block is left out."""
    done = distill("shallow", "--method", "none", "--init", str(teacher), "--freeze", "attention")
    assert done.code == 0, done.err
    listed = json.loads((home / "shallow" / "init.json").read_text())
    said = next(line for line in done.talk if line.startswith("--init "))
    assert f"{len(listed['taken'])} of {len(listed['taken']) + len(listed['left'])} tensors" in said
    assert "backbone.layers.1.attn.qkv.weight" in listed["taken"]
    assert not any(name.startswith("backbone.") for name in listed["left"])
    before, after = (
        read_weights(path).state for path in (teacher, home / "shallow/student.safetensors")
    )
    for name, value in after.items():
        assert (".attn." in name) == bool((value == before[name]).all()), name


@pytest.mark.parametrize(
    ("options", "licences", "commercial"),
    [((), [], None), (("--data-licence", "CC-BY-NC-4.0"), ["CC-BY-NC-4.0"], False)],
)
def test_a_student_is_bound_by_its_data(distill, home, options, licences, commercial) -> None:
    out = f"bound-{len(options)}"
    assert distill(out, "--method", "none", "--max-steps", "1", *options).code == 0
    with safe_open(home / out / "student.safetensors", "pt") as stream:
        card = json.loads(stream.metadata()["edgepose"])
    assert (card["licences"], card["commercial_use"]) == (licences, commercial)


def test_a_further_head_learns_its_own_set(distill, teacher, home) -> None:
    """The network has the student's head; the further one, alone labelled as CrowdPose is, is chosen by its set."""
    crowd = renamed(home / "learn", "crowd.json", load_schema("crowdpose14").names)
    own = str(home / "learn" / "person_keypoints.json")
    done = distill(
        *("heads", "--teacher", str(teacher), "--extra-head", "crowdpose14"),
        *("--data", f"{own}:50%", "--data", f"{crowd}:50%", "--max-steps", "2"),
    )
    assert done.code == 0, done.err
    state = read_weights(home / "heads" / "student.safetensors").state
    assert not [name for name in state if "extra" in name]
    assert state["head.final_layer.weight"].shape[0] == 17
    import torch

    trained = torch.load(home / "heads" / "state.pt", weights_only=True)["module"]
    assert trained["head.extra.0.final_layer.weight"].shape[0] == 14
    path = home / "heads" / "student.safetensors"
    own, further = load_checkpoint(path), load_checkpoint(path, task="crowdpose14")
    assert own.notes == ("its further heads, for crowdpose14, are chosen with --task",)
    assert further.spec.model == f"{own.spec.model}-crowdpose14"
    assert further.spec.keypoints.name == "crowdpose14"
    image = torch.rand(2, 3, 64, 48)
    assert own.module(image)[0].shape[1] == 17
    maps = further.module(image)[0]
    assert maps.shape[1] == 14
    # the same backbone, then the tensors of that head
    features = own.module.backbone(image)
    torch.testing.assert_close(further.module.head(features), maps)
    kept = state["further_heads.0.final_layer.weight"]
    assert torch.equal(further.module.head.final_layer.weight, kept)
    with pytest.raises(CheckpointError, match="has heads for coco17, crowdpose14, none for aic14"):
        load_checkpoint(path, task="aic14")


@pytest.mark.slow
def test_a_further_head_is_exported_by_its_set(edgepose, distill, home) -> None:
    crowd = renamed(home / "learn", "export.json", load_schema("crowdpose14").names)
    heads = ("--method", "none", "--extra-head", "crowdpose14", "--max-steps", "1")
    done = distill("exported-heads", *heads, "--data", str(crowd))
    assert done.code == 0, done.err
    path = home / "exported-heads" / "student.safetensors"
    export = ("export", path, "--format", "onnx", "--out", home / "heads-artifacts", "--json")
    for options, keypoints in ((), "coco17"), (("--task", "crowdpose14"), "crowdpose14"):
        made = edgepose(*export, *options)
        assert made.code == 0, made.err
        assert made.json[0]["passed"]
        manifest = json.loads((Path(made.json[0]["artifact"]) / "artifact.json").read_text())
        assert manifest["keypoints"]["name"] == keypoints
        assert manifest["outputs"][0]["shape"][1] == (17 if keypoints == "coco17" else 14)
    layers = ("--layers", "--weights", path, "--task", "crowdpose14", "--json")
    checked = edgepose("verify", made.json[0]["artifact"], *layers)
    assert checked.code == 0, checked.err
    assert checked.json["first"] is None
    names = sorted(folder.name for folder in (home / "heads-artifacts").iterdir())
    assert names == [
        "vitpose-48x2x3-simple-48x64.onnxruntime-fp32",
        "vitpose-48x2x3-simple-crowdpose14-48x64.onnxruntime-fp32",
    ]


def test_a_detector_finds_the_people_in_pictures(distill, teacher, detector, home) -> None:
    folder = home / "learn" / "images"
    with load(detector.path) as model:
        count = sum(
            len(model.with_threshold(0.3).detect(cv2.imread(str(path))))
            for path in folder.iterdir()
        )
    done = distill(
        "found",
        *("--teacher", str(teacher), "--data", str(folder), "--detector", str(detector.path)),
        *("--max-steps", "2"),
    )
    assert done.code == 0, done.err
    result = json.loads((home / "found" / "result.json").read_text())
    assert result["people"] == result["unlabelled"] == count > 4

    # the boxes are kept: those of an edited file are taken, and a damaged file is written anew
    def boxes() -> list[list[float]]:
        people = unlabelled_instances(folder, load_schema("coco17"), str(detector.path))
        return [each.box.tolist() for each in people]

    found = boxes()
    (kept,) = (home / "cache" / "boxes").iterdir()
    content = kept.read_bytes()
    stored = json.loads(content)
    first = next(iter(stored["boxes"]))
    stored["boxes"][first] = [[1, 2, 30, 40.5]]
    kept.write_text(json.dumps(stored))
    assert [1, 2, 30, 40.5] in boxes()
    kept.write_bytes(content[:100])
    assert boxes() == found
    assert json.loads(kept.read_bytes()) == json.loads(content)


REFUSED = {
    "unknown method": (("--method", "heat"), "unknown method heat; known:"),
    "no teacher": (("--method", "heatmap"), "needs a teacher"),
    "unknown student": (("--method", "none", "--student", "openpose-x"), "cannot be a student"),
    "no such teacher": (("--teacher", "no-such-model"), "no-such-model"),
    "token for a convolution": (
        ("--teacher", "TEACHER", "--method", "token", "--student", "rtmpose-t", "--input", "64x64"),
        "rtmpose-t has none",
    ),
    "missing data": (("--method", "none", "--data", "no.json"), "cannot read no.json"),
    "missing images": (
        ("--method", "none", "--images", "nowhere"),
        "no image 000000.jpg",
    ),
    "no labels and no teacher": (
        ("--method", "none", "--data", "IMAGES"),
        "nothing can be learned",
    ),
    "a mixture of keypoint sets": (
        ("--method", "none", "--data", "MIXED"),
        "nearest, coco17, has 16 of 17, without forefinger1 of hand21: a mixture",
    ),
    "animals to be validated on": (
        ("--method", "none", "--val", "ANIMALS"),
        "has the keypoints of ap10k17, the student those of coco17",
    ),
    "a teacher that detects": (
        ("--teacher", "TEACHER", "--data", "IMAGES", "--detector", "POSE"),
        "task pose-topdown, no detector",
    ),
    "a head without data": (
        ("--method", "none", "--extra-head", "crowdpose14"),
        "--extra-head crowdpose14: no --data has labels of these keypoints",
    ),
    "a head of a new head": (
        ("--teacher", "TEACHER", "--method", "head", "--extra-head", "crowdpose14"),
        "--extra-head goes with the methods none and heatmap, not head",
    ),
    "another's token": (
        ("--teacher", "TEACHER", "--method", "token", "--token", "TOKEN"),
        "the token of another teacher",
    ),
    "no common keypoint": (
        ("--teacher", "HANDS", "--method", "heatmap"),
        "share no keypoint",
    ),
    "simcc from heatmaps": (
        (
            "--teacher",
            "TEACHER",
            "--method",
            "simcc",
            "--student",
            "rtmpose-t",
            "--input",
            "96x128",
        ),
        "gives no SimCC logits",
    ),
    "a size that fits no patch": (("--method", "none", "--input", "50x64"), "multiples of 16"),
    "a teacher spread over nothing": (
        ("--teacher", "TEACHER", "--method", "feature", "--shard-teacher"),
        "this is the only one; start with torchrun",
    ),
    "a teacher that cannot be spread": (
        ("--teacher", "TEACHER", "--shard-teacher"),
        "leave --shard-teacher out",
    ),
    "a part that is lacking": (
        ("--method", "none", "--student", "rtmpose-t", "--input", "64x64", "--freeze", "ffn"),
        "--freeze ffn: rtmpose-t has no such part; it has: backbone",
    ),
    "a frozen random part": (("--method", "none", "--freeze", "attention"), "add --init"),
    "drop path of a convolution": (
        ("--method", "none", "--student", "rtmpose-t", "--input", "64x64", "--drop-path", ".1"),
        "rtmpose-t has none",
    ),
    "synchronised statistics on a CPU": (
        ("--method", "none", "--batch-norm", "sync", "--device", "cpu"),
        "leave --batch-norm out",
    ),
    "half precision on a CPU": (
        ("--method", "none", "--precision", "f16", "--device", "cpu"),
        "f16 is trained on CUDA GPUs only",
    ),
}


def renamed(folder: Path, name: str, keypoints: tuple[str, ...]) -> str:
    """The same people with other names for their keypoints."""
    data = json.loads((folder / "person_keypoints.json").read_text())
    data["categories"][0]["keypoints"] = keypoints
    for each in data["annotations"]:
        each["keypoints"] = each["keypoints"][: 3 * len(keypoints)]
    (folder / name).write_text(json.dumps(data))
    return str(folder / name)


@pytest.fixture(scope="module")
def places(teacher, pose, home) -> dict[str, str]:
    """Values of the names in capitals."""
    from export.student_file import Card, write_student
    from quantize.distill.methods.token import TokenCard, random_token, write_token
    from quantize.distill.student import new_student, student_variant

    write_token(
        home / "other.safetensors",
        random_token(48, 0),
        TokenCard(teacher="0" * 64, teacher_model="x", steps=1),
    )
    variant = student_variant("vitpose-48x1x3-simple", (48, 64), "hand21")
    card = Card(
        model="hands", family="vitpose", size=variant.size, input_wh=(48, 64), schema="hand21"
    )
    write_student(home / "hands.safetensors", new_student(variant, 0), card)
    names = (*load_schema("coco17").names[:16], "forefinger1")
    return {
        "MIXED": renamed(home / "learn", "mixed.json", names),
        "ANIMALS": renamed(home / "learn", "animals.json", load_schema("ap10k17").names),
        "TEACHER": str(teacher),
        "POSE": str(pose.path),
        "IMAGES": str(home / "learn" / "images"),
        "TOKEN": str(home / "other.safetensors"),
        "HANDS": str(home / "hands.safetensors"),
    }


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_one_line_and_leaves_no_student(distill, places, home, case) -> None:
    options, said = REFUSED[case]
    out = f"refused-{case.replace(' ', '-')}"
    done = distill(out, *(places.get(option, option) for option in options))
    assert done.code == 2
    assert said in done.message
    assert not (home / out / "state.pt").exists()
