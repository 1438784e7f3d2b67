"""Results of one or more sources in the caller's thread, and what becomes of their errors."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from edge.pipeline.job import Stage, StageName
from edge.pipeline.result import Result
from edge.pipeline.streaming.engine import Engine
from edge.pipeline.streaming.feed import Feed
from edge.pipeline.streaming.item import NO_LANE
from edge.types import counted
from runtimes.errors import SourceError

OnEnd = Callable[[int | str, Exception | None], None]
"""Called with a source's name, and its error or None, once its last result was taken."""


def stream_results(
    stages: Mapping[StageName, Stage], feeds: Sequence[Feed], on_end: OnEnd | None = None
) -> Iterator[Result]:
    """Yield the results of all sources; threads end with the last one, with an error, or when this is closed.

    An error of a stage ends all. An error of a source ends that source: on_end gets it, and without on_end it is
    raised once the other sources have ended, several of them as one SourceError.
    """
    problems: dict[int | str, Exception] = {}
    with Engine(stages, feeds) as engine:
        for item in engine.items():
            error = item.error
            if item.job is not None and error is None:
                yield item.job.result(item.queues)
                continue
            if error is not None and (item.job is not None or item.lane == NO_LANE):
                raise error
            if error is not None and not isinstance(error, Exception):
                raise error  # such as SystemExit of a generator that gives frames
            source = feeds[item.lane].source
            if on_end is not None:
                on_end(source, error)
            elif error is not None:
                problems[source] = error
    if problems:
        in_order = [feed.source for feed in feeds if feed.source in problems]
        raise _one({source: problems[source] for source in in_order}, len(feeds))


def _one(problems: Mapping[int | str, Exception], sources: int) -> Exception:
    """Return the only error itself, or one that names the errors of several sources."""
    if len(problems) == 1:
        return next(iter(problems.values()))
    shown = "; ".join(f"{source}: {error}" for source, error in problems.items())
    return SourceError(f"{len(problems)} of {counted(sources, 'source')} failed: {shown}")
