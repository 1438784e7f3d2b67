"""Inputs that made tools of this kind fail, run again: what each command says now, as a table.

    make demo
    python benchmarks/failing_inputs.py FOLDER demo/artifacts [--only WORD]

FOLDER holds coco/, videos/, pictures/, folder_with_mac_file/, mjpeg_camera.py, threads.py, fork.py and sdk_inputs.py,
which are not part of the repository; checkpoints are written here. Every row states what is expected. Exits 1 where
a row differs.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
from failing_checkpoints import write_checkpoints

POSE = "rtmpose-t-drawn-96x128"
DETECTOR = "rtmdet-nano-drawn-320x320"
CONTROL_AP = 0.465
RECOMPRESSED = 0.03  # these JPEG files were compressed once more
PORT = 18931


@dataclass(frozen=True)
class Said:
    """What a command did: its exit code, what it printed, and the seconds it took."""

    code: int
    text: str
    run_s: float

    def last_line(self) -> str:
        """Return the last line that says something: not an engine's note, not the hint of a next command."""
        lines = [line.strip() for line in self.text.splitlines()]
        said = [line for line in lines if line and not line.startswith(("next:", "INFO:"))]
        return said[-1] if said else ""


@dataclass(frozen=True)
class Case:
    """One input: its command, what is expected, in words and as a judgement."""

    name: str
    command: list[str]
    wanted: str
    holds: Callable[[Said], bool]


def refused(*words: str) -> Callable[[Said], bool]:
    """Return the judgement "exit 2, one line with these words"."""
    return lambda said: said.code == 2 and _all_in(said, words) and "Traceback" not in said.text


def done(*words: str) -> Callable[[Said], bool]:
    """Return the judgement "exit 0, and says these words"."""
    return lambda said: said.code == 0 and _all_in(said, words)


def _all_in(said: Said, words: tuple[str, ...]) -> bool:
    return all(re.search(word, said.text, re.IGNORECASE) for word in words)


def same_ap(said: Said, tolerance: float = 6e-4) -> bool:
    """Judge that an evaluation gives the control's AP."""
    found = re.search(r"0?\.\d{3,}", said.text)
    return (
        said.code == 0 and found is not None and abs(float(found.group()) - CONTROL_AP) < tolerance
    )


def edgepose(*words: object) -> list[str]:
    """Return a command line of this checkout."""
    return [sys.executable, "-m", "edgepose", *map(str, words)]


def coco_cases(folder: Path, pose: Path) -> Iterator[Case]:
    """Yield evaluations of COCO files that say the same thing in other ways, or something wrong."""
    coco = folder / "coco"

    def evaluated(file: str, images: str = "images") -> list[str]:
        return edgepose("eval", pose, "--annotations", coco / file, "--images", coco / images)

    same = f"AP {CONTROL_AP}"
    yield Case("00_good.json", evaluated("00_good.json"), same, same_ap)
    yield Case("category_0.json", evaluated("category_0.json"), same, same_ap)
    sizes = refused("320x240", "640x480")
    good = "00_good.json"
    yield Case("half_size/", evaluated(good, "half_size"), "exit 2, both sizes", sizes)
    either = "as annotated, or exit 2"
    turned = evaluated(good, "exif_turned")
    yield Case(
        "exif_turned/", turned, either, lambda said: same_ap(said, RECOMPRESSED) or said.code == 2
    )
    for name in ("no_width_height", "string_image_ids", "iscrowd_false"):
        yield Case(f"{name}.json", evaluated(f"{name}.json"), same, same_ap)
    people = evaluated("some_people_boxes_only.json")
    yield Case("some_people_boxes_only.json", people, "counts them as unlabelled", done())
    boxes = evaluated("negative_and_zero_boxes.json")
    counted = "a counted warning, or exit 2"
    yield Case("negative_and_zero_boxes.json", boxes, counted, _warned)


def _warned(said: Said) -> bool:
    return said.code == 2 or (said.code == 0 and re.search(r"\d+ \w*.*box", said.text) is not None)


def media_cases(folder: Path, pose: Path, scratch: Path) -> Iterator[Case]:
    """Yield runs on damaged videos, odd pictures and a folder with files that are none."""
    videos = folder / "videos"

    def run(source: object, *words: object) -> list[str]:
        return edgepose("run", source, "--pose", pose, *words)

    bad = run(videos / "one_bad_frame_in_the_middle.avi")
    yield Case("one_bad_frame.avi", bad, "29 frames, 1 not read", done("29", "1 frame could not"))
    decoded = "decodes, or names AV1"
    av1 = run(videos / "av1.mkv")
    yield Case("av1.mkv", av1, decoded, lambda said: said.code == 0 or refused("AV1")(said))
    out = scratch / "folder.json"
    mac = run(folder / "folder_with_mac_file", "--save-json", out)
    yield Case(
        "folder_with_mac_file/", mac, "the rest done", lambda said: done()(said) and out.exists()
    )
    yield Case("phone.avif", run(folder / "pictures" / "phone.avif"), "read", done())


