"""edgepose doctor: what is installed and really loads, and what is missing for which verbs, with the command."""

import importlib.metadata
import importlib.util
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click
from click.core import ParameterSource

from devices.detect import detect_machine
from devices.machine import Machine
from edge.bench.conditions import describe_busy, load_average, watch_others
from edge.bench.limits.describe import HEADER, limit_cells
from edge.bench.limits.record import Limits, load_limits
from edge.bench.remote.ssh import PYTHON
from edge.cli.chosen import FIRST_MODELS
from edge.cli.console import emit_json, emit_table, hint, progress, say
from edge.cli.health.accelerators import Asked, accelerator_notes, ask_engines
from edge.cli.health.drivers import driver_hints
from edge.cli.health.imports import Imported, try_imports
from edge.cli.health.system import schedulable_cores, system_hints
from edge.cli.opencv import installed_opencv, opencv_problem, usual_opencv
from edge.cli.options import PATH, FloatRange, json_option, setting, together
from edge.cli.remote.options import Remote
from edge.cli.signals import sigterm_exits
from edge.cli.verb import Verb
from runtimes.cache.names import latest, runtime_order
from runtimes.errors import InputError, MissingDependencyError
from runtimes.install.wheels import this_python, why_not
from runtimes.registry import ENGINES, engine_version, installed_engine

# To see whether other processes use the cores, before a minute of measuring.
WATCH_S = 1.0
BOARD_VERBS = "run, verify, bench, tune"
# distribution: (what needs it, the extra that installs it)
HOST_TOOLS: dict[str, tuple[str, str]] = {
    "torch": ("get, export, quantize, train, distill, demo", "export"),
    "onnx": ("export", "export"),
    "onnxsim": ("export", "export"),
    "pnnx": ("export to ncnn", "export"),
    "litert-torch": ("export to tflite", "export"),
    "ai-edge-quantizer": ("quantize tflite", "export"),
    "nncf": ("quantize openvino", "quantize"),
    "lightning-fabric": ("train, distill", "distill"),
    "matplotlib": ("train, distill", "distill"),
    "faster-coco-eval": ("eval, gates on AP (--val)", "eval"),
    "tensorboard": ("train, distill --tensorboard", "train"),
    "uvicorn": ("run --serve", "serve"),
    "starlette": ("run --serve", "serve"),
}
board_options = together(
    click.option(
        "--remote",
        metavar="ssh:USER@HOST",
        help="Describe a board instead, with --measure its limits: it needs Python, and what measures them numpy.",
    ),
    setting(["--remote-python"], str, PYTHON, "Python on the board, such as '~/pose/bin/python'."),
    click.option(
        "--ssh-config", type=PATH, help="Configuration for ssh in place of ~/.ssh/config."
    ),
    section="Remote",
)


@dataclass(frozen=True, slots=True)
class Package:
    """A package, its version (None: missing), what needs it, and the extra that installs it.

    module: to import for a check; "" for one that is not checked. problem: why that import fails, with the remedy; ""
    where it works or was not tried. devices: what an engine finds on this machine. unavailable: why a missing engine
    cannot be installed for this Python; "" where it can, or nothing is known.
    """

    package: str
    version: str | None
    role: str
    extra: str
    module: str = ""
    problem: str = ""
    devices: tuple[str, ...] = ()
    unavailable: str = ""

    @property
    def remedy(self) -> str:
        """The command that installs it; "" where it is there, or has no wheel for this Python."""
        wanted = f"'edgepose[{self.extra}]'" if self.extra else self.package
        return "" if self.version or self.unavailable else f"pip install {wanted}"

    @property
    def usable(self) -> bool:
        """Whether it is there and was not seen to fail."""
        return self.version is not None and not self.problem

    @property
    def loads(self) -> bool:
        """Whether it is there, and its import was not seen to fail."""
        return bool(self.version) and not self.problem

    @property
    def state(self) -> str:
        """Its version, and that it does not load; or that it is missing."""
        broken = ", does not load" if self.problem else ""
        return f"{self.version}{broken}" if self.version else "missing"


@click.command("doctor", cls=Verb)
@setting(
    ["--time-limit", "time_limit_s"],
    FloatRange(0, min_open=True),
    60,
    "Seconds that the imports of OpenCV and of all engines may take together; as many again for their accelerators.",
)
@click.option(
    "--measure",
    "measuring",
    is_flag=True,
    help="Measure peak arithmetic and memory bandwidth (a minute or two), and keep them for `bench`.",
)
@board_options
@json_option
@click.pass_context
def command(
    ctx: click.Context, time_limit_s: float, measuring: bool, remote: Remote, as_json: bool
) -> None:
    """Import what is installed, list what is missing and what for, and describe this machine, or a board.

    OpenCV and each engine are imported, and engines asked for accelerators, in processes of their own. Exit code 4
    where one is installed and does not load.
    """
    limited = ctx.get_parameter_source("time_limit_s") is not ParameterSource.DEFAULT
    ssh = remote.ssh(here={"--time-limit": limited})
    if measuring:
        from edge.cli.benching.limits import require_keepable

        require_keepable()
    if ssh:
        from edge.cli.remote.doctor import examine_board

        examine_board(remote, ssh, measuring=measuring, as_json=as_json)
        return
    machine = detect_machine()
    opencv, *engines = _with_imports([_opencv(), *_engines()], time_limit_s)
    tools = [Package(name, _version(name), *needed) for name, needed in HOST_TOOLS.items()]
    packages = [opencv, *engines, *tools]
    broken = [each for each in packages if each.problem]
    asked = ask_engines([each.module for each in engines if each.loads], time_limit_s)
    notes = [
        *(f"{each.package} does not load: {each.problem}" for each in broken),
        *(f"{each.package}: {each.unavailable}" for each in engines if each.unavailable),
        opencv_problem(installed_opencv()),
        _ability(engines, tools),
        *accelerator_notes(asked),
        *system_hints(Path("/"), os.environ, load_average() or 0.0, schedulable_cores()),
        *driver_hints(Path("/"), _may_open, _package_folders("onnxruntime_qnn")),
    ]
    notes = [note for note in notes if note]
    limits = _measure(machine, engines, notes) if measuring else _known_limits(machine, notes)
    _show(machine, packages, asked, limits, notes, as_json)
    for note in notes:
        say(note)
    hint("edgepose doctor, once that is mended" if broken else _next_step(engines))
    if broken:
        ctx.exit(MissingDependencyError.exit_code)


