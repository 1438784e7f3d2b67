"""The cost of a training sample before the network sees it: CPU milliseconds of each transform.

    python benchmarks/input_pipeline.py docs/measured

For a 192x256 student, on drawn people and on real photographs (../shared, if present). One thread, CPU time,
medians of interleaved rounds over the same people. Real ones have 12 of 17 keypoints labelled.
"""

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import msgspec
import numpy as np
import torch
from timing import interleaved_cpu_us

from edge.geometry import make_crops
from edge.schema import load_schema
from quantize.distill.data.augment import NO_AUGMENTATION, STRONG, WEAK, random_view
from quantize.distill.data.batches import collate, pose_batches, split_into_batches
from quantize.distill.data.crop_view import CropView, box_view, view_crop
from quantize.distill.data.instances import Instance, annotated_instances, drawn_instances
from quantize.distill.data.keypoint_transfer import map_keypoints
from quantize.distill.data.patch_cache import PatchCache
from quantize.distill.data.photometric import cutout, distort, shift_hsv
from quantize.distill.data.samples import Sampler, warp_patch
from quantize.distill.data.targets import (
    heatmap_sigma,
    heatmaps,
    marginals,
    simcc_labels,
    simcc_sigma,
    strides,
)
from quantize.distill.losses.terms import (
    TeacherMaps,
    WeightedLoss,
    label_loss,
    teacher_map_loss,
)
from quantize.distill.pose_task import PoseTask
from quantize.distill.student import student_spec, student_variant
from quantize.distill.teachers.cache import (
    SHARD_SIZE,
    UDP,
    TeacherCache,
    cache_records,
    join_records,
)
from quantize.distill.teachers.teacher import PredictedMaps
from runtimes.codec_spec import HeatmapCodec, SimCCCodec

