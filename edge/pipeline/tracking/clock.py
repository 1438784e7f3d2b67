"""Elapsed time between frames, whatever the time stamps are."""

import math
from collections import deque
from statistics import median_low

FRAME_S = 1 / 30
"""Interval that parameters given by the frame refer to, in seconds; mmdeploy's have no rate of their own."""
_LONGEST_S = 86400.0  # after which no track is left anyway: a clock that was set counts as a day
_RECENT = 31  # intervals: a change of rate is noticed after 16 frames


class Clock:
    """Time between the frames of one source, in seconds; always positive.

    A time stamp that is not after the last one (repeated, gone back, NaN) counts as one usual interval later, so that
    tracks still age on a source without time. `irregular` counts them.
    """

    def __init__(self) -> None:
        self.irregular = 0
        self._last_s: float | None = None
        self._intervals: deque[float] = deque(maxlen=_RECENT)
        self._interval_s = FRAME_S

    @property
    def interval_s(self) -> float:
        """Usual interval of the frames: the median of the last ones."""
        return self._interval_s

    @property
    def frame_s(self) -> float:
        """Time of one frame that options count by: 1/30 s, or the usual interval where that is longer."""
        return max(self._interval_s, FRAME_S)

    def elapsed_s(self, time_s: float) -> float:
        """Return the time from the last frame to this one, 0 where there is none yet; changes nothing."""
        if self._last_s is None:
            return 0.0
        step_s = time_s - self._last_s
        return min(step_s, _LONGEST_S) if 0 < step_s < math.inf else self._interval_s

    def limit_s(self, frames: int, time_s: float) -> float:
        """Return the time of so many frames, for a frame at `time_s`; changes nothing.

        At 30 frames a second, or at the usual rate of the source where that is lower; the first interval is usual.
        """
        interval_s = self._interval_s if self._intervals else self.elapsed_s(time_s)
        return frames * max(interval_s, FRAME_S)

    def advance(self, time_s: float) -> float:
        """Return `elapsed_s` and make this frame the last one."""
        step_s = self.elapsed_s(time_s)
        if self._last_s is not None:
            if 0 < time_s - self._last_s < math.inf:
                self._intervals.append(step_s)
                self._interval_s = median_low(self._intervals)
            else:
                self.irregular += 1
        if math.isfinite(time_s):
            self._last_s = time_s
        return step_s
