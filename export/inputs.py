"""Input images of the gate: drawn people by default, or photographs.

They are made by the deployed preprocessing: the same crops that the pipeline would cut.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.evaluation.coco import boxes_xyxy, find_images, load_ground_truth, people_by_image
from edge.geometry import make_crops, whole_frame
from edge.image import crop_image, read_image
from edge.synth import draw_crops
from edge.types import F32, U8
from runtimes.errors import InputError
from runtimes.spec import ModelSpec

COUNT = 32
# Fewer inputs where the outputs would fill the memory, because the gate holds those of reference and artifact: the 308
# maps of Sapiens are 60 MB an input.
MAX_OUTPUT_BYTES = 256 << 20
MIN_COUNT = 4
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
SEED = 20


@dataclass(frozen=True, slots=True)
class GateInputs:
    """Input images uint8 BGR (S, H, W, 3) for one model; `label` names their source."""

    images: NDArray[np.uint8]
    label: str


def drawn_inputs(spec: ModelSpec, count: int | None = None, seed: int = SEED) -> GateInputs:
    """Cut `count` inputs from drawn scenes; `input_count` of them where None."""
    regions = draw_crops(seed, input_count(spec) if count is None else count)
    return photo_inputs(spec, regions, f"drawn people, seed {seed}")


def input_count(spec: ModelSpec) -> int:
    """Return the number of inputs of a gate: COUNT, or fewer so that outputs stay below MAX_OUTPUT_BYTES."""
    # an axis of free length counts as one
    item_bytes = sum(4 * math.prod(abs(size) for size in out.shape[1:]) for out in spec.outputs)
    return max(MIN_COUNT, min(COUNT, MAX_OUTPUT_BYTES // max(item_bytes, 1)))


def photo_inputs(spec: ModelSpec, regions: list[tuple[U8, F32]], label: str) -> GateInputs:
    """Cut one input from each (frame uint8 BGR, person box xyxy); detectors and dense models get the whole frame."""
    images = [_input_image(spec, frame, box) for frame, box in regions]
    return GateInputs(np.stack(images), label)


def gate_inputs(
    spec: ModelSpec, photographs: Path | None, images_dir: Path | None = None
) -> GateInputs:
    """Return drawn inputs, or inputs from photographs: a directory (whole frames) or a COCO file (its people).

    Raises InputError where there is no image.
    """
    if photographs is None or str(photographs) == "synth":
        return drawn_inputs(spec)
    if photographs.is_dir():
        paths = sorted(
            path for path in photographs.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES
        )
        regions = [_whole_frame(path) for path in paths[: input_count(spec)]]
    else:
        regions = _people(photographs, images_dir, input_count(spec))
    if not regions:
        raise InputError(f"{photographs}: no images there; give photographs of people")
    return photo_inputs(spec, regions, f"photographs of {photographs.name}")


def _whole_frame(path: Path) -> tuple[U8, F32]:
    frame = read_image(path)
    return frame, np.array([0, 0, frame.shape[1], frame.shape[0]], np.float32)


def _people(annotations: Path, images_dir: Path | None, count: int) -> list[tuple[U8, F32]]:
    """Return the first labelled person of each image, at most `count` in all."""
    truth = load_ground_truth(annotations)
    paths = find_images(truth, annotations, images_dir)
    regions: list[tuple[U8, F32]] = []
    for image_id, annotated in people_by_image(truth).items():
        labelled = [person for person in annotated if person.labelled]
        if labelled and len(regions) < count:
            regions.append((read_image(paths[image_id]), boxes_xyxy(labelled)[0]))
    return regions


def _input_image(spec: ModelSpec, frame: U8, box: F32) -> U8:
    height, width = frame.shape[:2]
    boxes = (
        np.asarray(box, np.float32).reshape(1, 4)
        if spec.takes_boxes
        else whole_frame((width, height))
    )
    crop = make_crops(boxes, (width, height), spec.crop, spec.image.wh)[0]
    return crop_image(frame, crop, spec.crop)
