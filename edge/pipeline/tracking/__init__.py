"""Identity and smoothing: the people of one source from frame to frame, by time stamps."""

from edge.pipeline.tracking.appearance import appearance
from edge.pipeline.tracking.one_euro import OneEuroSmoother
from edge.pipeline.tracking.tracker import TrackBoxes, Tracker

__all__ = ["OneEuroSmoother", "TrackBoxes", "Tracker", "appearance"]
