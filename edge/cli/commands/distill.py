"""edgepose distill: a small student trained with a large teacher, ready for `edgepose export`."""

import click

from edge.cli.options import FiniteRange, json_option, setting, together
from edge.cli.progress import phases
from edge.cli.training import (
    POSITIVE,
    TrainingRun,
    augment_options,
    data_options,
    extra_head_option,
    is_first_process,
    layer_options,
    length_options,
    network_options,
    optimizer_options,
    pose_loss_options,
    require_training,
    resumed,
    show_result,
    training_run_options,
    validation_options,
)
from edge.cli.verb import Verb
from quantize.distill.config import BATCH, DRAWN, DistillConfig, parse_methods


def _methods(_ctx: click.Context, _option: click.Parameter, value: str) -> tuple[str, ...]:
    return parse_methods(value)


# Each fills the field of DistillConfig that it is named after.
teacher_options = together(
    click.option("--teacher", default="", help="An artifact, a checkpoint, or a catalogue name."),
    click.option("--teacher-weights", help="FILE, `download` or URL, for a catalogue name."),
    click.option("--teacher-task", help="Dataset whose keypoints the teacher predicts."),
    click.option(
        "--teacher-heads", type=click.IntRange(1), help="As --heads of `edgepose export`."
    ),
    click.option(
        "--teacher-keypoints",
        default="",
        help="SCHEMA.json or a known set: what the teacher's keypoints are, where it does not name them.",
    ),
    click.option(
        "--method",
        "methods",
        default="heatmap",
        show_default=True,
        callback=_methods,
        help="none, heatmap, token, simcc, feature, head; `heatmap,token` for both.",
    ),
    click.option("--token", default="", help="A trained knowledge token to use."),
    setting(["--token-steps"], click.IntRange(1), 300, "Steps to train a knowledge token."),
    click.option("--teacher-cache", default="", help="Directory of a teacher cache to share."),
    setting(
        ["--heatmap-weight"],
        FiniteRange(0),
        1.0,
        "Weight of the loss against the teacher's heatmaps; that of labels is 1.",
    ),
    click.option(
        "--shard-teacher",
        is_flag=True,
        help="Shard the teacher over torchrun's processes (simcc, feature).",
    ),
    section="Teacher",
)
student_options = together(
    click.option(
        "--student",
        required=True,
        help="rtmpose-t, cspnext-t-fpn, vitpose-192x6x3-simple, ...",
    ),
    setting(["--keypoints", "schema"], str, "coco17", "Keypoint set of the student."),
    extra_head_option,
    section="Network",
)
picture_options = together(
    setting(
        ["--drawn"], click.IntRange(1), DRAWN, "Number of drawn pictures, for synth and synth-v2."
    ),
    click.option(
        "--detector",
        default="",
        help="A detector artifact that finds the people in a DIR's pictures. Default: one person fills each.",
    ),
    section="Data",
)
pose_options = together(
    setting(["--batch"], click.IntRange(1), BATCH, "Crops in a batch, over all processes."),
    click.option(
        "--lr",
        type=POSITIVE,
        help="Learning rate. Default: 1e-3 for 32 crops a step, with the square root of their number.",
    ),
    section="Optimization",
)


@click.command("distill", cls=Verb)
@student_options
@network_options
@teacher_options
@data_options
@picture_options
@augment_options
@length_options
@pose_options
@pose_loss_options
@optimizer_options
@layer_options
@validation_options
@training_run_options("distilled")
@json_option
def command(config: DistillConfig, run: TrainingRun, shard_teacher: bool, as_json: bool) -> int:
    """Train a small student with a large teacher, on drawn people, photographs, or both.

    A teacher is an artifact on any runtime, a checkpoint of any family, or a catalogue name with --teacher-weights.
    On several processes or machines: torchrun --no-python --nproc-per-node N edgepose distill ...
    """
    require_training(run.out, tensorboard=config.tensorboard)
    config = resumed(config, run)
    from quantize.distill.runner import train_student

    with phases(quiet=not is_first_process()) as listener:
        result = train_student(
            config,
            run.out,
            listener,
            device=run.device,
            sharded_teacher=shard_teacher,
            resume=run.resume,
        )
    show_result(result, as_json=as_json)
    return 0
