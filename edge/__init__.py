"""SDK of edgepose: frames in, poses out.

    import edge
    pose = edge.load("rtmpose-s", threads=4)  # after: edgepose get rtmpose-s rtmdet-nano
    pipe = edge.Pipeline(pose=pose, detector="artifacts/rtmdet-nano-320x320.openvino-fp32", skip=5)
    poses = pipe(frame_bgr)

Importing it loads no engine, and OpenCV only when a name that needs it is first used.
"""

from typing import TYPE_CHECKING

from runtimes.lazy import lazy_exports
from runtimes.version import __version__

if TYPE_CHECKING:
    from devices.tuned import load_tuned
    from edge.codecs.people import people
    from edge.media.draw import draw_boxes, draw_poses, put_banner
    from edge.media.preview import Preview
    from edge.media.sinks import (
        CallbackSink,
        CocoSink,
        CsvSink,
        ImageDirSink,
        JsonLinesSink,
        OpenPoseSink,
        PictureSink,
        Sink,
        VideoSink,
    )
    from edge.media.source import Losses, Source
    from edge.media.sources import open_source
    from edge.model import Model, load
    from edge.pipeline import Pipeline, PoseNMS, Queues, Result, Timings, TrackOptions
    from edge.schema import KeypointSchema, load_schema
    from edge.types import DenseMap, Detections, Frame, Keypoints, Person, Point, Poses
    from runtimes.artifact import Artifact
    from runtimes.base import RunOptions
    from runtimes.errors import (
        ArtifactError,
        EdgeposeError,
        EngineError,
        InputError,
        MissingDependencyError,
        OutputError,
        SourceError,
        TargetExistsError,
    )
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "devices.tuned": ("load_tuned",),
            "edge.codecs.people": ("people",),
            "edge.media.draw": ("draw_boxes", "draw_poses", "put_banner"),
            "edge.media.preview": ("Preview",),
            "edge.media.sinks": (
                *("Sink", "ImageDirSink", "PictureSink", "VideoSink", "CallbackSink"),
                *("CocoSink", "CsvSink", "JsonLinesSink", "OpenPoseSink"),
            ),
            "edge.media.source": ("Losses", "Source"),
            "edge.media.sources": ("open_source",),
            "edge.model": ("Model", "load"),
            "edge.pipeline": ("Pipeline", "PoseNMS", "Queues", "Result", "Timings", "TrackOptions"),
            "edge.schema": ("KeypointSchema", "load_schema"),
            "edge.types": (
                *("DenseMap", "Detections", "Frame", "Keypoints"),
                *("Person", "Point", "Poses"),
            ),
            "runtimes.artifact": ("Artifact",),
            "runtimes.base": ("RunOptions",),
            "runtimes.errors": (
                *("EdgeposeError", "InputError", "ArtifactError", "EngineError", "SourceError"),
                *("MissingDependencyError", "OutputError", "TargetExistsError"),
            ),
        },
    )

__all__ = [
    "Artifact",
    "ArtifactError",
    "CallbackSink",
    "CocoSink",
    "CsvSink",
    "DenseMap",
    "Detections",
    "EdgeposeError",
    "EngineError",
    "Frame",
    "ImageDirSink",
    "InputError",
    "JsonLinesSink",
    "KeypointSchema",
    "Keypoints",
    "Losses",
    "MissingDependencyError",
    "Model",
    "OpenPoseSink",
    "OutputError",
    "Person",
    "PictureSink",
    "Pipeline",
    "Point",
    "PoseNMS",
    "Poses",
    "Preview",
    "Queues",
    "Result",
    "RunOptions",
    "Sink",
    "Source",
    "SourceError",
    "TargetExistsError",
    "Timings",
    "TrackOptions",
    "VideoSink",
    "__version__",
    "draw_boxes",
    "draw_poses",
    "load",
    "load_schema",
    "load_tuned",
    "open_source",
    "people",
    "put_banner",
]
