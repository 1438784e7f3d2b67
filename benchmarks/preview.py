"""Rate of a pipeline without a web preview, and with one that has 0, 1 and 5 viewers, of which one reads nothing.

    python benchmarks/preview.py POSE DETECTOR VIDEO docs/measured

Rounds take turns, so that a machine that becomes slower changes all alike. Viewers are a process of their own on the
same machine, as no board would have them: what they cost themselves is included.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import edge

VIEWERS = """
import http.client, sys, threading, time
def connect():
    connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=60)
    connection.request("GET", "/stream.mjpg")
    return connection.getresponse()
def read():
    answer = connect()
    while answer.read1(1 << 20):
        pass
for number in range(int(sys.argv[2])):
    if number == 4:
        unread = connect()
    else:
        threading.Thread(target=read, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""
CASES = {"no preview": None, "0 viewers": 0, "1 viewer": 1, "5 viewers": 5}


def main() -> None:
    """Print frames a second of each case, as a median over rounds, and the ratio to the run without a preview."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pose")
    parser.add_argument("detector")
    parser.add_argument("video")
    parser.add_argument("out", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5)
    args = parser.parse_args()
    with edge.open_source(args.video) as source:
        frames = [frame for frame, _ in zip(source, range(100), strict=False)]
    rates: dict[str, list[float]] = {name: [] for name in CASES}
    writes: dict[str, list[float]] = {name: [] for name in CASES}
    with edge.Pipeline(args.pose, args.detector) as pipeline:
        run(pipeline, frames, None, 2.0)
        for _, (name, viewers) in itertools.product(range(args.rounds), CASES.items()):
            rate, write_us = run(pipeline, frames, viewers, args.seconds)
            rates[name].append(rate)
            writes[name].append(write_us)
    base = rates["no preview"]
    rows = []
    for name, values in rates.items():
        ratio = statistics.median(a / b for a, b in zip(values, base, strict=True))
        row = {
            "case": name,
            "frames_per_s": round(statistics.median(values), 1),
            "ratio": round(ratio, 3),
            "write_us": round(statistics.median(writes[name]), 1),
        }
        rows.append(row)
        print(json.dumps(row), flush=True)
    report = {"pose": pipeline.pose.name, "cores": len(os.sched_getaffinity(0)), "rows": rows}
    (args.out / "preview.json").write_text(json.dumps(report, indent=1) + "\n")


def run(
    pipeline: edge.Pipeline, frames: list[edge.Frame], viewers: int | None, seconds: float
) -> tuple[float, float]:
    """Return frames a second, and the mean microseconds of handing over a result."""
    with ExitStack() as stack:
        preview = None if viewers is None else stack.enter_context(edge.Preview(0))
        count, spent = 0, 0.0
        until = time.perf_counter() + seconds
        began = None
        for result in pipeline.stream(itertools.cycle(frames)):
            now = time.perf_counter()
            if preview:
                preview.write(result)
                spent += time.perf_counter() - now
            if began is None:  # the viewers connect to a running pipeline
                if preview and viewers:
                    stack.callback(watch(preview, viewers))
                began = time.perf_counter()
                until = began + seconds
            count += 1
            if now >= until:
                break
        return count / (time.perf_counter() - (began or 0.0)), spent / count * 1e6


def watch(preview: edge.Preview, viewers: int):  # noqa: ANN201
    """Start viewers, and return the function that ends them."""
    command = [sys.executable, "-c", VIEWERS, str(preview.address.port), str(viewers)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout
    process.stdout.readline()

    def end() -> None:
        process.kill()
        process.communicate()

    return end


if __name__ == "__main__":
    main()
