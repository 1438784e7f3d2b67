"""Drawn people with exact ground truth: for tests, demos, parity crops and training without a dataset.

Everything follows from a seed; only numpy and OpenCV draw. What is drawn is no photograph: accuracy on it says how
faithful a conversion is, not how good a model is.
"""

from edge.synth.clip import draw_clip
from edge.synth.files import coco_dataset, write_clip, write_dataset
from edge.synth.scene import Person, Scene, draw_crops, draw_scene

__all__ = [
    "Person",
    "Scene",
    "coco_dataset",
    "draw_clip",
    "draw_crops",
    "draw_scene",
    "write_clip",
    "write_dataset",
]
