"""edgepose label: pseudo-labels of pictures, as a COCO data set to train, quantize and evaluate with."""

import glob
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import msgspec

from edge.cli.console import command_line, emit_json, hint, progress, say
from edge.cli.options import (
    ARTIFACT,
    PATH,
    FloatRange,
    det_classes_option,
    force_option,
    json_option,
    run_options,
    setting,
)
from edge.cli.outputs import check_reports
from edge.cli.recording import warn_of_drawn
from edge.cli.verb import Verb
from edge.codecs.people import parse_classes
from edge.media.image_files import image_files, images_like, read_images
from edge.media.pseudo_labels import (
    LabelRule,
    LabelSource,
    image_record,
    image_root,
    label_records,
    pseudo_label_file,
    sure_people,
)
from edge.model import Model
from edge.pipeline import Pipeline
from edge.types import counted
from runtimes.artifact import Artifact
from runtimes.base import RunOptions
from runtimes.errors import InputError, warn
from runtimes.files import atomic_file
from runtimes.registry import open_session


@click.command("label", cls=Verb)
@click.argument("images")
@click.option("--pose", type=ARTIFACT, required=True, help="The pose artifact that labels.")
@click.option(
    "--detector",
    type=ARTIFACT,
    help="A detector artifact that finds the people. Default: one person fills each picture.",
)
@click.option("--out", type=PATH, required=True, help="COCO.json to write.")
@setting(
    ["--min-score"],
    FloatRange(0, 1),
    LabelRule().min_score,
    "Leave out people whose mean keypoint score is below.",
)
@setting(
    ["--min-keypoint-score"],
    FloatRange(0, 1),
    LabelRule().min_keypoint_score,
    "Leave keypoints below unlabelled; their score is kept.",
)
@click.option("--det-thr", type=FloatRange(0, 1), help="Box score threshold. Default: 0.3.")
@click.option("--max-people", type=click.IntRange(1), help="Most people in a picture.")
@det_classes_option
@click.option(
    "--licence",
    "licences",
    multiple=True,
    help="Licence of the pictures, such as CC-BY-4.0; students trained on them state it.",
)
@force_option
@json_option
@run_options
def command(
    images: str,
    pose: Path,
    detector: Path | None,
    out: Path,
    min_score: float,
    min_keypoint_score: float,
    det_thr: float | None,
    max_people: int | None,
    det_classes: str | None,
    licences: tuple[str, ...],
    force: bool,
    as_json: bool,
    options: RunOptions,
) -> None:
    """Label the people in IMAGES (a directory, a glob or a picture) with a pose model, as a COCO data set.

    Scores of people and keypoints are kept. `distill`, `train`, `quantize` and `eval` read the file.
    """
    check_reports([out], force=force)
    if (det_classes or det_thr is not None) and not detector:
        raise InputError("--det-thr and --det-classes are of a detector: add --detector ARTIFACT")
    paths = _paths(images)
    artifacts = [Artifact.open(path) for path in (pose, detector) if path]
    warn_of_drawn(images, artifacts[0], artifacts[1] if detector else None)
    with ExitStack() as stack:
        models = [
            Model(each.manifest, open_session(each, options), each.name) for each in artifacts
        ]
        pipeline = stack.enter_context(
            Pipeline(
                *models,
                det_thr=det_thr,
                max_people=max_people,
                det_classes=parse_classes(det_classes),
            )
        )
        rule = LabelRule(min_score, min_keypoint_score)
        content, unsure = _labelled(pipeline, paths, image_root(out, paths), rule, licences)
    _write(_sources(content, pipeline, artifacts, licences), out)
    _report(content, unsure, out, paths, as_json=as_json)


def _paths(images: str) -> list[Path]:
    """Return the pictures of a directory, a glob or a single file."""
    path = Path(images)
    if path.is_dir():
        return image_files(path)
    if glob.has_magic(images) and not path.exists():
        return images_like(images)
    if not path.is_file():
        raise InputError(f"{images}: no such directory or picture")
    return [path]


def _labelled(
    pipeline: Pipeline, paths: Sequence[Path], root: Path, rule: LabelRule, licences: Sequence[str]
) -> tuple[dict[str, Any], int]:
    """Return images and annotations, and the number of people left out as unsure."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    unsure = 0
    with progress("label", len(paths)) as advance:
        for path, picture in read_images(paths):
            pipeline.reset()  # pictures are no video: nobody is followed from one to the next
            found = pipeline(picture)
            sure = sure_people(found, rule)
            unsure += len(found) - len(sure)
            name = path.absolute().relative_to(root).as_posix()
            height, width = picture.shape[:2]
            images.append(image_record(len(images) + 1, name, (width, height), licences))
            first = len(annotations) + 1
            annotations += label_records(sure, len(images), first, rule, (width, height))
            advance()
    return {"images": images, "annotations": annotations}, unsure


def _sources(
    content: dict[str, Any],
    pipeline: Pipeline,
    artifacts: Sequence[Artifact],
    licences: Sequence[str],
) -> dict[str, Any]:
    """Return the whole file: with the category, the licences, and the models that labelled."""
    roles = ("pose", "detector")
    sources = [
        LabelSource(role, each.name, each.manifest.lineage)
        for role, each in zip(roles, artifacts, strict=False)
    ]
    return pseudo_label_file(
        content["images"], content["annotations"], pipeline.pose.schema, sources, licences
    )


def _write(content: dict[str, Any], out: Path) -> None:
    with atomic_file(out) as stream:
        stream.write(msgspec.json.encode(content))


def _report(
    content: dict[str, Any], unsure: int, out: Path, paths: Sequence[Path], *, as_json: bool
) -> None:
    images, people = content["images"], content["annotations"]
    keypoints = sum(each["num_keypoints"] for each in people)
    if not people:
        warn(
            f"{out}: no person is labelled; lower --min-score, or choose another model or detector"
        )
    if as_json:
        emit_json(
            {
                "annotations": str(out),
                "images": len(images),
                "unread": len(paths) - len(images),
                "people": len(people),
                "unsure": unsure,
                "keypoints": keypoints,
            }
        )
    left_out = f"; {unsure} below --min-score left out" if unsure else ""
    say(f"wrote {out} ({counted(len(images), 'image')}, {len(people)} people{left_out})")
    root = image_root(out, paths)
    elsewhere = () if root == out.absolute().parent else ("--images", str(root))
    flags = ["--data", str(out), *elsewhere]
    hint(command_line("train", "--student", "rtmpose-t", *flags))