REAL = Path(__file__).resolve().parents[2] / "shared/real/people/lspet/person_keypoints.json"
COCO = load_schema("coco17")
SAME = map_keypoints(COCO, COCO)
NOISE = 0.01  # of a teacher's maps
SPEC = student_spec(student_variant("vitpose-192x6x3-simple"), "student")
WH = SPEC.image.wh
MAP_WH = (WH[0] // 4, WH[1] // 4)
SIMCC = SimCCCodec()
PEOPLE = 64
PICTURES = 200
ROUNDS = 15
BATCH = 16
BLURRED = replace(NO_AUGMENTATION, blur_prob=1.0)


def pixel_steps(people: Sequence[Instance]) -> dict[str, Callable[[], object]]:
    """Return the steps of a sample's image; each call takes the next person."""
    rows = itertools.cycle(range(len(people)))
    fresh, kept = (
        PatchCache(people, SPEC.crop.padding, max_bytes=0),
        PatchCache(people, SPEC.crop.padding),
    )
    patches = [kept.patch(row) for row in range(len(people))]
    rng = np.random.default_rng(0)
    crops = [view_crop(_random_view(person, rng), SPEC.crop, WH) for person in people]
    images = [
        warp_patch(patch, crop, SPEC.crop.pad_value)
        for patch, crop in zip(patches, crops, strict=True)
    ]
    sampler = Sampler(kept, COCO, SPEC.crop, WH)

    def view() -> object:
        return view_crop(_random_view(people[next(rows)], rng), SPEC.crop, WH)

    def warped() -> object:
        row = next(rows)
        return warp_patch(patches[row], crops[row], SPEC.crop.pad_value)

    return {
        "picture decoded, cropped and cached (first epoch)": lambda: fresh.patch(next(rows)),
        "cached patch decoded (later epochs)": lambda: kept.patch(next(rows)),
        "random view": view,
        "warp": warped,
        "HSV shift": lambda: shift_hsv(images[next(rows)], WEAK.hsv, rng),
        "blur": lambda: distort(images[next(rows)], BLURRED, rng),
        "cutout": lambda: cutout(images[next(rows)], rng),
        "whole sample, weak, later epochs": lambda: sampler.sample(next(rows), 0, WEAK),
        "whole sample, strong, later epochs": lambda: sampler.sample(next(rows), 0, STRONG),
    }


def target_steps(people: Sequence[Instance]) -> dict[str, Callable[[], object]]:
    """Return the steps of the targets of a batch of BATCH samples."""
    patch_cache = PatchCache(people, SPEC.crop.padding)
    sampler = Sampler(patch_cache, COCO, SPEC.crop, WH)
    batch = collate([sampler.sample(row, 0, WEAK) for row in range(BATCH)])
    xy = batch.xy.numpy().reshape(-1, 2)
    stride = strides(WH, MAP_WH, UDP)
    plain = strides(WH, MAP_WH, HeatmapCodec())
    small, large = (_teacher_maps(people, scale) for scale in (1, 2))
    sigma = heatmap_sigma(WH) / stride
    split = small.split(batch, MAP_WH, plain)[0]
    peaks = (split.xy.reshape(-1, 2), split.heights.reshape(-1), split.amplitudes.reshape(-1))
    rest = split.rest.reshape(-1, MAP_WH[1], MAP_WH[0])
    return {
        "label heatmaps": lambda: heatmaps(xy / stride, MAP_WH, sigma),
        "SimCC labels": lambda: simcc_labels(xy, WH, SIMCC.split_ratio, simcc_sigma(SIMCC, WH)),
        "teacher maps warped, 48x64": lambda: small.of(batch, MAP_WH, stride, sigma),
        "teacher maps warped, 96x128": lambda: large.of(batch, MAP_WH, stride, sigma),
        "marginals of teacher maps": lambda: marginals(peaks, rest, plain, WH, SIMCC),
    }


def measure(people: Sequence[Instance]) -> dict[str, float]:
    """Return the CPU milliseconds per sample of every step."""
    pixels = interleaved_cpu_us(pixel_steps(people), rounds=ROUNDS, calls=len(people))
    targets = interleaved_cpu_us(target_steps(people), rounds=ROUNDS, calls=4)
    spans = {name: us / 1e3 for name, us in pixels.items()}
    spans |= {name: us / 1e3 / BATCH for name, us in targets.items()}
    return spans | thread_ms(people)


def thread_ms(people: Sequence[Instance]) -> dict[str, float]:
    """Return the CPU milliseconds per sample of the thread that trains, and of the two that load for it.

    For RTMPose-t with a teacher's heatmaps, the network itself left out; medians of ROUNDS runs over the people.
    """
    spec = student_spec(student_variant("rtmpose-t"), "student")
    maps = _teacher_maps(people, 2)
    weighted = {
        "truth": WeightedLoss(label_loss(spec)),
        "heatmap": WeightedLoss(teacher_map_loss(spec, maps)),
    }
    task = PoseTask(spec.image, weighted)
    sampler = Sampler(PatchCache(people, spec.crop.padding), COCO, spec.crop, WH)
    outputs = tuple(torch.rand(BATCH, *each.shape[1:]) for each in spec.outputs)
    plan = split_into_batches(range(len(people)), BATCH)
    spent = []
    for epoch in range(ROUNDS):
        process, thread = time.process_time(), time.thread_time()
        for batch in pose_batches(sampler, plan, epoch, WEAK, 2, task.prepare):
            for each in weighted.values():
                each.loss(outputs, batch)
        own = time.thread_time() - thread
        spent.append((own, time.process_time() - process - own))
    own, others = (1e3 * np.median(spent, axis=0) / (len(plan) * BATCH)).tolist()
    return {"the thread that trains, without the network": own, "the threads that load": others}


def epochs(folder: Path) -> dict[str, float]:
    """Return the CPU seconds of drawing PICTURES pictures, loading them again, and of the crops of three epochs."""
    spans = {}

    def clock(name: str, call: Callable[[], object]) -> None:
        start = time.process_time()
        call()
        spans[name] = time.process_time() - start

    clock("drawn", lambda: drawn_instances(folder, 0, PICTURES, COCO))
    clock("found drawn", lambda: drawn_instances(folder, 0, PICTURES, COCO))
    people = drawn_instances(folder, 0, PICTURES, COCO)
    sampler = Sampler(PatchCache(people, SPEC.crop.padding), COCO, SPEC.crop, WH)
    for epoch in range(3):
        clock(
            f"epoch {epoch + 1}",
            lambda epoch=epoch: [sampler.sample(row, epoch, WEAK) for row in range(len(people))],
        )
    return spans | {"pictures": PICTURES, "people": len(people)}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        passed = epochs(Path(scratch))
        drawn = drawn_instances(scratch, 0, PICTURES, COCO)
        people = {"drawn, 640x480 frames": _some(drawn)}
        if REAL.is_file():
            people["photographs (LSPET)"] = _some(annotated_instances(REAL, COCO))
        table = {name: measure(found) for name, found in people.items()}
    text = _page(table, passed)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "input_pipeline.md").write_text(text)
    record = {"ms_a_sample": table, "cpu_s": passed}
    (args.out / "input_pipeline.json").write_bytes(
        msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"
    )
    print(text)