def camera_cases(pose: Path, detector: Path, scratch: Path) -> Iterator[Case]:
    """Yield runs on a camera on loopback; the recording lasts as long as the stream did."""
    video, table = scratch / "camera.mp4", scratch / "camera.csv"
    run = edgepose("run", f"http://127.0.0.1:{PORT}/x", "--pose", pose)
    both = [*run, "--detector", str(detector), "--out", str(video)]

    def own_time(_said: Said) -> bool:
        capture = cv2.VideoCapture(str(video))
        length_s = capture.get(cv2.CAP_PROP_FRAME_COUNT) / max(capture.get(cv2.CAP_PROP_FPS), 1)
        return 5.5 <= length_s <= 10.5

    yield Case("mjpeg_camera.py 8", both, "plays for about 8 s", own_time)
    skipped = "frame 40 skipped and counted"
    damaged = [*run, "--save-csv", str(table)]
    yield Case("mjpeg_camera.py 6 40", damaged, skipped, done_or_ended("1 frame could not"))


def done_or_ended(*words: str) -> Callable[[Said], bool]:
    """Return the judgement that a stream's end, which is exit 2 or 5, still reports these words."""
    return lambda said: _all_in(said, words) and "Traceback" not in said.text


def sdk_cases(folder: Path) -> Iterator[Case]:
    """Yield the scripts that use the SDK from threads, from a forked child and with odd boxes and images."""
    for runtime in ("openvino", "tflite", "onnxruntime", "ncnn"):
        for threads in ("1", "2"):
            command = [sys.executable, str(folder / "threads.py"), runtime, threads]
            yield Case(
                f"threads.py {runtime} {threads}", command, "right 240", done("'right': 240")
            )
        forked = [sys.executable, str(folder / "fork.py"), runtime]
        answer = "an answer, or a clear error"
        yield Case(f"fork.py {runtime}", forked, answer, lambda said: "EngineError" in said.text)
    inputs = [sys.executable, str(folder / "sdk_inputs.py")]
    clear = "InputErrors, no NaN pose"
    yield Case("sdk_inputs.py", inputs, clear, lambda said: not _unclear(said.text))


def _unclear(text: str) -> bool:
    wrong = (
        r"AttributeError|cv2\.error|\bnan\b|'ball'\]"  # as a result; the row's own name has it too
    )
    return re.search(wrong, text) is not None


def checkpoint_cases(made: Path, scratch: Path) -> Iterator[Case]:
    """Yield exports of checkpoints as people have them."""
    out = ("--out", scratch / "artifacts", "--format", "onnx", "--force")

    def export(name: str) -> list[str]:
        return edgepose("export", made / f"{name}.pth", *out)

    for name in ("rtmpose_5_keypoints", "vitpose_s_25_keypoints"):
        yield Case(name, export(name), "exported with kp0 ... and a warning", done("kp0"))
    for name in ("horse_17", "gate_21"):
        yield Case(name, export(name), "names of the file", done(name.split("_")[0]))
    for name in ("prefix_student", "prefix_architecture"):
        yield Case(name, export(name), "exported", done(name.split("_")[1]))
    yield Case(
        "under_state_dict_ema", export("under_state_dict_ema"), "exported", done("state_dict_ema")
    )
    yield Case("rtmdet_player_ball", export("rtmdet_player_ball"), "exported", done())
    like = edgepose("import", made / "end2end.onnx", "--like", "rtmpose-t", *out[:2], "--force")
    yield Case("end2end.onnx", like, "imported", done("end2end|rtmpose"))


def run(case: Case, folder: Path, cwd: Path) -> Said:
    """Run one case; a camera is served beside it."""
    served = []
    if case.name.startswith("mjpeg"):
        script, *words = case.name.split()
        camera = [sys.executable, str(folder / script), str(PORT), *words]
        served.append(subprocess.Popen(camera))
        time.sleep(2)
    began = time.monotonic()
    try:
        ran = subprocess.run(
            case.command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False
        )
    except subprocess.TimeoutExpired:
        return Said(-1, "no end after 300 s", 300)
    finally:
        for process in served:
            process.kill()
            process.wait()
    return Said(ran.returncode, ran.stdout + ran.stderr, time.monotonic() - began)


def main() -> int:
    """Run every case and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("artifacts", type=Path)
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    folder, artifacts = args.folder.resolve(), args.artifacts.resolve()
    pose, detector = artifacts / f"{POSE}.openvino-fp32", artifacts / f"{DETECTOR}.openvino-fp32"
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        (scratch / "demo").mkdir()
        (scratch / "demo" / "artifacts").symlink_to(artifacts)  # where the scripts look
        write_checkpoints(scratch)
        cases = [
            *coco_cases(folder, pose),
            *media_cases(folder, pose, scratch),
            *camera_cases(pose, detector, scratch),
            *sdk_cases(folder),
            *checkpoint_cases(scratch, scratch),
        ]
        print("| input | wanted | as wanted | exit | last line |\n|---|---|---|---|---|")
        for case in cases:
            if args.only in case.name:
                said = run(case, folder, scratch)
                good = case.holds(said)
                failed += not good
                line = json.dumps(said.last_line()[:160], ensure_ascii=False).strip('"')
                print(
                    f"| {case.name} | {case.wanted} | {'yes' if good else 'NO'} | {said.code} | {line} |"
                )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
