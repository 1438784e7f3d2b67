"""One case on a phone: its tool started with the number of runs that a round takes, and the row of all its rounds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from edge.bench.measure import Case, Plan
from edge.bench.record import BenchRow, gate_passed
from edge.bench.remote.phone.adb import TAIL
from edge.bench.remote.phone.binaries import Binary
from edge.bench.remote.phone.folder import Folder
from edge.bench.remote.phone.state import PhoneState
from edge.bench.remote.phone.tool import Ask, Printed
from edge.bench.remote.streams import MOST_PRINTED
from runtimes.artifact import REFERENCE
from runtimes.errors import EngineError
from runtimes.parity_spec import ApParity, PxParity
from runtimes.threads import DEFAULT_THREADS

# The first run of a model has no time to expect; later ones are lost beyond a multiple of theirs.
FIRST_S, SLACK_S, SLACK = 600.0, 120.0, 4.0


@dataclass(frozen=True, slots=True)
class Turns:
    """A case, the binary that measures it, and what both are asked for; mask: of `taskset`, "" for all cores."""

    case: Case
    binary: Binary
    folder: Folder
    ask: Ask
    mask: str

    def warm_up(self, runs: int) -> Printed:
        """Run the tool once, for its first figures and the number of runs that later rounds take."""
        return self._run(replace(self.ask, runs=runs, memory=True), FIRST_S)

    def round(self, plan: Plan, number: int, warm: Printed) -> Printed:
        """Run the tool for round `number`, from 0."""
        runs = runs_of(plan, number, warm.mean_ms)
        return self._run(replace(self.ask, runs=runs), SLACK_S + SLACK * runs * warm.mean_ms / 1e3)

    def _run(self, ask: Ask, limit_s: float) -> Printed:
        tool = self.binary.tool
        bound = ["taskset", self.mask] if self.mask else []
        line = ["env", "LD_LIBRARY_PATH=.", *bound, f"./{tool.name}", *tool.command(ask)]
        done = self.folder.run(line, limit_s)
        where = f"adb:{self.folder.adb.serial}: {self.case.artifact.name}"
        said = " ".join(done.text.split())[-TAIL:] or "no output"
        if done.code is None:
            raise EngineError(
                f"{where}: {tool.name} printed over {MOST_PRINTED >> 20} MB there and was stopped; "
                f"name another build of it ({said})"
            )
        if done.code:
            raise EngineError(f"{where}: {tool.name} ended with code {done.code} there ({said})")
        try:
            return tool.parse(done.text, ask)
        except EngineError as error:
            raise EngineError(f"{where}: {error} ({said})") from error


def runs_of(plan: Plan, number: int, mean_ms: float) -> int:
    """Return the runs of round `number`: those of the plan, or as many as fill its time at `mean_ms` each."""
    wanted = plan.exact_runs or plan.queries or 0
    share = max(1, wanted * (number + 1) // plan.rounds - wanted * number // plan.rounds)
    if plan.exact_runs:
        return share
    runs = max(share, ceil(plan.time_s / plan.rounds * 1e3 / mean_ms))
    if plan.most_s is None:
        return runs
    return min(runs, max(1, int(plan.most_s / plan.rounds * 1e3 / mean_ms)))


def make_turns(case: Case, number: int, binary: Binary, folder: Folder, state: PhoneState) -> Turns:
    """Return the turns of a case whose artifact is in folder `number`: on the big cores where these suffice."""
    topology, manifest = state.topology, case.artifact.manifest
    big = [cpu for each in topology.clusters if each.role == "big" for cpu in each.cpus]
    threads = case.options.threads or min(DEFAULT_THREADS, topology.big_cores)
    bound = bool(topology.by) and threads <= len(big)
    tool = binary.tool
    ask = Ask(
        model=f"{number}/{case.artifact.file(tool.suffix).name}",
        wh=manifest.image.wh,
        threads=threads,
        runs=1,
        little=not bound,
        half=case.options.precision == "f16",
    )
    mask = f"{sum(1 << cpu for cpu in big):x}" if bound else ""
    return Turns(case, binary, folder, ask, mask)


def phone_row(
    turns: Turns, warm: Printed, rounds: Sequence[Printed], state: PhoneState
) -> BenchRow:
    """Return the row of all rounds: means and minima add up, a median of several rounds is not known."""
    artifact, options = turns.case.artifact, turns.case.options
    manifest, tool = artifact.manifest, turns.binary.tool
    runs = sum(each.runs for each in rounds)
    medians = [each.p50_ms for each in rounds if each.p50_ms is not None]
    warmup = warm.warmup_runs
    ap = next((record for record in manifest.parity if isinstance(record, ApParity)), None)
    return BenchRow(
        artifact=artifact.name,
        model=manifest.model,
        runtime=manifest.runtime,
        precision=manifest.precision,
        input_wh=manifest.image.wh,
        threads=rounds[-1].threads or turns.ask.threads,
        arithmetic=tool.arithmetic(options.precision, state.machine.isa),
        accelerator=options.accelerator,
        engine=turns.binary.engine,
        asked_threads=options.threads,
        asked_arithmetic=options.precision,
        p50_ms=medians[0] if len(rounds) == len(medians) == 1 else None,
        p90_ms=None,
        p99_ms=None,
        mean_ms=sum(each.runs * each.mean_ms for each in rounds) / runs,
        min_ms=min(each.min_ms for each in rounds),
        runs=runs,
        round_p50_ms=tuple(medians) if len(medians) == len(rounds) else (),
        round_mean_ms=tuple(each.mean_ms for each in rounds),
        warmup_runs=warm.runs + (warmup or 0),
        warmup_ms=None if warm.warmup_ms is None else warm.warmup_ms + warm.runs * warm.mean_ms,
        load_ms=warm.load_ms,
        first_ms=warm.first_ms,
        peak_rss_bytes=warm.peak_bytes,
        bytes=sum(record.bytes for record in manifest.files if record.path != REFERENCE),
        cpu_wall=None,
        valid=None,
        note=tool.note,
        px_p95=next((each.px_p95 for each in manifest.parity if isinstance(each, PxParity)), None),
        ap=ap.ap if ap else None,
        ap_on=ap.inputs if ap else "",
        passed=gate_passed(manifest),
    )
