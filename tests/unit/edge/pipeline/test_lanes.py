"""The queue between stages: order, bounds, turns of lanes, limits, ends."""

import threading

from edge.pipeline.streaming.lanes import Lanes


def filled(*lanes: str, capacity: int = 9) -> Lanes[str]:
    queue: Lanes[str] = Lanes(len(lanes), capacity)
    for lane, items in enumerate(lanes):
        for item in items:
            assert queue.put(lane, item)
    return queue


def taken(queue: Lanes[str], count: int) -> str:
    return "".join(queue.get() or "-" for _ in range(count))


def test_lanes_take_turns_and_keep_their_order() -> None:
    queue = filled("abc", "x", "123")
    assert len(queue) == 7
    assert taken(queue, 7) == "ax1b2c3"


def test_the_end_comes_after_the_last_item_of_all_lanes() -> None:
    queue = filled("ab", "x")
    queue.end(0, "!")
    queue.end(1)
    assert taken(queue, 6) == "axb!--"


def test_a_full_lane_makes_its_producer_wait() -> None:
    queue: Lanes[int] = Lanes(2, 2)
    put: list[int] = []

    def produce() -> None:
        for item in range(5):
            queue.put(0, item)
            put.append(item)
        queue.end(0)

    thread = threading.Thread(target=produce)
    thread.start()
    assert queue.put(1, 7)  # another lane is not full
    queue.end(1)
    seen = []
    while (item := queue.get()) is not None:
        seen.append(item)
        assert len(queue) <= 3
    thread.join(5)
    assert [item for item in seen if item != 7] == put == list(range(5))


def test_a_lane_of_newest_items_replaces_the_oldest_and_counts_them() -> None:
    queue: Lanes[int] = Lanes(1, 9)
    queue.set_lane(0, limit=None, capacity=1, replaces=True)
    for item in range(5):
        assert queue.put(0, item)
    queue.end(0, 99)  # the end replaces nothing
    assert [queue.get(), queue.get(), queue.get()] == [4, 99, None]
    assert queue.dropped(0) == 4


def test_a_limited_lane_waits_for_its_unfinished_items_alone() -> None:
    queue = filled("ab", "xy")
    queue.set_lane(0, limit=1)
    assert taken(queue, 3) == "axy"
    done = threading.Event()

    def finish() -> None:
        done.set()
        queue.finish(0)

    timer = threading.Timer(0.02, finish)
    timer.start()
    assert queue.get() == "b"
    assert done.is_set()
    timer.join()


def test_stopping_ends_every_wait() -> None:
    queue: Lanes[int] = Lanes(1, 1)
    queue.put(0, 1)
    answers: list[object] = []
    threads = [
        threading.Thread(target=lambda: answers.append(queue.put(0, 2))),
        threading.Thread(target=lambda: answers.append(queue.put(0, 3))),
    ]
    for thread in threads:
        thread.start()
    queue.stop()
    for thread in threads:
        thread.join(5)
    assert answers == [False, False]
    assert queue.get() is None
