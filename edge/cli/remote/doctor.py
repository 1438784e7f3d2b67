"""`edgepose doctor --remote`: which board this is, its engines and its limits, which are measured over SSH."""

from dataclasses import asdict, dataclass

import click

from devices.machine import Machine
from edge.bench.conditions import describe_busy
from edge.bench.limits.describe import HEADER, limit_cells
from edge.bench.limits.record import Limits, load_limits
from edge.bench.remote.board import Board
from edge.bench.remote.facts import Facts
from edge.bench.remote.limits import (
    NUMPY,
    engines_there,
    facts_of,
    measure_board,
    require_numpy,
)
from edge.bench.remote.ssh import Ssh, quoted
from edge.cli.benching.limits import IF_BUSY, MEASURE, keep_limits
from edge.cli.console import command_line, emit_json, emit_table, hint, progress, say
from edge.cli.remote.options import Remote
from edge.cli.signals import sigterm_exits
from runtimes.errors import InputError
from runtimes.registry import ENGINES


@dataclass(frozen=True, slots=True)
class BoardPackage:
    """A package of a board: whether its Python finds it, and the command that installs it there."""

    package: str
    found: bool
    install: str


def examine_board(remote: Remote, ssh: Ssh, *, measuring: bool, as_json: bool) -> None:
    """Describe a board, and measure its limits where that was asked for; its directory is removed however this ends."""
    notes: list[str] = []
    login = ssh.target.login
    with sigterm_exits(), Board(ssh, remote.remote_python) as board:
        facts = facts_of(board)
        machine = facts.machine()
        limits = _known(machine, login, notes, must_read=measuring)
        if measuring:
            require_numpy(board, facts)
            if busy := describe_busy(None, facts.load, machine.allowed_cores):
                say(f"{login}: {busy}; {IF_BUSY}")
            with progress(f"measuring {login}", None) as advance:
                found = measure_board(board, facts, advance)
            limits = found.limits(machine, limits, login)
            keep_limits(found, limits, notes, remote.words)
    packages = _packages(facts, remote.remote_python)
    _show(login, facts, machine, packages, limits, notes, as_json)
    for note in notes:
        say(note)
    hint(command_line(*(("bench", "ARTIFACT") if limits else MEASURE), *remote.words))


def _known(machine: Machine, login: str, notes: list[str], *, must_read: bool) -> Limits | None:
    try:
        return load_limits(machine, login)
    except InputError as error:
        if must_read:
            raise
        notes.append(str(error))
        return None


def _packages(facts: Facts, python: str) -> list[BoardPackage]:
    there = engines_there(facts)
    found = {NUMPY: NUMPY not in facts.missing}
    for runtime, engine in ENGINES.items():
        name = next((each for each in engine.packages if each not in facts.missing), None)
        found[(name or engine.packages[0]).replace("_", "-")] = runtime in there
    return [
        BoardPackage(name, is_there, "" if is_there else f"{quoted(python)} -m pip install {name}")
        for name, is_there in found.items()
    ]


def _show(
    login: str,
    facts: Facts,
    machine: Machine,
    packages: list[BoardPackage],
    limits: Limits | None,
    notes: list[str],
    as_json: bool,
) -> None:
    if as_json:
        rows = [asdict(each) for each in packages]
        found = {"host": login, "python": facts.python, "machine": machine, "packages": rows}
        emit_json({**found, "limits": limits, "notes": notes})
        return
    cores = f"{machine.allowed_cores} cores allowed"
    click.echo(
        f"{login}: {machine.cpu_model or machine.arch}: {cores}, {' '.join(machine.isa)}; Python {facts.python}"
    )
    emit_table(
        ["package", "there", "install on it"],
        [[each.package, "yes" if each.found else "no", each.install] for each in packages],
    )
    if limits:
        click.echo(f"limits of {login}, measured {limits.date}:")
        emit_table(HEADER, limit_cells(limits))
