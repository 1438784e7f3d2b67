"""Rows and runs of RUN.json from what the measured processes answered."""

import datetime as dt
import platform
import statistics
from collections.abc import Sequence

import msgspec

from devices.detect import detect_machine
from edge.bench.conditions import Conditions, read_conditions
from edge.bench.figures import figures
from edge.bench.limits.floor import least_bytes
from edge.bench.pipeline_row import PipelineRow
from edge.bench.process import Worker
from edge.bench.record import BenchRow, BenchRun, gate_passed, is_valid
from edge.bench.worker import Timed
from runtimes.artifact import REFERENCE, Artifact
from runtimes.parity_spec import ApParity, PxParity
from runtimes.registry import engine_version
from runtimes.version import __version__


def make_row(worker: Worker, warm: Timed, bursts: Sequence[Timed]) -> BenchRow:
    """Return the row of a worker: `warm` is its warm-up, `bursts` what its figures are of."""
    manifest, ready = worker.artifact.manifest, worker.ready
    walls = [wall for burst in bursts for wall in burst.wall_ns]
    engine = [own for burst in bursts for own in burst.engine_ns]
    found = figures(walls)
    cpu_wall = sum(burst.cpu_ns for burst in bursts) / sum(burst.span_ns for burst in bursts)
    cpu_wall /= ready.threads
    others = mean_others(bursts)
    px = (record.px_p95 for record in manifest.parity if isinstance(record, PxParity))
    ap = next((record for record in manifest.parity if isinstance(record, ApParity)), None)
    return BenchRow(
        artifact=worker.artifact.name,
        model=manifest.model,
        runtime=manifest.runtime,
        precision=manifest.precision,
        input_wh=manifest.image.wh,
        threads=ready.threads,
        arithmetic=ready.precision,
        accelerator=ready.accelerator,
        engine=ready.engine,
        placement=ready.placement,
        asked_threads=worker.options.threads,
        asked_arithmetic=worker.options.precision,
        **msgspec.structs.asdict(found),
        engine_p50_ms=statistics.median(engine) / 1e6 if engine else None,
        runs=len(walls),
        round_p50_ms=tuple(figures(burst.wall_ns).p50_ms for burst in bursts),
        warmup_runs=len(warm.wall_ns) + 1,
        warmup_ms=warm.span_ns / 1e6,
        load_ms=ready.load_ms,
        first_ms=ready.first_ms,
        peak_rss_bytes=bursts[-1].peak_rss_bytes,
        bytes=sum(record.bytes for record in manifest.files if record.path != REFERENCE),
        cpu_wall=cpu_wall,
        others=others,
        cpus=ready.cpus,
        valid=is_valid(cpu_wall, ready.accelerator, others, ready.cpus),
        px_p95=next(px, None),
        ap=ap.ap if ap else None,
        ap_on=ap.inputs if ap else "",
        passed=gate_passed(manifest),
        macs=manifest.cost.macs if manifest.cost else None,
        least_bytes=least_bytes(manifest.cost, manifest.precision) if manifest.cost else None,
    )


def mean_others(bursts: Sequence[Timed]) -> float | None:
    """Return the CPUs that other processes used, as the mean over the time of the bursts where it is known."""
    known = [(burst.others, burst.span_ns) for burst in bursts if burst.others is not None]
    total = sum(span for _, span in known)
    return sum(others * span for others, span in known) / total if total else None


def make_run(
    artifacts: Sequence[Artifact],
    rows: Sequence[BenchRow] = (),
    *,
    pipelines: Sequence[PipelineRow] = (),
    rounds: int,
    time_s: float,
    warmup_runs: int,
    before: Conditions,
) -> BenchRun:
    """Return the run that measured `rows`, at its end; before: the machine at its start."""
    after = read_conditions()
    return BenchRun(
        machine=detect_machine(),
        date=dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        versions=_versions(artifacts),
        load_before=before.load,
        load_after=after.load,
        sensors_before=before.sensors,
        sensors_after=after.sensors,
        rounds=rounds,
        time_s=time_s,
        warmup_runs=warmup_runs,
        rows=tuple(rows),
        pipelines=tuple(pipelines),
    )


def _versions(artifacts: Sequence[Artifact]) -> dict[str, str]:
    versions = {"python": platform.python_version(), "edgepose": __version__}
    for runtime in dict.fromkeys(artifact.manifest.runtime for artifact in artifacts):
        versions[runtime] = engine_version(runtime) or "unknown"
    return versions