def _some(people: Sequence[Instance]) -> Sequence[Instance]:
    """Return PEOPLE of the people, evenly spread."""
    return [people[row] for row in np.linspace(0, len(people) - 1, PEOPLE).astype(int)]


def _random_view(person: Instance, rng: np.random.Generator) -> CropView:
    return random_view(box_view(person.box, SPEC.crop.padding), person.keypoints, COCO, WEAK, rng)


def _teacher_maps(people: Sequence[Instance], scale: int) -> TeacherMaps:
    """Return the maps of a teacher that sees every keypoint, with some noise."""
    map_wh = (scale * MAP_WH[0], scale * MAP_WH[1])
    stride = strides(WH, map_wh, UDP)
    boxes = np.stack([person.box for person in people])
    crops = make_crops(boxes, (0, 0), SPEC.crop, WH)
    rng = np.random.default_rng(0)
    records = []
    for crop, person in zip(crops, people, strict=True):
        bins = crop.to_input(person.keypoints[:, :2]) / stride
        maps = heatmaps(bins, map_wh, heatmap_sigma(WH) / stride)
        maps += rng.normal(0, NOISE, maps.shape).astype(np.float32)
        predicted = PredictedMaps(maps[None], stride, heatmap_sigma(WH) / stride)
        records += cache_records(predicted, SAME, stride, map_wh)
    shards = [
        join_records(records[at : at + SHARD_SIZE]) for at in range(0, len(records), SHARD_SIZE)
    ]
    matrices = np.stack([crop.matrix for crop in crops])
    teacher_cache = TeacherCache(tuple(shards), len(COCO), map_wh, matrices, stride)
    return TeacherMaps(teacher_cache, SAME, COCO)


def _page(table: dict[str, dict[str, float]], passed: dict[str, float]) -> str:
    lines = ["| CPU milliseconds per sample | " + " | ".join(table) + " |"]
    lines.append("|---" * (len(table) + 1) + "|")
    first = next(iter(table.values()))
    for name in first:
        cells = " | ".join(f"{spans[name]:.3f}" for spans in table.values())
        lines.append(f"| {name} | {cells} |")
    people, pictures = passed["people"], passed["pictures"]
    each = {name: 1e3 * passed[name] / people for name in ("epoch 1", "epoch 2", "epoch 3")}
    drawn_ms = 1e3 * passed["drawn"] / pictures
    text = (
        f"A 192x256 student, {PEOPLE} people of each kind, one thread, medians of {ROUNDS} interleaved rounds. "
        f"{WEAK.blur_prob:.0%} of all samples are blurred; weak augmentation cuts a patch out of "
        f"{WEAK.cutout_prob:.0%}, strong out of all. Targets are computed per batch. "
        f"The last two rows are a whole training step of RTMPose-t with a teacher's heatmaps, without its network.\n\n"
        f"Drawn people are rendered once and reused: {pictures} pictures ({people} people) took {passed['drawn']:.1f} "
        f"s of CPU time to draw ({drawn_ms:.1f} ms per picture) and {passed['found drawn']:.2f} s to load again. "
        f"A sample then took {each['epoch 1']:.2f} ms in the first epoch, which fills the patch cache, "
        f"{each['epoch 2']:.2f} ms in the second and {each['epoch 3']:.2f} ms in the third."
    )
    return "\n".join([*lines, "", text]) + "\n"


if __name__ == "__main__":
    main()
