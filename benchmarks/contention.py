"""Time of a detector alone, beside one busy process, and of two such processes at once, on every runtime.

    python benchmarks/contention.py ../shared/real/models/rtmdet-nano-person/rtmdet_nano_person.pth docs/measured

The checkpoint is exported to each runtime. Every measurement is a process of its own with default options (ncnn also
with fixed threads, and with OpenMP's own remedies). Situations take turns, round after round, so that their ratios
hold on a machine whose clock changes. Run it on an idle machine: how much others used before is in the record.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np

from devices.detect import detect_machine
from edge.model import load
from runtimes.adapters.free_cores import cores_left, read_cpu_times
from runtimes.threads import allowed_cores

ROUNDS, WARM_S, TIME_S = 2, 0.5, 1.2
RUNTIMES = ("ncnn", "openvino", "onnxruntime", "tflite")
# row: runtime, threads (0: default), environment
ROWS: dict[str, tuple[str, int, dict[str, str]]] = {
    **{runtime: (runtime, 0, {}) for runtime in RUNTIMES},
    "ncnn, 2 threads fixed": ("ncnn", 2, {}),
    "ncnn, 1 thread fixed": ("ncnn", 1, {}),
    "ncnn, OMP_WAIT_POLICY=passive": ("ncnn", 0, {"OMP_WAIT_POLICY": "passive"}),
}
SITUATIONS = ("alone", "beside a busy process", "two at once")


def worker(artifact: str, threads: int) -> None:
    """Load, say ready, wait for a line, then print the mean milliseconds of a frame."""
    with load(artifact, threads=threads or None) as model:
        width, height = model.spec.image.wh
        image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        model(image)
        print("ready", flush=True)
        sys.stdin.readline()
        runs, begin = 0, time.perf_counter()
        while (now := time.perf_counter()) < begin + WARM_S:
            model(image)
        start = now
        while (now := time.perf_counter()) < start + TIME_S:
            model(image)
            runs += 1
    print((now - start) / runs * 1e3, flush=True)


def frame_ms(artifact: Path, row: str, processes: int) -> float:
    """Return the mean milliseconds of a frame over `processes` that run the row at once."""
    _, threads, environment = ROWS[row]
    command = [sys.executable, __file__, "--worker", str(artifact), str(threads)]
    started = [
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | environment,
        )
        for _ in range(processes)
    ]
    for process in started:
        process.stdout.readline()
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    return statistics.mean(float(process.communicate()[0]) for process in started)


@contextmanager
def busy(*, wanted: bool) -> Iterator[None]:
    """Keep one core busy with a process that computes in Python."""
    if not wanted:
        yield
        return
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def measure(artifacts: dict[str, Path], rows: list[str]) -> dict[str, dict[str, float]]:
    """Return the median over rounds of each row's milliseconds in each situation."""
    samples = {(row, situation): [] for row in rows for situation in SITUATIONS}
    for _ in range(ROUNDS):
        for row in rows:
            for situation in SITUATIONS:
                with busy(wanted=situation == SITUATIONS[1]):
                    count = 2 if situation == SITUATIONS[2] else 1
                    taken = frame_ms(artifacts[ROWS[row][0]], row, count)
                samples[row, situation].append(taken)
    return {
        row: {each: statistics.median(samples[row, each]) for each in SITUATIONS} for row in rows
    }


def table(result: dict[str, dict[str, float]]) -> str:
    """Return the result as a Markdown table, ratios to the same row's time alone."""
    lines = ["| runtime | " + " | ".join(f"{each}, ms" for each in SITUATIONS) + " |"]
    lines.append("|---" * (len(SITUATIONS) + 1) + "|")
    for row, times in result.items():
        alone = times[SITUATIONS[0]]
        rest = (f"{times[each]:.1f} ({times[each] / alone:.2f}x)" for each in SITUATIONS[1:])
        lines.append(f"| {row} | {alone:.1f} | " + " | ".join(rest) + " |")
    return "\n".join(lines) + "\n"


def others() -> float | None:
    """Return how many cores other processes use now, over half a second."""
    before = read_cpu_times()
    time.sleep(0.5)
    after = read_cpu_times()
    return allowed_cores() - cores_left(before, after) if before and after else None


def artifacts_of(source: Path, scratch: Path) -> dict[str, Path]:
    """Return the artifact of each runtime: those in directory `source`, or exported from the checkpoint."""
    if source.is_dir():
        return {runtime: next(source.glob(f"rtmdet-nano-*.{runtime}-fp32")) for runtime in RUNTIMES}
    from export import Target, export_model, load_weights

    loaded = load_weights("rtmdet-nano", str(source))
    targets = [Target(runtime, "fp32") for runtime in RUNTIMES]
    made = export_model(loaded, targets, scratch)
    return {each.target.runtime: each.path for each in made}


def main() -> None:
    """Measure, print and write."""
    if sys.argv[1:2] == ["--worker"]:
        worker(sys.argv[2], int(sys.argv[3]))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="RTMDet-nano checkpoint, or its artifacts")
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", help="Rows, comma-separated and by their place: 0,4.")
    args = parser.parse_args()
    from progress import machine_words  # it imports torch, which the measured processes must not

    rows = list(ROWS)
    if args.only:
        rows = [rows[int(place)] for place in args.only.split(",")]
    with tempfile.TemporaryDirectory() as scratch:
        artifacts = artifacts_of(args.source, Path(scratch))
        before = others()
        result = measure(artifacts, rows)
    used = "an unknown number of" if before is None else f"{before:.2f}"
    model = next(iter(artifacts.values())).name.partition(".")[0]
    text = (
        f"{table(result)}\n{model}, f32, {machine_words()} Medians of {ROUNDS} rounds of {TIME_S} s. "
        f"Other processes used {used} cores before; above 0.1, measure again.\n"
    )
    record = {
        "machine": detect_machine(),
        "cores_used_by_others_before": before,
        "rounds": ROUNDS,
        "time_s": TIME_S,
        "ms": result,
    }
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "contention.md").write_text(text)
    (args.out / "contention.json").write_bytes(
        msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"
    )
    print(text)


if __name__ == "__main__":
    main()
