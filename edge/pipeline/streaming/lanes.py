"""A bounded first-in first-out queue between threads, with a lane for each source, which take turns."""

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Lane(Generic[T]):
    """limit: None for any number of unfinished items; replaces: a full lane loses its oldest item to a new one."""

    capacity: int
    limit: int | None = None
    replaces: bool = False
    items: "deque[T]" = field(default_factory=deque)
    unfinished: int = 0
    dropped: int = 0
    ended: bool = False

    @property
    def ready(self) -> bool:
        return bool(self.items) and (self.limit is None or self.unfinished < self.limit)


class Lanes(Generic[T]):
    """Lanes of `capacity` items each; several threads may put and get.

    A lane with a limit gives its next item only while fewer of its items than the limit were taken and are not yet
    finished: with a limit of 1 an item waits until the one before is finished, and never keeps other lanes waiting.
    """

    def __init__(self, lanes: int, capacity: int) -> None:
        self._lanes: list[_Lane[T]] = [_Lane(capacity) for _ in range(lanes)]
        self._changed = threading.Condition()
        self._last = lanes - 1
        self._stopped = False

    @property
    def count(self) -> int:
        """Number of lanes."""
        return len(self._lanes)

    def set_lane(
        self, lane: int, *, limit: int | None, capacity: int | None = None, replaces: bool = False
    ) -> None:
        """Set a lane's limit, its capacity (None: as it was), and whether its newest items replace the oldest."""
        with self._changed:
            one = self._lanes[lane]
            one.limit, one.replaces = limit, replaces
            one.capacity = one.capacity if capacity is None else capacity
            self._changed.notify_all()

    def put(self, lane: int, item: T) -> bool:
        """Add an item, waiting while the lane is full; return False where the queue was stopped."""
        one = self._lanes[lane]
        with self._changed:
            if one.replaces:
                while len(one.items) >= one.capacity:
                    one.items.popleft()
                    one.dropped += 1
            else:
                self._changed.wait_for(lambda: self._stopped or len(one.items) < one.capacity)
            if self._stopped:
                return False
            one.items.append(item)
            self._changed.notify_all()
            return True

    def get(self) -> T | None:
        """Return the next item, of the lanes in turn; None once all have ended, or where the queue was stopped."""
        with self._changed:
            while not self._stopped:
                found = self._next_ready()
                if found is not None:
                    one = self._lanes[found]
                    self._last = found
                    one.unfinished += 1
                    self._changed.notify_all()
                    return one.items.popleft()
                if all(one.ended and not one.items for one in self._lanes):
                    return None
                self._changed.wait()
            return None

    def finish(self, lane: int) -> None:
        """Note that an item of the lane is finished."""
        with self._changed:
            self._lanes[lane].unfinished -= 1
            self._changed.notify_all()

    def end(self, lane: int, last: T | None = None) -> None:
        """Note that no more items follow; last: one that is added however full the lane is."""
        with self._changed:
            if last is not None:
                self._lanes[lane].items.append(last)
            self._lanes[lane].ended = True
            self._changed.notify_all()

    def stop(self) -> None:
        """End every wait, now and later; nothing more is given."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def replaces(self, lane: int) -> bool:
        """Return whether new items replace the oldest of a full lane."""
        return self._lanes[lane].replaces

    def dropped(self, lane: int) -> int:
        """Return how many items of the lane newer ones replaced."""
        return self._lanes[lane].dropped

    def __len__(self) -> int:
        return sum(len(one.items) for one in self._lanes)

    def _next_ready(self) -> int | None:
        count = len(self._lanes)
        turns = ((self._last + 1 + step) % count for step in range(count))
        return next((lane for lane in turns if self._lanes[lane].ready), None)
