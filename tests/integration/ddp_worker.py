"""One process of a small training run, or of a sharded teacher: started by `test_ddp`, alone or by torchrun.

python tests/integration/ddp_worker.py train FOLDER --pictures DIR --steps 12 [--resume]
python tests/integration/ddp_worker.py detect FOLDER --pictures DIR --steps 4
python tests/integration/ddp_worker.py shard FOLDER
"""

import argparse
import itertools
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from lightning_fabric import Fabric

from edge.catalog.specs import rtmdet_spec
from edge.evaluation.dataset import load_dataset
from edge.schema import load_schema
from export.torch_session import TorchSession
from quantize.distill.data.augment import WEAK
from quantize.distill.data.batches import (
    Batch,
    SourceSlice,
    epoch_order,
    pose_batches,
    split_into_batches,
)
from quantize.distill.data.instances import drawn_annotations, drawn_instances
from quantize.distill.data.patch_cache import PatchCache
from quantize.distill.data.picture_schedule import Phase
from quantize.distill.data.samples import Sampler
from quantize.distill.detector.data import detection_set
from quantize.distill.detector.network import detector_variant, new_detector
from quantize.distill.detector.scenes import draw_pictures
from quantize.distill.detector.schedule import LATE, DetectorSchedule
from quantize.distill.detector.task import DetectorTask
from quantize.distill.loop.distributed import (
    Processes,
    close_fabric,
    local_batches,
    open_fabric,
    processes_of,
    shard_teacher,
)
from quantize.distill.loop.optimizer import LrSchedule
from quantize.distill.loop.run_folder import STATE
from quantize.distill.loop.train import TrainSettings, train
from quantize.distill.loop.train_state import new_train_state
from quantize.distill.losses.terms import WeightedLoss, label_loss
from quantize.distill.pose_task import PoseTask
from quantize.distill.student import new_student, student_spec, student_variant
from quantize.distill.teachers import cache as cache_module
from quantize.distill.teachers.cache import build_teacher_cache
from quantize.distill.teachers.teacher import Teacher
from quantize.distill.validation import validate
from runtimes.errors import EdgeposeError
from runtimes.spec import Lineage

WH = (48, 64)
VARIANT = student_variant("vitpose-48x2x3-simple", WH)
SPEC = student_spec(VARIANT, "tiny")
RATES = LrSchedule(lr=1e-3, warmup_steps=3, flat_share=1.0)  # independent of the number of steps
COCO = load_schema("coco17")


