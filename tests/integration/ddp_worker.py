"""One process of a small training, or of a teacher spread over processes: what `test_ddp` starts, alone or by torchrun.

python tests/integration/ddp_worker.py train FOLDER --pictures DIR --steps 12 [--resume]
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

from edge.schema import load_schema
from quantize.distill.data.augment import WEAK
from quantize.distill.data.batches import Batch, Share, batches_of, order_of, prepare
from quantize.distill.data.instances import drawn_people
from quantize.distill.data.patch_cache import Album
from quantize.distill.data.samples import Sampler
from quantize.distill.distributed import close_fabric, open_fabric, shard_teacher, share_out
from quantize.distill.losses.terms import Part, truth_term
from quantize.distill.optimizer import Rates
from quantize.distill.student import new_student, student_spec, student_variant
from quantize.distill.train import STATE, Settings, new_learner, train
from runtimes.errors import EdgeposeError

WH = (48, 64)
VARIANT = student_variant("vitpose-48x2x3-simple", WH)
SPEC = student_spec(VARIANT, "tiny")
RATES = Rates(lr=1e-3, warmup_steps=3, flat_share=1.0)  # the course does not hang on how long it is
COCO = load_schema("coco17")


def batches(sampler: Sampler, fabric: Fabric, size: int, done: int) -> Iterator[Batch]:
    """Yield this process' parts from the step on that comes next, epoch after epoch."""
    shares = [Share(0, len(sampler.album))]
    per_epoch = len(batches_of(order_of(shares, 1, 0), size))
    skip = done % per_epoch
    for epoch in itertools.count(done // per_epoch):
        plan = share_out(batches_of(order_of(shares, 1, epoch), size), fabric)
        yield from prepare(sampler, plan[skip:], epoch, WEAK)
        skip = 0


def learn(fabric: Fabric, args: argparse.Namespace) -> None:
    """Train on drawn people; each process leaves its number and process id in the folder."""
    (args.folder / f"pid-{fabric.global_rank}").write_text(str(os.getpid()))
    people = drawn_people(args.pictures, 3, 8, COCO)
    sampler = Sampler(Album(people, SPEC.crop.padding), COCO, SPEC.crop, WH, seed=1)
    learner = new_learner(new_student(VARIANT, 0), RATES)
    if args.resume:
        learner.load(args.folder / STATE)
    settings = Settings(args.steps, RATES, save_every=4)
    source = batches(sampler, fabric, args.batch, learner.done)
    source = itertools.islice(
        source, args.stop
    )  # as if it were killed, but always at the same step
    parts = {"truth": Part(truth_term(SPEC))}
    train(fabric, learner, parts, source, SPEC.image, settings, args.folder, [].append)


def shard(fabric: Fabric, folder: Path) -> None:
    """Write how far a spread teacher's maps and features are from the whole one's, and how many weights lie here."""
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


def main() -> int:
    """Do what is asked; an error of ours becomes a line and a code, as on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("train", "shard"))
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
        else:
            shard(fabric, args.folder)
        close_fabric(fabric)
    except EdgeposeError as error:
        print(f"edgepose: {error}", file=sys.stderr, flush=True)  # noqa: T201
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
