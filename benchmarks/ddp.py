"""The speed-up of two training processes over one: the same batch, one thread each, alternating on one machine.

    python benchmarks/ddp.py docs/measured

Starts torchrun by itself. While process 0 trains alone the other waits; then both train on halves of the batch (DDP,
gloo). Medians over steps. Wall time is a speed-up on an idle machine only: beside other programs, two processes are
given more of it than one. The CPU time beside it shows how idle it was, and how the work itself is divided.
"""

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import msgspec
import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.single_device import SingleDeviceStrategy

from edge.schema import load_schema
from quantize.distill.data.augment import WEAK
from quantize.distill.data.batches import (
    Batch,
    SourceSlice,
    epoch_order,
    pose_batches,
    split_into_batches,
)
from quantize.distill.data.instances import drawn_instances
from quantize.distill.data.patch_cache import PatchCache
from quantize.distill.data.samples import Sampler
from quantize.distill.loop.distributed import close_fabric, local_batches, open_fabric
from quantize.distill.loop.optimizer import LrSchedule
from quantize.distill.loop.train import StepResult, TrainSettings, train
from quantize.distill.loop.train_state import new_train_state
from quantize.distill.losses.terms import WeightedLoss, label_loss
from quantize.distill.pose_task import PoseTask
from quantize.distill.student import new_student, student_spec, student_variant

STUDENT = "vitpose-192x6x3-simple"
BATCH = 16
ROUNDS = 6
STEPS = 9
FIRST = 2  # warm-up steps of every round, not counted
RATES = LrSchedule()


def measure(fabric: Fabric, sampler: Sampler, folder: Path) -> tuple[list[float], list[float]]:
    """Return wall and CPU milliseconds of process 0 for each step of one round."""
    variant = student_variant(STUDENT)
    spec = student_spec(variant, "student")
    wall, cpu = [time.perf_counter()], [time.process_time()]

    def on_step(step: StepResult) -> None:
        wall.append(time.perf_counter())
        cpu.append(time.process_time())

    train(
        fabric,
        new_train_state(new_student(variant, 0), RATES),
        PoseTask(spec.image, {"truth": WeightedLoss(label_loss(spec))}),
        batches(fabric, sampler),
        TrainSettings(STEPS, RATES, save_every=10**9),
        folder,
        on_step,
    )
    return _spans(wall), _spans(cpu)


def batches(fabric: Fabric, sampler: Sampler) -> Iterator[Batch]:
    """Yield this process's parts of the batches, without end."""
    plan = split_into_batches(epoch_order([SourceSlice(0, len(sampler.patch_cache))], 0, 0), BATCH)
    while True:
        yield from pose_batches(sampler, local_batches(plan, fabric), 0, WEAK)


def work(out: Path) -> None:
    """Measure on both processes; the first prints and writes."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    both = open_fabric("cpu", "f32")
    alone = Fabric(strategy=SingleDeviceStrategy("cpu"))
    spans: dict[str, list[float]] = {"alone": [], "both": [], "alone_cpu": [], "both_cpu": []}
    with tempfile.TemporaryDirectory() as scratch:
        coco = load_schema("coco17")
        people = drawn_instances(scratch, 0, 64, coco)
        spec = student_spec(student_variant(STUDENT), "student")
        sampler = Sampler(PatchCache(people, spec.crop.padding), coco, spec.crop, spec.image.wh)
        for _ in range(ROUNDS):
            if both.is_global_zero:
                _add(spans, "alone", measure(alone, sampler, Path(scratch)))
            both.barrier()
            _add(spans, "both", measure(both, sampler, Path(scratch)))
    if both.is_global_zero:
        write(out, {name: statistics.median(values) for name, values in spans.items()})
    close_fabric(both)


def write(out: Path, ms: dict[str, float]) -> None:
    """Write what was measured, and print it."""
    busy = {name: ms[f"{name}_cpu"] / ms[name] for name in ("alone", "both")}
    lines = [
        "| | wall ms per step | CPU ms per step and process | CPU / wall |",
        "|---|---|---|---|",
        f"| one process | {ms['alone']:.0f} | {ms['alone_cpu']:.0f} | {busy['alone']:.2f} |",
        f"| two processes | {ms['both']:.0f} | {ms['both_cpu']:.0f} | {busy['both']:.2f} |",
    ]
    wall, cpu = ms["alone"] / ms["both"], ms["alone_cpu"] / ms["both_cpu"]
    text = (
        f"{STUDENT} at 192x256 on drawn people, batches of {BATCH}, one thread per process and one that prepares "
        f"samples; {ROUNDS} rounds of {STEPS} steps each, alternating on {os.cpu_count()} cores, load average "
        f"{os.getloadavg()[1]:.1f}.\n\n"
        f"In wall time two processes were {wall:.2f} times as fast as one. CPU / wall is the fraction of the time that "
        "a process had a core (or waited for the other): well below 1, other programs were running, two processes get "
        f"a larger share among them than one, and the figure does not measure scaling. In CPU time each of two does "
        f"1 / {cpu:.2f} of the work of one, gradient exchange included: the upper limit with a core each, without the "
        "time they wait for each other."
    )
    page = "\n".join([*lines, "", text]) + "\n"
    record = {
        "ms_a_step": ms,
        "speed_up": {"wall": wall, "cpu": cpu},
        "load_average": os.getloadavg()[1],
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "ddp.md").write_text(page)
    (out / "ddp.json").write_bytes(
        msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"
    )
    print(page)


def main() -> None:
    """Start torchrun, or work under it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    if "RANK" in os.environ:
        work(args.out)
        return
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [sys.executable, *launcher, __file__, str(args.out)]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def _spans(times: list[float]) -> list[float]:
    """Return the milliseconds between, without the first ones."""
    return [1e3 * (end - start) for start, end in itertools.pairwise(times[FIRST:])]


def _add(spans: dict[str, list[float]], name: str, found: tuple[list[float], list[float]]) -> None:
    spans[name] += found[0]
    spans[f"{name}_cpu"] += found[1]


if __name__ == "__main__":
    main()
