"""Sources of the boxes that a top-down model is evaluated in: the annotations, a detector, a file of detections."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from edge.codecs.people import person_labels, with_labels
from edge.evaluation.coco import GroundTruth, Id, boxes_xyxy, people_by_image
from edge.model import Model
from edge.types import U8, Detections

BoxSource = Callable[[Id, U8], Detections]
"""The people's boxes in an image, by its id and its pixels uint8 BGR (H, W, 3)."""


def annotated_boxes(truth: GroundTruth) -> BoxSource:
    """Return the boxes of people with a labelled keypoint, all of score 1."""
    people = people_by_image(truth)

    def find(image_id: Id, _image: U8) -> Detections:
        boxes = boxes_xyxy([person for person in people[image_id] if person.labelled])
        return Detections(boxes, np.ones(len(boxes), np.float32), np.zeros(len(boxes), np.int32))

    return find


def detector_boxes(detector: Model, det_classes: Sequence[str] = ()) -> BoxSource:
    """Return what a detector finds of people; det_classes and errors as `person_labels`."""
    labels = person_labels(detector.spec, det_classes)
    return lambda _image_id, image: with_labels(detector.detect(image), labels)


def listed_boxes(found: Mapping[Id, Detections]) -> BoxSource:
    """Return the boxes of a file, as `load_detections` read it."""
    return lambda image_id, _image: found[image_id]