def _show(
    machine: Machine,
    packages: Sequence[Package],
    asked: Asked,
    limits: Limits | None,
    notes: Sequence[str],
    as_json: bool,
) -> None:
    if as_json:
        python = platform.python_version()
        rows = [asdict(each) for each in packages]
        found = {"python": python, "machine": machine, "packages": rows, "limits": limits}
        emit_json({**found, "accelerators": asked, "notes": notes})
        return
    cores = f"{machine.allowed_cores} cores allowed"
    click.echo(f"{machine.cpu_model or machine.arch}: {cores}, {' '.join(machine.isa)}")
    emit_table(
        ["package", "version", "finds", "needed for", "install"],
        [
            [each.package, each.state, ", ".join(each.devices), each.role, each.remedy]
            for each in packages
        ],
    )
    if limits:
        click.echo(f"limits of this machine, measured {limits.date}:")
        emit_table(HEADER, limit_cells(limits))


def _known_limits(machine: Machine, notes: list[str]) -> Limits | None:
    try:
        return load_limits(machine)
    except InputError as error:
        notes.append(str(error))
        return None


def _measure(machine: Machine, engines: Sequence[Package], notes: list[str]) -> Limits:
    """Measure the limits with the engines that load and keep them; raises GateError where no figure is valid."""
    from edge.bench.limits.measure import measure_limits, steps
    from edge.cli.benching.limits import IF_BUSY, keep_limits

    before = load_limits(machine)
    loading = [name for name in ENGINES for each in engines if each.extra == name and each.usable]
    busy = describe_busy(watch_others(WATCH_S), load_average(), schedulable_cores())
    if busy:
        say(f"{busy}; {IF_BUSY}")
    with sigterm_exits(), progress("measuring", steps(loading, machine)) as advance:
        found = measure_limits(loading, advance)
    limits = found.limits(machine, before)
    keep_limits(found, limits, notes)
    return limits


def _opencv() -> Package:
    installed = installed_opencv()
    role = ("pictures and video", "", "cv2")
    if installed:
        return Package(installed[0], _version(installed[0]), *role)
    # a cv2 that no distribution brought, such as apt's python3-opencv
    version = "unknown" if importlib.util.find_spec("cv2") else None
    return Package(usual_opencv(), version, *role)


def _engines() -> list[Package]:
    python = this_python()
    rows = []
    for runtime in runtime_order():
        module = installed_engine(runtime) or ENGINES[runtime].packages[0]
        name = module.replace("_", "-")
        version = engine_version(runtime)
        unavailable = why_not(name, python) if version is None and python else ""
        role = f"{BOARD_VERBS} of {runtime}"
        rows.append(Package(name, version, role, runtime, module, unavailable=unavailable))
    return rows


def _with_imports(packages: Sequence[Package], time_limit_s: float) -> list[Package]:
    """Return the packages with the outcome of importing those that are there."""
    names = {each.module: each.package for each in packages if each.version}
    found = try_imports(names, time_limit_s)
    outcomes = [found.get(each.module, Imported("")) for each in packages]
    return [
        replace(each, problem=outcome.problem, devices=outcome.devices)
        for each, outcome in zip(packages, outcomes, strict=True)
    ]


def _ability(engines: list[Package], tools: list[Package]) -> str:
    """Return in one line what this installation is good for, as far as it is not good for everything."""
    if not any(each.version for each in engines):
        return f"no engine is installed: {BOARD_VERBS} and eval of artifacts need one"
    if not tools[0].version:
        return (
            f"no torch, as on a board: {BOARD_VERBS}, eval of artifacts and `edgepose get FILE.tar` work here; "
            "run get NAME, export, quantize, train and distill on a host"
        )
    missing = [each for each in (*engines, *tools) if not each.version]
    extras = dict.fromkeys(each.extra for each in missing if each.remedy)
    names = ", ".join(f"{each.package} ({each.role})" for each in missing)
    install = f"; run: pip install 'edgepose[{','.join(extras)}]'" if extras else ""
    return f"missing: {names}{install}" if missing else ""


def _next_step(engines: list[Package]) -> str:
    if not any(each.version for each in engines):
        found = [each.remedy for each in engines if each.remedy]
        return found[0] if found else "see docs/boards.md: which engine"
    try:
        cached = latest(lambda manifest: manifest.gives_keypoints)
    except MissingDependencyError as error:
        return f"pip install 'edgepose[{error.extra}]'"
    return "edgepose run PHOTO.jpg --out poses.jpg" if cached else FIRST_MODELS


def _may_open(device: Path) -> bool:
    return os.access(device, os.R_OK | os.W_OK)


def _package_folders(package: str) -> list[Path]:
    """Return the folders of a package, without importing it; [] where it is not installed."""
    found = importlib.util.find_spec(package)
    return [Path(each) for each in (found.submodule_search_locations or ())] if found else []


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
