"""A session that several threads may call, and that a forked child process is refused."""

import os
import threading

from runtimes.base import Effective, Feeds, Outputs, Session, TimesEngine
from runtimes.errors import EngineError
from runtimes.fork import keep_from_destructors


class SharedSession:
    """Another session behind a lock: calls of several threads run one after another.

    Engines keep inputs and outputs in one request, so two threads at once would read each other's results. A fork
    copies the engine without its worker threads: a run in the child would wait for them for ever.
    """

    def __init__(self, session: Session, name: str) -> None:
        self._session = session
        self._name = name
        self._lock = threading.Lock()
        self._process = os.getpid()
        keep_from_destructors(session)

    @property
    def effective(self) -> Effective:
        """Threads, arithmetic and accelerator in use."""
        return self._session.effective

    @property
    def engine_ns(self) -> int | None:
        """The engine's own time so far; None where the session does not count it."""
        return self._session.engine_ns if isinstance(self._session, TimesEngine) else None

    def run(self, feeds: Feeds) -> Outputs:
        """Run a batch as `Session.run` does; raises EngineError in a forked child."""
        # before the lock, which another thread may have held when the process was forked
        if os.getpid() != self._process:
            raise EngineError(
                f"{self._name}: opened before this process was forked;"
                " start processes with multiprocessing's 'spawn', or open it in the children alone"
            )
        with self._lock:
            return self._session.run(feeds)

    def close(self) -> None:
        """Free the engine once the run in progress has ended; in a forked child the parent's engine stays."""
        if os.getpid() == self._process:
            with self._lock:
                self._session.close()
