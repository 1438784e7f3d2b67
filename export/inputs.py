"""Input images of the gate: drawn people by default, or photographs.

They are made by the deployed preprocessing: the same crops that the pipeline would cut.
"""

import math
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.evaluation.dataset import first_people, load_dataset
from edge.geometry import make_crops, whole_frame
from edge.image import crop_image
from edge.media.image_files import image_files, read_images
from edge.synth import draw_crops
from edge.types import F32, U8
from runtimes.errors import InputError
from runtimes.spec import ModelSpec

COUNT = 32
# Fewer inputs where the outputs would fill the memory, because the gate holds those of reference and artifact: the 308
# maps of Sapiens are 60 MB an input.
MAX_OUTPUT_BYTES = 256 << 20
MIN_COUNT = 4
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
    spec: ModelSpec,
    photographs: Path | None,
    images_dir: Path | None = None,
    category: str | None = None,
) -> GateInputs:
    """Return drawn inputs, or inputs from photographs: a directory (whole frames) or a COCO file (its people).

    category: of the people in a COCO file. Raises InputError where there is no image.
    """
    if photographs is None or str(photographs) == "synth":
        return drawn_inputs(spec)
    if photographs.is_dir():
        found = read_images(image_files(photographs))
        regions = [_whole_frame(frame) for _, frame in islice(found, input_count(spec))]
    else:
        dataset = load_dataset(photographs, images_dir, category)
        people = ((frame, box) for frame, box in first_people(dataset) if box is not None)
        regions = list(islice(people, input_count(spec)))
    if not regions:
        raise InputError(
            f"{photographs}: no images there that show a person; give photographs of people"
        )
    return photo_inputs(spec, regions, f"photographs of {photographs.name}")


def _whole_frame(frame: U8) -> tuple[U8, F32]:
    return frame, np.array([0, 0, frame.shape[1], frame.shape[0]], np.float32)


def _input_image(spec: ModelSpec, frame: U8, box: F32) -> U8:
    height, width = frame.shape[:2]
    boxes = (
        np.asarray(box, np.float32).reshape(1, 4)
        if spec.takes_boxes
        else whole_frame((width, height))
    )
    crop = make_crops(boxes, (width, height), spec.crop, spec.image.wh)[0]
    return crop_image(frame, crop, spec.crop)
