"""Several sources of one run: checks before work, the run, and its report."""

import time

from edge.cli.console import say
from edge.cli.outputs import Outputs
from edge.cli.running.batch import check_batch, run_batch
from edge.cli.running.plan import Plan
from edge.cli.running.report import report_sources
from edge.cli.running.setup import Setup
from edge.cli.running.together import check_together, run_together
from edge.types import counted
from runtimes.errors import InputError


def check_many(plan: Plan, outputs: Outputs, *, show: bool, force: bool) -> None:
    """Raise InputError for what cannot be written, before any work."""
    if show:
        raise InputError("--show shows one source; leave it out, or run one source")
    check = check_batch if plan.way == "batch" else check_together
    check(outputs, plan.sources, force=force)


def run_many(setup: Setup, plan: Plan) -> int:
    """Run all sources and report each; returns the exit code, and raises SourceError where some have failed."""
    began = time.perf_counter()
    run = run_batch if plan.way == "batch" else run_together
    reports, code = run(setup, plan.sources)
    setup.total.wall_s = time.perf_counter() - began
    report_sources(setup, reports)
    if code:
        kept = "what was finished is kept" if plan.way == "batch" else "what was written is kept"
        say(f"edgepose: interrupted after {counted(setup.total.frames, 'frame')}; {kept}")
    return code
