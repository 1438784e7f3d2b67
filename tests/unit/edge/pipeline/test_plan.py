"""Division of the stages among threads: each stage once, in order, and waiting only where a queue can wait."""

from itertools import chain

import pytest

from edge.pipeline.options import SceneOptions, Skip, TrackOptions
from edge.pipeline.scene import Scene
from edge.pipeline.streaming.feed import Feed
from edge.pipeline.streaming.plan import plan_for
from edge.schema import load_schema

SCHEMA = load_schema("coco17")


@pytest.mark.parametrize("cores", [1, 2, 4, 64])
@pytest.mark.parametrize("sources", [1, 2, 9])
@pytest.mark.parametrize("skip", [1, 3, "auto"])
@pytest.mark.parametrize("track", [False, True])
def test_each_stage_is_in_one_thread_and_what_waits_is_behind_a_queue(
    *, cores: int, sources: int, skip: Skip, track: bool
) -> None:
    options = SceneOptions(skip, track, "none", False, TrackOptions())
    feeds = [Feed([], Scene(SCHEMA, options)) for _ in range(sources)]
    plan = plan_for(feeds, cores)
    assert [*chain.from_iterable(plan.groups)] == ["detect", "transform", "pose", "post"]
    needed = "detect" if skip == "auto" else "transform" if skip == 3 or track else None
    assert plan.waits == needed
    assert needed is None or needed in [group[0] for group in plan.groups]
    assert plan.live_limit >= 1
