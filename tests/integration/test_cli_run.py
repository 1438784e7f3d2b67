"""`edgepose run`, `verify` and `eval` on real models and real pictures: what is kept agrees, whatever ends the run."""

import csv
import json
import math
import shutil
import signal
import time

import cv2
import numpy as np
import pytest
from mjpeg import MjpegHandler, jpeg_of, mjpeg_camera

from edge.cli.recording import warn_of_drawn
from edge.pipeline import Pipeline
from runtimes.artifact import Artifact

STAGES = ("load", "detect", "transform", "pose", "post", "frame")
FIGURES_MS = ("mean", "p50", "p90", "p99")
RUN_KEYS = {
    "frames",
    "frames_with_people",
    "poses",
    "detections_run",
    "frames_per_s",
    "unread_frames",
    "missing_frames",
    "dropped_frames",
    "reconnects",
    "models",
    *(f"{stage}_{figure}_ms" for stage in STAGES for figure in FIGURES_MS),
}
VERIFY_KEYS = {
    "passed",
    "runtime",
    "precision",
    "basis",
    "arithmetic",
    "accelerator",
    "placement",
    "limit",
    "raw_error",
    "px_mean",
    "px_p95",
    "px_max",
    "oks_mean",
}
FIGURES = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
KEYS = ("score", "bbox", "keypoints")
FRAMES = 12
PERIOD_S = 0.15


def frames_of(path) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        read, frame = capture.read()
        if not read:
            return frames
        frames.append(frame)


