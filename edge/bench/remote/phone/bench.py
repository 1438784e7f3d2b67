"""Benchmark on a phone: rows that take turns, measured by the engines' own tools, with the phone's facts and heat."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from edge.bench.measure import Case, Plan, quiet, schedule
from edge.bench.record import BenchRow, BenchRun, with_speedup
from edge.bench.remote.phone.adb import Adb
from edge.bench.remote.phone.binaries import Binary, choose_binaries, require_runnable
from edge.bench.remote.phone.folder import Folder
from edge.bench.remote.phone.state import SCRIPT, PhoneState, parse_state
from edge.bench.remote.phone.tool import Printed
from edge.bench.remote.phone.turns import Turns, make_turns, phone_row
from runtimes.artifact import Artifact
from runtimes.errors import DeviceLostError, InputError
from runtimes.spec import Runtime
from runtimes.version import __version__


def bench_phone(
    serial: str,
    binaries: Sequence[Path],
    cases: Sequence[Case],
    plan: Plan,
    advance: Callable[[str], object] = quiet,
) -> BenchRun:
    """Measure the cases on the phone of `adb -s SERIAL`; its directory is removed however this ends.

    Where the phone disappears in the middle, the run has the rows measured so far, and `partial` says why. Raises
    InputError for a phone that cannot be used or has no room, a binary that is missing or of another CPU, an option
    that the tools do not have; EngineError where a tool fails; MissingDependencyError without adb.
    """
    _refuse_options(cases)
    artifacts = list({case.artifact.root: case.artifact for case in cases}.values())
    runtimes = list(dict.fromkeys(each.manifest.runtime for each in artifacts))
    chosen = choose_binaries(runtimes, binaries)
    adb = Adb(serial)
    adb.require_ready()
    before = parse_state(adb.run(SCRIPT).text)
    for binary in chosen.values():
        require_runnable(binary, before.machine.arch)
    with Folder(adb) as folder:
        turns = _prepare(cases, artifacts, chosen, folder, before)
        rows, lost = _measure(turns, plan, before, advance)
        after = None if lost else _state(adb)
    run = _make_run(plan, rows, before, after, lost)
    engines: dict[str, str] = {runtime: binary.engine for runtime, binary in chosen.items()}
    return msgspec.structs.replace(run, host=f"adb:{serial}", versions={**run.versions, **engines})


def _prepare(
    cases: Sequence[Case],
    artifacts: Sequence[Artifact],
    chosen: Mapping[Runtime, Binary],
    folder: Folder,
    state: PhoneState,
) -> list[Turns]:
    """Copy the tools, and of each artifact the file that its tool reads, into a folder of its number."""
    for binary in chosen.values():
        folder.send_tool(binary.path, binary.tool.name)
    numbers = {each.root: number for number, each in enumerate(artifacts)}
    for artifact in artifacts:
        suffix = chosen[artifact.manifest.runtime].tool.suffix
        folder.send([artifact.file(suffix)], str(numbers[artifact.root]))
    return [
        make_turns(
            case,
            numbers[case.artifact.root],
            chosen[case.artifact.manifest.runtime],
            folder,
            state,
        )
        for case in cases
    ]


def _make_run(
    plan: Plan, rows: Sequence[BenchRow], before: PhoneState, after: PhoneState | None, lost: str
) -> BenchRun:
    return BenchRun(
        machine=before.machine,
        date=dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        versions={"android": before.android or "unknown", "edgepose": __version__},
        load_before=before.load,
        load_after=after.load if after else None,
        sensors_before=before.sensors,
        sensors_after=after.sensors if after else None,
        rounds=plan.rounds,
        time_s=plan.time_s,
        warmup_runs=plan.warmup_runs,
        tier=plan.name,
        queries=plan.queries,
        iterations=plan.exact_runs,
        partial=lost,
        rows=tuple(rows) if lost else with_speedup(rows),
    )


def _refuse_options(cases: Sequence[Case]) -> None:
    for case in cases:
        if case.options.accelerator != "cpu":
            raise InputError("--remote adb: measures on the CPU; leave out --accelerator")
        if case.options.precision not in {"f32", "f16"}:
            raise InputError(
                f"--remote adb: computes in f32 or f16, not {case.options.precision}; leave out --precision"
            )


def _measure(
    turns: Sequence[Turns], plan: Plan, state: PhoneState, advance: Callable[[str], object]
) -> tuple[list[BenchRow], str]:
    """Return the rows, and why some or rounds of theirs are missing; DeviceLostError before the first round's end."""
    warm = []
    for each in turns:
        warm.append(each.warm_up(plan.warmup_runs))
        advance(f"warm-up {each.case.artifact.name}")
    rounds: list[list[Printed]] = [[] for _ in turns]
    lost = ""
    try:
        for number, order in enumerate(schedule(len(turns), plan.rounds)):
            for index in order:
                rounds[index].append(turns[index].round(plan, number, warm[index]))
                advance(f"round {number + 1} {turns[index].case.artifact.name}")
    except DeviceLostError as error:
        if not any(rounds):
            raise
        lost = str(error)
    measured = zip(turns, warm, rounds, strict=True)
    return [phone_row(*each, state) for each in measured if each[2]], lost


def _state(adb: Adb) -> PhoneState | None:
    """Return the phone's state; None where it is lost now, after its rows were measured."""
    try:
        return parse_state(adb.run(SCRIPT).text)
    except DeviceLostError:
        return None
