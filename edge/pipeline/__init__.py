"""Frames to poses: the pipeline, its options and its results."""

from edge.codecs.people import people
from edge.pipeline.boxes import follow_boxes
from edge.pipeline.candidates import Candidates
from edge.pipeline.options import SceneOptions, Skip, Smooth, TrackOptions
from edge.pipeline.pipeline import Pipeline
from edge.pipeline.pose_nms import DET_THRS, PoseNMS
from edge.pipeline.result import PersonState, Queues, Result, Timings
from edge.pipeline.scene import Scene

__all__ = [
    "DET_THRS",
    "Candidates",
    "PersonState",
    "Pipeline",
    "PoseNMS",
    "Queues",
    "Result",
    "Scene",
    "SceneOptions",
    "Skip",
    "Smooth",
    "Timings",
    "TrackOptions",
    "follow_boxes",
    "people",
]
