"""Drawn people with exact ground truth: for tests, demos, parity crops and training without a dataset.

Everything follows from a seed, drawn with numpy and OpenCV alone. Drawn people are not photographs: accuracy on them
shows how faithful a conversion is, not how good a model is.
"""

from edge.synth.clip import draw_clip, draw_visits
from edge.synth.files import coco_dataset, write_clip, write_dataset, write_tracking_clip
from edge.synth.scene import DrawnPerson, Scene
from edge.synth.versions import DrawnVersion, draw_crops, draw_scene, iterate_crops

__all__ = [
    "DrawnPerson",
    "DrawnVersion",
    "Scene",
    "coco_dataset",
    "draw_clip",
    "draw_crops",
    "draw_scene",
    "draw_visits",
    "iterate_crops",
    "write_clip",
    "write_dataset",
    "write_tracking_clip",
]