def kept(folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


TARGETS = (
    "--out",
    "o.mp4",
    "--save-json",
    "o.json",
    "--save-openpose",
    "op",
    "--save-csv",
    "o.csv",
)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def counts():
    """Give what each of TARGETS in a folder holds: frames, and people a frame where it says so."""

    def count(folder):
        results = json.loads((folder / "o.json").read_text())
        with (folder / "o.csv").open() as stream:
            rows = list(csv.DictReader(stream))
        pages = sorted((folder / "op").glob("*.json"))
        people = [len(json.loads(page.read_text())["people"]) for page in pages]
        numbers = [int(page.stem.split("_")[-2]) for page in pages]
        return {
            "video": len(frames_of(folder / "o.mp4")),
            "openpose": people,
            "coco": [sum(r["image_id"] == i for r in results) for i in numbers],
            "csv": [sum(int(r["frame"]) == i for r in rows) for i in numbers],
        }

    return count


def test_a_video_gives_results_that_agree(edgepose, pose, detector, clip, here, counts):
    done = edgepose(
        *("run", clip, "--pose", pose.path, "--detector", detector.path, "--skip", 5, *TARGETS),
        "--json",
    )
    assert done.code == 0
    assert set(done.json) == RUN_KEYS
    assert done.json["frames"] == FRAMES
    assert done.json["detections_run"] == math.ceil(FRAMES / 5)
    assert done.json["poses"] > 0
    held = f"({FRAMES} frames, {done.json['poses']} people)"
    assert done.talk == [
        *(f"wrote {name} {held}" for name in ("o.mp4", "o.json", "op", "o.csv")),
        f"next: edgepose bench {pose.path} {detector.path}",
    ]
    for stage in STAGES:
        p50, p90, p99 = (done.json[f"{stage}_{figure}_ms"] for figure in ("p50", "p90", "p99"))
        assert 0 < p50 <= p90 <= p99
        assert 0 < done.json[f"{stage}_mean_ms"] <= p99
    assert done.json["frames_per_s"] > 0
    used = {role: (row["runtime"], row["artifact"]) for role, row in done.json["models"].items()}
    assert all(row["engine"] for row in done.json["models"].values())
    assert used == {
        "pose": ("openvino", pose.path.name),
        "detector": ("onnxruntime", detector.path.name),
    }
    assert kept(here) == {"o.mp4", "o.json", "op", "o.csv"}
    found = counts(here)
    assert found["video"] == FRAMES
    assert found["openpose"] == found["coco"] == found["csv"]
    assert len(found["openpose"]) == FRAMES
    assert sum(found["coco"]) == done.json["poses"]
    assert np.count_nonzero(found["coco"]) == done.json["frames_with_people"]
    drawn, plain = frames_of(here / "o.mp4"), frames_of(clip)
    assert drawn[0].shape == plain[0].shape


def test_coco_results_lie_in_the_picture(edgepose, pose, detector, clip, here):
    edgepose(
        *("run", clip, "--pose", pose.path, "--detector", detector.path, "--max-people", 1),
        *("--save-json", "o.json"),
    )
    results = json.loads((here / "o.json").read_text())
    height, width = frames_of(clip)[0].shape[:2]
    assert [result["image_id"] for result in results] == list(range(FRAMES))
    for result in results:
        assert result["category_id"] == 1
        assert len(result["keypoints"]) == 3 * 17
        x, y, box_width, box_height = result["bbox"]
        assert box_width > 0
        assert box_height > 0
        assert 0 <= x + box_width / 2 <= width
        assert 0 <= y + box_height / 2 <= height


@pytest.mark.parametrize("skip", [1, 4, 100])
def test_the_detector_runs_on_every_nth_frame(edgepose, pose, detector, clip, here, skip):
    done = edgepose(
        *("run", clip, "--pose", pose.path, "--detector", detector.path, f"skip={skip}", "--json")
    )
    assert done.json["detections_run"] == math.ceil(FRAMES / skip)
    again = f"run {clip} --pose {pose.path} --detector {detector.path}"
    assert done.talk[-1] == f"next: edgepose {again} --out poses.mp4 --save-json poses.json"


def test_json_lines_agree_with_coco_results(edgepose, pose, clip, here):
    done = edgepose(
        *("run", clip, "--pose", pose.path, "--save-jsonl", "o.jsonl", "--save-json", "o.json")
    )
    assert done.code == 0
    lines = [json.loads(line) for line in (here / "o.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(FRAMES))
    assert {line["source"] for line in lines} == {str(clip)}
    people = [(line["frame"], person) for line in lines for person in line["people"]]
    results = json.loads((here / "o.json").read_text())
    assert [(frame, *(person[key] for key in ("state", *KEYS))) for frame, person in people] == [
        (each["image_id"], *(each[key] for key in ("state", *KEYS))) for each in results
    ]
    assert {person["state"] for _, person in people} == {"detected"}
    piped = edgepose("run", clip, "--pose", pose.path, "--save-jsonl", "-")
    assert piped.out == (here / "o.jsonl").read_text()
    assert any(line.startswith("frames_per_s") for line in piped.talk)


@pytest.mark.slow
def test_a_reader_that_leaves_ends_the_run(start, pose, tmp_path):
    """As in `| head -1`: no traceback, and the other files are complete."""
    running = start(
        *("run", "synth", "--pose", pose.path, "--save-jsonl", "-", "--save-json", "o.json"),
        cwd=tmp_path,
    )
    with running:
        line = json.loads(running.stdout.readline())
        running.stdout.close()
        said = running.stderr.read().splitlines()
    assert running.returncode == 0
    assert line["frame"] == 0
    assert not any("Traceback" in each or "BrokenPipe" in each for each in said)
    assert said[-1].startswith("next: ")
    results = json.loads((tmp_path / "o.json").read_text())
    assert max(each["image_id"] for each in results) < 299


def test_an_empty_scene_stays_empty(edgepose, pose, detector, here, counts, videos, tmp_path):
    blank = np.full((240, 320, 3), 127, np.uint8)
    videos(tmp_path / "blank.mp4", [blank] * 7)
    done = edgepose(
        *("run", tmp_path / "blank.mp4", "--pose", pose.path, "--detector", detector.path),
        *("--skip", 5, *TARGETS, "--json"),
    )
    assert done.code == 0
    assert (done.json["frames"], done.json["poses"]) == (7, 0)
    assert done.json["detections_run"] == 2
    found = counts(here)
    assert found == {"video": 7, "openpose": [0] * 7, "coco": [0] * 7, "csv": [0] * 7}
    assert json.loads((here / "o.json").read_text()) == []


def test_pictures_directories_and_globs_are_sources_alike(
    edgepose, pose, photo, here, tmp_path, real
):
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copy(photo, folder / "1.jpg")
    shutil.copy(real / "mmpose-coco/000000040083.jpg", folder / "2.jpg")
    results = {}
    for name, source in (("one", photo), ("all", folder), ("glob", folder / "*.jpg")):
        done = edgepose(
            *("run", source, "--pose", pose.path, "--out", name, "--save-json", f"{name}.json"),
            "--json",
        )
        assert done.code == 0
        results[name] = json.loads((here / f"{name}.json").read_text())
        assert done.json["frames"] == len(list((here / name).iterdir()))
        assert [each["image_name"] for each in results[name]] == sorted(
            f"{picture.stem}.jpg" for picture in (here / name).iterdir()
        )
    assert results["all"] == results["glob"]
    assert results["all"][0] == results["one"][0] | {"image_name": "1.jpg"}
    assert [result["image_id"] for result in results["all"]] == [0, 1]
    assert cv2.imread(str(here / "one" / photo.name)).shape == cv2.imread(str(photo)).shape


@pytest.mark.parametrize(
    ("flags", "asked"),
    [
        (("--pose-nms", "parametric"), {"pose_nms": "parametric"}),
        (("--pose-nms", "none", "--det-thr", "0.1"), {"pose_nms": "none", "det_thr": 0.1}),
        ((), {}),
    ],
)
def test_pose_nms_is_the_pipelines(edgepose, pose, detector, photo, here, flags, asked):
    """With its threshold: a detector's unsure boxes are asked for where poses are merged."""
    done = edgepose(
        *("run", photo, "--pose", pose.path, "--detector", detector.path, *flags),
        *("--save-json", "o.json"),
    )
    assert done.code == 0
    with Pipeline(pose.path, detector.path, **asked) as pipeline:
        wanted = pipeline(cv2.imread(str(photo)))
    found = json.loads((here / "o.json").read_text())
    assert [result["score"] for result in found] == pytest.approx(
        wanted.instance_scores(), abs=1e-3
    )


def test_avi_is_written_where_asked_for(edgepose, pose, photo, here):
    assert edgepose("run", photo, "--pose", pose.path, "--out", "o.avi").code == 0
    assert len(frames_of(here / "o.avi")) == 1


@pytest.mark.parametrize("name", ["o.jpg", "o.png"])
def test_one_picture_is_written_where_asked_for(edgepose, pose, photo, clip, here, name):
    done = edgepose("run", photo, "--pose", pose.path, "--out", name)
    assert done.code == 0
    assert f"wrote {name} (1 frame, 1 person)" in done.talk
    drawn, plain = cv2.imread(str(here / name)), cv2.imread(str(photo))
    assert drawn.shape == plain.shape
    assert (drawn != plain).any()
    more = edgepose("run", clip, "--pose", pose.path, "--out", f"two-{name}")
    assert more.code == 2
    assert "holds one picture" in more.message
    assert "name two-o.mp4 or a directory" in more.message
    assert kept(here) == {name}


def test_existing_outputs_are_replaced_only_when_asked_for(edgepose, pose, photo, clip, here):
    folders = ("--out", "pictures", "--save-openpose", "op")
    args = ("--pose", pose.path, *folders, "--save-csv", "o.csv")
    assert edgepose("run", clip, *args).code == 0
    refused = edgepose("run", photo, *args)
    assert refused.code == 2
    assert "--force" in refused.message
    assert len(kept(here / "pictures")) == len(kept(here / "op")) == FRAMES
    done = edgepose("run", photo, *args, "--force")
    assert done.code == 0
    assert kept(here / "pictures") == {f"{photo.stem}.jpg"}
    assert kept(here / "op") == {f"{photo.stem}_keypoints.json"}
    shutil.copy(photo, here / "pictures" / "holiday.jpg")
    kept_safe = edgepose("run", photo, *args, "--force")
    assert kept_safe.code == 2
    assert "edgepose did not write holiday.jpg" in kept_safe.message
    assert kept(here / "pictures") == {f"{photo.stem}.jpg", "holiday.jpg"}


def test_a_damaged_frame_is_counted_and_the_rest_is_kept(edgepose, pose, clip, here):
    writer = cv2.VideoWriter("bad.avi", cv2.VideoWriter.fourcc(*"MJPG"), 10, (160, 120))
    for frame in frames_of(clip):
        writer.write(cv2.resize(frame, (160, 120)))
    writer.release()
    data = bytearray((here / "bad.avi").read_bytes())
    starts = [at for at in range(len(data)) if data[at : at + 3] == b"\xff\xd8\xff"]
    data[starts[5] : starts[6] - 8] = bytes(starts[6] - 8 - starts[5])
    (here / "bad.avi").write_bytes(data)
    done = edgepose("run", "bad.avi", "--pose", pose.path, *TARGETS, "--json")
    assert done.code == 0
    assert (done.json["frames"], done.json["unread_frames"]) == (FRAMES - 1, 1)
    assert f"{FRAMES - 1} frames, 1 frame could not be read: bad_000005" in done.talk
    with (here / "o.csv").open() as stream:
        numbers = [int(row["frame"]) for row in csv.DictReader(stream)]
    assert numbers == [number for number in range(FRAMES) if number != 5]
    assert len(frames_of(here / "o.mp4")) == len(kept(here / "op")) == FRAMES - 1


def test_random_weights_are_named_wherever_they_show(edgepose, random_pose, pose, photo, here):
    done = edgepose("run", photo, "--pose", random_pose.path, "--out", "random")
    assert done.code == 0
    assert any("RANDOM WEIGHTS" in line for line in done.talk)
    real = edgepose("run", photo, "--pose", pose.path, "--out", "real")
    assert "RANDOM" not in real.err
    # the note stands on a darkened band along the lower edge
    edge = {name: cv2.imread(str(here / name / photo.name))[-3:].mean() for name in kept(here)}
    assert edge["random"] < 0.6 * edge["real"]


def started(folder) -> bool:
    """Whether at least two frames have been written into the sinks under construction."""
    return len(list(folder.rglob("op/*.json"))) >= 2


def test_ctrl_c_ends_a_recording_and_keeps_it(start, pose, tmp_path, counts):
    running = start("run", "synth", "--pose", pose.path, *TARGETS, "--json", cwd=tmp_path)
    deadline = time.monotonic() + 300
    while not started(tmp_path) and time.monotonic() < deadline and running.poll() is None:
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=300)
    assert running.returncode == 130
    frames = json.loads(out)["frames"]
    assert 2 <= frames < 300
    said = err.splitlines()
    assert f"edgepose: interrupted after {frames} frames; what was written is kept" in said
    assert said[-1].startswith("next: ")
    assert kept(tmp_path) == {"o.mp4", "o.json", "op", "o.csv"}
    found = counts(tmp_path)
    assert found["video"] == len(found["openpose"]) == frames
    assert found["openpose"] == found["coco"] == found["csv"]


@pytest.fixture
def camera(clip):
    """A camera behind http:// that sends twelve pictures, the fifth damaged, and breaks off."""
    jpegs = [jpeg_of(frame) for frame in frames_of(clip)]

    class Camera(MjpegHandler):
        def pictures(self):
            for number, jpeg in enumerate(jpegs):
                time.sleep(PERIOD_S)
                yield jpeg[:100] + bytes(len(jpeg) - 100) if number == 4 else jpeg

    with mjpeg_camera(Camera) as url:
        yield url


def test_a_camera_that_breaks_off_is_reported_and_its_recording_kept(
    edgepose, pose, camera, here, counts
):
    """Each picture is used, dropped for a newer one, or damaged; the video lasts as long as the camera ran."""
    done = edgepose("run", camera, "--give-up", "0", "--pose", pose.path, *TARGETS, "--json")
    assert done.code == 2
    assert "Traceback" not in done.err
    (said,) = [line for line in done.talk if line.startswith("edgepose: ")]
    assert f"no more frames after {FRAMES - 1}: the stream ended" in said
    frames, dropped = done.json["frames"], done.json["dropped_frames"]
    assert (frames + dropped, done.json["unread_frames"]) == (FRAMES - 1, 1)
    assert any("1 frame could not be read" in line for line in done.talk)
    found = counts(here)
    assert len(found["openpose"]) == frames
    assert sum(found["coco"]) == sum(found["csv"]) == sum(found["openpose"]) == frames
    with (here / "o.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert 4 not in {int(row["frame"]) for row in rows}
    ran_s = float(rows[-1]["time_s"]) - float(rows[0]["time_s"])
    rate = cv2.VideoCapture(str(here / "o.mp4")).get(cv2.CAP_PROP_FPS)
    assert found["video"] == pytest.approx(rate * ran_s + 1, abs=1.01)


def test_verify_replays_the_reference(edgepose, detector):
    done = edgepose("verify", detector.path, "--json")
    assert done.code == 0
    assert set(done.json) == VERIFY_KEYS
    assert (done.json["runtime"], done.json["precision"]) == ("onnxruntime", "fp32")
    assert (done.json["passed"], done.json["basis"]) == (True, "boxes")
    assert done.json["raw_error"] < 1e-3
    assert done.talk == [f"next: edgepose info {detector.path}"]
    assert "passed" in edgepose("verify", detector.path).out


def test_verify_does_not_judge_what_was_imported(edgepose, pose):
    done = edgepose("verify", pose.path, "--json")
    assert done.code == 0
    assert set(done.json) == VERIFY_KEYS
    assert done.json["passed"] is None
    assert done.json["raw_error"] < 1e-5


def test_verify_against_itself_differs_by_nothing(edgepose, detector):
    done = edgepose("verify", detector.path, "--against", detector.path, "--json")
    assert done.code == 0
    assert (done.json["passed"], done.json["raw_error"]) == (True, 0.0)


def test_verify_of_an_artifact_with_other_weights(edgepose, detector, tmp_path):
    # its weights are doubled where a box's sides are predicted, and all hashes fit
    onnx = pytest.importorskip("onnx")
    from runtimes.artifact import Artifact
    from runtimes.files import seal

    root = tmp_path / "drifted"
    shutil.copytree(detector.path, root)
    model = onnx.load(root / "model.onnx")
    weights = [
        each for each in model.graph.initializer if len(each.dims) == 4 and each.dims[0] == 4
    ]
    assert weights
    for tensor in weights:
        tensor.CopyFrom(
            onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) * 2, tensor.name)
        )
    onnx.save(model, root / "model.onnx")
    seal(root, Artifact.open(detector.path).manifest)
    done = edgepose("verify", root, "--json")
    assert done.code == 3
    assert done.json["passed"] is False
    assert "Traceback" not in done.err
    assert f"edgepose verify {root} --layers --weights" in done.talk[-1]


@pytest.fixture(scope="module")
def three_images(real, tmp_path_factory):
    """Three images of coco-mini with people, and how many of these are labelled."""
    truth = json.loads((real / "coco-mini/person_keypoints.json").read_text())
    labelled = [each for each in truth["annotations"] if each["num_keypoints"]]
    ids = sorted({each["image_id"] for each in labelled})[:3]
    for key, name in (("images", "id"), ("annotations", "image_id")):
        truth[key] = [each for each in truth[key] if each[name] in ids]
    path = tmp_path_factory.mktemp("coco") / "three.json"
    path.write_text(json.dumps(truth))
    people = sum(each["image_id"] in ids and not each["iscrowd"] for each in labelled)
    return path, people


@pytest.mark.parametrize("boxes", ["ground truth", "detector"])
def test_eval_gives_the_ten_figures(edgepose, pose, detector, real, three_images, boxes):
    annotations, people = three_images
    chosen = ["--detector", detector.path] if boxes == "detector" else []
    images = real / "coco-mini/images"
    done = edgepose(
        *("eval", pose.path, "--annotations", annotations, "--images", images, *chosen, "--json")
    )
    assert done.code == 0
    assert set(done.json) == {"artifact", "iou_type", *FIGURES, "images", "people"}
    assert (done.json["iou_type"], done.json["images"]) == ("keypoints", 3)
    assert done.json["people"] == people
    assert 0 < done.json["AP"] <= done.json["AP50"] <= 1
    assert all(done.json[name] is None or 0 <= done.json[name] <= 1 for name in FIGURES)
    assert done.talk == [f"next: edgepose run SOURCE --pose {pose.path}"]


def test_eval_breaks_a_crowded_set_down_by_level(edgepose, pose, real, three_images, tmp_path):
    truth = json.loads(three_images[0].read_text())
    for image, index in zip(truth["images"], (0.1, 0.5, 0.9), strict=True):
        image["crowdIndex"] = index
    path = tmp_path / "crowd.json"
    path.write_text(json.dumps(truth))
    args = ("eval", pose.path, "--annotations", path, "--images", real / "coco-mini/images")
    found = edgepose(*args, "--json").json
    levels = found["breakdown"]
    assert list(levels) == ["easy", "medium", "hard"]
    assert [each["images"] for each in levels.values()] == [1, 1, 1]
    assert sum(each["people"] for each in levels.values()) == found["people"]
    header, *rows = (line.split() for line in edgepose(*args).out.splitlines())
    assert header == ["figure", "all", "easy", "medium", "hard"]
    assert [row[0] for row in rows] == list(FIGURES)


def test_eval_of_a_detector_measures_boxes(edgepose, detector, real, three_images):
    annotations, _ = three_images
    args = ("eval", detector.path, "--annotations", annotations)
    images = real / "coco-mini/images"
    done = edgepose(*args, "--images", images, "--json")
    assert done.json["iou_type"] == "bbox"
    assert done.json["AP50"] > 0
    table = edgepose(*args, "--images", images)
    assert [line.split()[0] for line in table.out.splitlines()] == ["figure", *FIGURES]


def test_weights_of_drawn_people_warn_once_where_they_meet_photographs(
    edgepose, pose, clip, here, capsys
):
    copy = shutil.copytree(pose.path, here / "drawn")
    manifest = json.loads((copy / "artifact.json").read_text())
    manifest["lineage"]["trained_on"] = "drawn"
    (copy / "artifact.json").write_text(json.dumps(manifest))
    done = edgepose("run", clip, "--pose", copy)
    assert done.code == 0
    warnings = [line for line in done.talk if line.startswith("warning: ")]
    assert len(warnings) == 1
    assert "drawn: trained on drawn people only" in warnings[0]
    warn_of_drawn("synth", Artifact.open(copy))
    warn_of_drawn("photo.jpg", Artifact.open(pose.path), None)
    assert capsys.readouterr().err == ""
