"""A session that runs the images of a batch as parallel requests, each on an engine session of its own."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from runtimes.adapters import common
from runtimes.adapters.outputs import join_batches
from runtimes.artifact import Artifact
from runtimes.base import Effective, Feeds, Outputs, RunOptions, Session, TimesEngine
from runtimes.threads import resolve_threads

Open = Callable[[Artifact, RunOptions], Session]


class ParallelSession:
    """`options.requests` sessions that share the threads, for batches, and one with all threads, for one image.

    Results are those of one session to float tolerance. Every session holds the weights once more.
    """

    def __init__(self, artifact: Artifact, options: RunOptions, open_one: Open) -> None:
        requests = options.requests or 1
        share = max(1, resolve_threads(options.threads) // requests)
        self._artifact = artifact
        self._whole = open_one(artifact, replace(options, requests=1))
        self._parts = [
            open_one(artifact, replace(options, requests=1, threads=share)) for _ in range(requests)
        ]
        self._free: SimpleQueue[Session] = SimpleQueue()
        for part in self._parts:
            self._free.put(part)
        self._pool: ThreadPoolExecutor | None = ThreadPoolExecutor(requests, "edgepose-request")

    @property
    def effective(self) -> Effective:
        """Threads, arithmetic and accelerator of a call with one image."""
        return self._whole.effective

    @property
    def engine_ns(self) -> int | None:
        """The engine's own time in calls with one image."""
        return self._whole.engine_ns if isinstance(self._whole, TimesEngine) else None

    def run(self, feeds: Feeds) -> Outputs:
        """Run a batch as `runtimes.base.Session.run` says, its images at the same time."""
        if self._pool is None:
            raise common.closed(self._artifact.root)
        batch = common.image_batch(feeds, self._artifact.manifest)
        if len(batch) == 1:
            return self._whole.run(feeds)
        parts = list(self._pool.map(self._run_one, np.split(batch, len(batch))))
        return join_batches(self._artifact.root, self._artifact.manifest.outputs, parts)

    def close(self) -> None:
        """Free the engines."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
        for session in (self._whole, *self._parts):
            session.close()

    def _run_one(self, image: NDArray[np.uint8]) -> Outputs:
        session = self._free.get()
        try:
            return session.run({self._artifact.manifest.inputs[0].name: image})
        finally:
            self._free.put(session)
