"""Benchmark on a board: rows as `edge.bench.measure` makes them, timed there, with the board's facts."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edge.bench.limits.floor import with_floors
from edge.bench.limits.record import load_limits
from edge.bench.measure import Case, Plan, measure, quiet
from edge.bench.record import BenchRun
from edge.bench.remote.board import Board
from edge.bench.remote.facts import Facts
from edge.bench.remote.phone.bench import bench_phone
from edge.bench.remote.ssh import PYTHON, Ssh, check_options, repeated
from edge.bench.remote.target import Phone, parse_target
from edge.bench.sustained import Sustained, measure_sustained
from runtimes.adapters.ncnn_adapter import refuse_int8_on_gpu
from runtimes.errors import InputError
from runtimes.registry import ENGINES
from runtimes.version import __version__


@dataclass(frozen=True, slots=True)
class Remote:
    """Options: the board (None: this machine); over ssh its Python and ssh's configuration, over adb the tools."""

    remote: str | None = None
    remote_python: str = PYTHON
    ssh_config: Path | None = None
    remote_binary: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        target = None if self.remote is None else parse_target(self.remote)
        if self.remote_binary and not isinstance(target, Phone):
            raise InputError("--remote-binary is of a phone: add --remote adb:SERIAL")
        if isinstance(target, Phone) and (self.ssh_config or self.remote_python != PYTHON):
            raise InputError(
                "--remote-python and --ssh-config are of ssh: leave them out with --remote adb:SERIAL"
            )
        check_options(self.remote, self.remote_python, self.ssh_config)

    @property
    def words(self) -> list[str]:
        """The options as a command line has them; [] for this machine."""
        if self.remote is None:
            return []
        tools = [word for path in self.remote_binary for word in ("--remote-binary", str(path))]
        return [*repeated(self.remote, self.remote_python, self.ssh_config), *tools]


def bench_remote(
    options: Remote,
    cases: Sequence[Case],
    plan: Plan | Sustained,
    advance: Callable[[str], object] = quiet,
) -> BenchRun:
    """Measure the cases on the board; its directory is removed however this ends.

    Where the board disappears in the middle, the run has the rows measured so far, and `partial` says why. Raises
    InputError for a board that cannot be reached or has no room, MissingDependencyError where an engine is not
    installed there, DeviceLostError where it disappears before the first row.
    """
    target = parse_target(options.remote or "")
    if isinstance(target, Phone):
        if isinstance(plan, Sustained):
            raise InputError("--tier sustained is not measured over adb; give another --tier")
        return bench_phone(target.serial, options.remote_binary, cases, plan, advance)
    for case in cases:
        if case.artifact.manifest.runtime == "ncnn":
            refuse_int8_on_gpu(case.artifact, case.options.accelerator)
    ssh = Ssh(target, options.ssh_config)
    artifacts = list({case.artifact.root: case.artifact for case in cases}.values())
    runtimes = dict.fromkeys(each.manifest.runtime for each in artifacts)
    with Board(ssh, options.remote_python) as board, ExitStack() as stack:
        board.send(artifacts)
        facts = board.facts([name for each in runtimes for name in ENGINES[each].packages])
        board.require_engines(artifacts, facts)
        machine = facts.machine()
        limits = load_limits(machine, target.login)  # a damaged file ends it before any work
        folders = {each.root: number for number, each in enumerate(artifacts)}
        workers = [
            stack.enter_context(board.worker(folders[case.artifact.root], case)) for case in cases
        ]
        run = (
            measure_sustained(workers, plan, advance)
            if isinstance(plan, Sustained)
            else measure(workers, plan, advance)
        )
    return msgspec.structs.replace(
        with_floors(run, limits),
        host=target.login,
        machine=machine,
        versions=_versions(facts, run),
        load_before=facts.load,
        load_after=None,
        sensors_before=None,
        sensors_after=None,
    )


def _versions(facts: Facts, run: BenchRun) -> dict[str, str]:
    engines: dict[str, str] = {row.runtime: row.engine for row in run.rows}
    return {"python": facts.python, "edgepose": __version__, **engines}
