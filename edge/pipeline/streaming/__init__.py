"""The streaming engine: load, detect, transform, pose and post in threads, joined by bounded queues."""

from edge.pipeline.streaming.feed import Drop, Feed, feeds_of
from edge.pipeline.streaming.results import OnEnd, stream_results

__all__ = ["Drop", "Feed", "OnEnd", "feeds_of", "stream_results"]
