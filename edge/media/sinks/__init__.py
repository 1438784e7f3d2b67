"""Result sinks, with one `write` for all: video, pictures, JSON lines, COCO results, OpenPose JSON, CSV, a callback."""

from edge.media.sinks.callback import CallbackSink
from edge.media.sinks.coco import CocoSink
from edge.media.sinks.group import SinkGroup
from edge.media.sinks.json_lines import JsonLinesSink, JsonLinesStream
from edge.media.sinks.openpose import OpenPoseSink
from edge.media.sinks.pictures import ImageDirSink, PictureSink
from edge.media.sinks.sink import Sink, TargetSink
from edge.media.sinks.table import CsvSink
from edge.media.sinks.video import Fit, Pace, VideoSink

__all__ = [
    "CallbackSink",
    "CocoSink",
    "CsvSink",
    "Fit",
    "ImageDirSink",
    "JsonLinesSink",
    "JsonLinesStream",
    "OpenPoseSink",
    "Pace",
    "PictureSink",
    "Sink",
    "SinkGroup",
    "TargetSink",
    "VideoSink",
]
