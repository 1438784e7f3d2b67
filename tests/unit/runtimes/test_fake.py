"""The scripted session behaves as a real one."""

import numpy as np
import pytest

from runtimes.base import Effective, Session
from runtimes.errors import EngineError
from runtimes.fake import FakeSession

FEED = {"image": np.zeros((1, 2, 2, 3), np.uint8)}


def test_a_list_is_played_once() -> None:
    session = FakeSession([{"a": np.array([1.0])}, {"a": np.array([2.0])}])
    assert isinstance(session, Session)
    assert [session.run(FEED)["a"][0] for _ in range(2)] == [1, 2]
    with pytest.raises(EngineError, match="call 3"):
        session.run(FEED)


def test_a_function_sees_the_feeds() -> None:
    session = FakeSession(lambda feeds: {"sum": feeds["image"].sum(axis=(1, 2, 3))})
    assert session.run({"image": np.full((2, 1, 1, 3), 5, np.uint8)})["sum"].tolist() == [15, 15]


def test_feeds_and_outputs_are_copies() -> None:
    answer = {"a": np.zeros(3)}
    session = FakeSession(lambda _: answer)
    feed = {"image": np.zeros((1, 2, 2, 3), np.uint8)}
    session.run(feed)["a"][:] = 9
    feed["image"][:] = 9
    assert answer["a"].tolist() == [0, 0, 0]
    assert session.feeds[0]["image"].max() == 0


def test_effective_and_close() -> None:
    said = Effective(4, "bf16", "gpu")
    session = FakeSession([], said)
    assert session.effective == said
    session.close()
    with pytest.raises(EngineError, match="closed"):
        session.run(FEED)
