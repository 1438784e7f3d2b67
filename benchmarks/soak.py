"""A pipeline left running: 100,000 frames of a looping clip, a source that breaks off and returns, a full disk.

    python benchmarks/soak.py docs/measured [--frames 100000]

Threads, queues, decoder, tracking, smoothing and sinks are the real ones; the two engines are small functions, so that
100,000 frames take minutes. Fails where memory grows by more than 2 % after the first 1,000 frames, where a thread is
left, a frame of the file is lost, the stream's return is noticed later than the back-off allows, or a line before the
full disk cannot be read. Writes soak.json and soak.log.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import msgspec
import numpy as np
from soak_camera import Camera
from soak_scene import CLIP_FRAMES, SIDE, draw, make_pipeline

from edge.media.sinks import JsonLinesSink
from edge.media.sources import open_source
from edge.types import Frame
from runtimes.errors import OutputError, SourceError

WARM = 1000  # frames after which memory may grow by GROWTH
GROWTH = 0.02
DISK_BYTES = 200_000
STALL_S, GONE_S = 2.0, 4.0
RETURN_S = 15.0  # longest back-off of a stream that is away for GONE_S, and the time to connect


def write_clip(path: Path) -> None:
    """Write the clip as a video file."""
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 30.0, (SIDE, SIDE))
    for index in range(CLIP_FRAMES):
        video.write(draw(index))
    video.release()


def looped(path: Path, count: int) -> Iterator[Frame]:
    """Yield frames of a video that is opened again and again, numbered through."""
    index = 0
    while True:
        with open_source(path) as source:
            for frame in source:
                if index == count:
                    return
                yield Frame(frame.image, index, index / 30, frame.name)
                index += 1


def memory_kib() -> int:
    """Return the resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def threads_left() -> list[str]:
    """Return the names of our threads, after those that are ending have ended."""
    deadline = time.monotonic() + 5
    while True:
        names = [one.name for one in threading.enumerate() if one.name.startswith("edgepose")]
        if not names or time.monotonic() > deadline:
            return names
        time.sleep(0.05)


