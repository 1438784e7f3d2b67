"""Limits of a board, measured there over SSH: by its numpy, and by those of its engines that have a network for it."""

from collections.abc import Callable

import msgspec

from edge.bench.limits.job import PROGRAM, Found, Job
from edge.bench.limits.measure import Measured, last_cache_bytes, measure_limits, read_found
from edge.bench.measure import Case
from edge.bench.process import Worker
from edge.bench.remote.board import Board
from edge.bench.remote.facts import Facts
from edge.bench.remote.parcel import RUNNER
from edge.bench.remote.ssh import quoted
from runtimes.artifact import Artifact
from runtimes.base import RunOptions
from runtimes.errors import EngineError, MissingDependencyError
from runtimes.registry import ENGINES
from runtimes.spec import Runtime

NUMPY = "numpy"
# of one job on a slow board: seconds are ten at most on others
LONGEST_S = 600.0


class There:
    """A board as a place to measure."""

    def __init__(self, board: Board, facts: Facts) -> None:
        self.board = board
        self.machine = facts.machine()
        with facts.root() as root:
            self.last_cache = last_cache_bytes(root)

    def ask(self, job: Job) -> Found:
        """Do a job of numpy's in a process of its own; raises EngineError without an answer, and as `Board.output`."""
        text = msgspec.json.encode(job).decode()
        printed = self.board.output(PROGRAM, [text], job.environment, LONGEST_S)
        try:
            return read_found(printed)
        except EngineError as error:
            raise EngineError(f"{self.board.ssh.target.login}: {error}") from error

    def put(self, artifact: Artifact) -> None:
        """Send an artifact, in place of the one before."""
        self.board.send([artifact])

    def open(self, artifact: Artifact, options: RunOptions) -> Worker:
        """Load the artifact that was sent; raises as `Worker`."""
        return self.board.worker(0, Case(artifact, options))


def facts_of(board: Board) -> Facts:
    """Send the programs, and return the facts of the board: what it is, which engines and whether numpy is there."""
    board.send([], (RUNNER, PROGRAM))
    return board.facts([NUMPY, *(name for each in ENGINES.values() for name in each.packages)])


def engines_there(facts: Facts) -> list[Runtime]:
    """Return the runtimes whose engine Python finds on the board."""
    return [
        runtime
        for runtime, engine in ENGINES.items()
        if not set(engine.packages) <= set(facts.missing)
    ]


def require_numpy(board: Board, facts: Facts) -> None:
    """Raise MissingDependencyError where the board's Python has no numpy, which measures."""
    if NUMPY in facts.missing:
        login, python = board.ssh.target.login, board.python
        raise MissingDependencyError(
            NUMPY,
            "",
            f"{login}: numpy, which measures, is not installed for {python} there; run on it: "
            f"{quoted(python)} -m pip install numpy",
        )


def measure_board(board: Board, facts: Facts, advance: Callable[[str], object]) -> Measured:
    """Measure the limits of a board that `facts_of` describes; raises as `require_numpy`, and DeviceLostError."""
    require_numpy(board, facts)
    return measure_limits(engines_there(facts), advance, There(board, facts))