def batches(sampler: Sampler, fabric: Fabric, size: int, done: int) -> Iterator[Batch]:
    """Yield this process's parts of the batches after step `done`, epoch after epoch."""
    shares = [SourceSlice(0, len(sampler.patch_cache))]
    per_epoch = len(split_into_batches(epoch_order(shares, 1, 0), size))
    skip = done % per_epoch
    for epoch in itertools.count(done // per_epoch):
        plan = local_batches(split_into_batches(epoch_order(shares, 1, epoch), size), fabric)
        yield from pose_batches(sampler, plan[skip:], epoch, WEAK)
        skip = 0


def learn(fabric: Fabric, args: argparse.Namespace) -> None:
    """Train on drawn people; each process writes its process id into the folder."""
    (args.folder / f"pid-{fabric.global_rank}").write_text(str(os.getpid()))
    people = drawn_instances(args.pictures, 3, 8, COCO)
    sampler = Sampler(PatchCache(people, SPEC.crop.padding), COCO, SPEC.crop, WH, seed=1)
    state = new_train_state(new_student(VARIANT, 0), RATES)
    if args.resume:
        state.load(args.folder / STATE)
    settings = TrainSettings(args.steps, RATES, save_every=4)
    source = batches(sampler, fabric, args.batch, state.done)
    source = itertools.islice(
        source, args.stop
    )  # as if it were killed, but always at the same step
    task = PoseTask(SPEC.image, {"truth": WeightedLoss(label_loss(SPEC))})
    train(fabric, state, task, source, settings, args.folder, [].append)


def detect(fabric: Fabric, args: argparse.Namespace) -> None:
    """Train a detector with its batch norms in evaluation mode: they would see each process's part only."""
    with fabric.rank_zero_first():
        dataset = load_dataset(draw_pictures(args.pictures, 5, 8, lambda *_: None))
    phases = (Phase(1.0, ((96, 96),), LATE),)
    images = detection_set([(dataset, 1.0)])
    schedule = DetectorSchedule(images, phases, args.batch, 1, args.steps, seed=0)
    module = new_detector(detector_variant("rtmdet-nano"), 0).eval()
    state = new_train_state(module, RATES)
    image = rtmdet_spec("tiny", (96, 96), ("person",)).image
    settings = TrainSettings(args.steps, RATES, save_every=args.steps)
    batches = schedule.batches(0, fabric, workers=1)
    train(fabric, state, DetectorTask(image, fabric), batches, settings, args.folder, [].append)


def shard(fabric: Fabric, folder: Path) -> None:
    """Write how far a sharded teacher's outputs are from the whole one's, and the number of weights held here."""
    teacher, whole = new_student(VARIANT, 0).eval(), new_student(VARIANT, 0).eval()
    own = torch.Generator().manual_seed(fabric.global_rank)
    shard_teacher(teacher, fabric)
    block = teacher.backbone.layers[0]
    farthest, here = 0.0, []
    for _ in range(2):
        image = torch.randn(3, 3, WH[1], WH[0], generator=own)
        with torch.no_grad():
            pairs = (
                (teacher(image)[0], whole(image)[0]),
                (teacher.backbone(image), whole.backbone(image)),
            )
        farthest = max(farthest, *((found - wanted).abs().max().item() for found, wanted in pairs))
        here.append(sum(parameter.to_local().numel() for parameter in block.parameters()))
    count = sum(parameter.numel() for parameter in block.parameters())
    found = {"difference": farthest, "here": max(here), "whole": count}
    (folder / f"shard-{fabric.global_rank}.json").write_text(json.dumps(found))


def share(fabric: Fabric, folder: Path) -> None:
    """Write whether a teacher's cache and validation are the same from all processes and from one."""
    with fabric.rank_zero_first():
        annotations = drawn_annotations(folder / "drawn", 3, 6)
    dataset = load_dataset(annotations)
    people = PatchCache(drawn_instances(folder / "drawn", 3, 6, COCO), SPEC.crop.padding)
    module = new_student(VARIANT, 0).eval()
    teacher = Teacher(TorchSession(module, SPEC), SPEC, "tiny", Lineage(weights="random"), module)
    cache_module.SHARD_SIZE = 2
    processes = processes_of(fabric)
    metrics, files = [], []
    for name, those in (("all", processes), (f"one-{fabric.global_rank}", Processes())):
        built = build_teacher_cache(
            folder / name, teacher, people, COCO, (12, 16), lambda *_: None, those, workers=2
        )
        fabric.barrier()
        files.append({path.name: path.read_bytes() for path in (folder / name).iterdir()})
        metrics.append(validate(module, SPEC, dataset, those))
    found = {
        "same cache": files[0] == files[1],
        "same metrics": metrics[0] == metrics[1],
        "people": len(people),
        "shards": len(built.shards),
    }
    (folder / f"share-{fabric.global_rank}.json").write_text(json.dumps(found))


def main() -> int:
    """Run the command; an error of ours becomes a line and an exit code, as on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("train", "detect", "shard"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--stop", type=int)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--precision", default="f32")
    parser.add_argument("--resume", action="store_true")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    try:
        fabric = open_fabric("cpu", args.precision)
        if args.what == "train":
            learn(fabric, args)
        elif args.what == "detect":
            detect(fabric, args)
        else:
            shard(fabric, args.folder)
            share(fabric, args.folder)
        close_fabric(fabric)
    except EdgeposeError as error:
        print(f"edgepose: {error}", file=sys.stderr, flush=True)  # noqa: T201
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