class Log:
    """Lines on stdout and in a file, with seconds since the start."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")
        self._began = time.monotonic()
        self.failures: list[str] = []

    def say(self, text: str) -> None:
        """Write a line."""
        line = f"{time.monotonic() - self._began:8.1f} s  {text}"
        print(line, flush=True)
        self._file.write(line + "\n")
        self._file.flush()

    def check(self, text: str, *, passed: bool) -> None:
        """Write a line with a verdict."""
        self.say(f"{'pass' if passed else 'FAIL'}: {text}")
        if not passed:
            self.failures.append(text)


def soak_file(log: Log, count: int, folder: Path) -> dict[str, object]:
    """Run the looping clip into JSON lines, and watch memory."""
    clip, lines = folder / "clip.avi", folder / "poses.jsonl"
    write_clip(clip)
    memory: list[int] = []
    ids: set[int] = set()
    expected, detections, people, began = 0, 0, 0, time.monotonic()
    with JsonLinesSink(lines, source="clip") as sink:
        for result in make_pipeline().stream(looped(clip, count)):
            if result.frame.index != expected:
                log.check(f"frame {expected} came as {result.frame.index}", passed=False)
                break
            sink.write(result.frame, result.poses, result.states)
            expected += 1
            detections += result.detected
            people += len(result.poses)
            ids.update(result.poses.ids.tolist())
            if expected % WARM == 0:
                memory.append(memory_kib())
            if expected % (10 * WARM) == 0:
                log.say(
                    f"frame {expected}: {memory[-1]} KiB, {len(ids)} ids, {detections} detections"
                )
    seconds = time.monotonic() - began
    growth = max(memory) / memory[0] - 1
    with lines.open("rb") as written:
        held = sum(1 for _ in written)
    log.check(f"file: {expected} of {count} frames, {held} lines", passed=expected == held == count)
    log.check(
        f"memory: {memory[0]} KiB after {WARM} frames, at most {max(memory)} later ({growth:+.2%})",
        passed=growth <= GROWTH,
    )
    log.check(f"threads left: {threads_left() or 'none'}", passed=not threads_left())
    return {
        "frames": expected,
        "frames_per_s": round(expected / seconds, 1),
        "detections": detections,
        "poses": people,
        "ids": len(ids),
        "memory_kib": {"after_1000": memory[0], "most": max(memory), "end": memory[-1]},
        "memory_growth": round(growth, 5),
    }


def soak_camera(log: Log) -> dict[str, object]:
    """Run a stream that stalls, then breaks off and returns; it must go on by itself."""
    camera = Camera()
    camera.start()
    returned: list[float] = []
    arrivals: list[float] = []

    def trouble() -> None:
        time.sleep(3)
        camera.stalled.set()
        time.sleep(STALL_S)
        camera.stalled.clear()
        time.sleep(3)
        camera.stop()
        time.sleep(GONE_S)
        camera.start()
        returned.append(time.monotonic())

    script = threading.Thread(target=trouble, daemon=True)
    try:
        with open_source(camera.url) as source:
            losses = source.losses
            script.start()
            for result in make_pipeline().stream(source):
                arrivals.append(time.monotonic())
                last = result
                if returned and arrivals[-1] - returned[0] > RETURN_S:
                    break
    except SourceError as error:
        log.say(f"camera: {error}")
    finally:
        script.join()
        camera.stop()
    after = [when - returned[0] for when in arrivals if when > returned[0] + 0.1]
    pauses: list[float] = sorted(np.diff(arrivals).tolist(), reverse=True)[:2]
    resumed = after[0] if after else float("inf")
    log.say(f"camera: {len(arrivals)} frames, longest pauses {[round(one, 1) for one in pauses]} s")
    notes = losses.notes()
    for note in notes:
        log.say(f"camera: {note}")
    log.check(f"camera: frames again {resumed:.1f} s after its return", passed=resumed < RETURN_S)
    log.check(f"threads left: {threads_left() or 'none'}", passed=not threads_left())
    return {
        "frames": len(arrivals),
        "last_index": last.frame.index,
        "resumed_s": round(resumed, 2) if after else None,
        "longest_pauses_s": [round(one, 2) for one in pauses],
        "losses": notes,
    }


def soak_disk(log: Log, folder: Path) -> dict[str, object]:
    """Run into a file that may not grow beyond DISK_BYTES, as on a full disk."""
    import resource

    clip, lines = folder / "clip.avi", folder / "full.jsonl"
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (DISK_BYTES, limits[1]))
    said, written = "", 0
    try:
        with JsonLinesSink(lines) as sink:
            for result in make_pipeline().stream(looped(clip, 10_000)):
                sink.write(result.frame, result.poses, result.states)
                written += 1
    except OutputError as error:
        said = str(error)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    log.say(f"disk: {said or 'no error'}")
    log.check(
        f"disk: {written} frames written, {len(records)} lines readable",
        passed=bool(said) and len(records) == written > 0,
    )
    log.check(f"threads left: {threads_left() or 'none'}", passed=not threads_left())
    return {"frames": written, "lines": len(records), "error": said.replace(str(folder), "")}


def main() -> None:
    """Run the three and write what happened; exit status 1 where a check failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--without-camera", action="store_true", help="leave the stream out")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    log = Log(asked.out / "soak.log")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        record = {"file": soak_file(log, asked.frames, folder), "disk": soak_disk(log, folder)}
        if not asked.without_camera:
            record["camera"] = soak_camera(log)
    record["failures"] = log.failures
    text = msgspec.json.format(msgspec.json.encode(record), indent=1)
    (asked.out / "soak.json").write_bytes(text + b"\n")
    sys.exit(bool(log.failures))


if __name__ == "__main__":
    main()
