"""edgepose doctor: what is installed, and what is missing for which verbs, with the command. Loads no engine."""

import importlib.metadata
import platform
from dataclasses import asdict, dataclass

import click

from devices.detect import detect_machine
from edge.cli.chosen import FIRST_MODELS
from edge.cli.console import emit_json, emit_table, hint, say
from edge.cli.opencv import installed_opencv, opencv_problem, usual_opencv
from edge.cli.options import json_option
from runtimes.cache.names import latest, runtime_order
from runtimes.errors import MissingDependencyError
from runtimes.registry import ENGINES, engine_version

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
}


@dataclass(frozen=True, slots=True)
class Package:
    """A package, its version (None: missing), what needs it, and the extra that installs it."""

    package: str
    version: str | None
    role: str
    extra: str

    @property
    def remedy(self) -> str:
        """The command that installs it; "" where it is there."""
        wanted = f"'edgepose[{self.extra}]'" if self.extra else self.package
        return "" if self.version else f"pip install {wanted}"


@click.command("doctor")
@json_option
def command(as_json: bool) -> None:
    """Check what is installed and what each missing package is needed for, and describe this machine."""
    machine = detect_machine()
    engines = [
        Package(
            ENGINES[runtime].packages[0],
            engine_version(runtime),
            f"{BOARD_VERBS} of {runtime}",
            runtime,
        )
        for runtime in runtime_order()
    ]
    tools = [Package(name, _version(name), *needed) for name, needed in HOST_TOOLS.items()]
    opencv = installed_opencv()
    pictures = Package(
        *(opencv[0] if opencv else usual_opencv(), _version(opencv[0]) if opencv else None),
        *("pictures and video", ""),
    )
    packages = [pictures, *engines, *tools]
    notes = [note for note in (opencv_problem(opencv), _ability(engines, tools)) if note]
    if as_json:
        emit_json(
            {
                "python": platform.python_version(),
                "machine": machine,
                "packages": [asdict(each) for each in packages],
                "notes": notes,
            }
        )
    else:
        isa = " ".join(machine.isa)
        cores = f"{machine.allowed_cores} cores allowed"
        click.echo(f"{machine.cpu_model or machine.arch}: {cores}, {isa}")
        emit_table(
            ["package", "version", "needed for", "install"],
            [
                [each.package, each.version or "missing", each.role, each.remedy]
                for each in packages
            ],
        )
    for note in notes:
        say(note)
    hint(_next_step(engines))


def _ability(engines: list[Package], tools: list[Package]) -> str:
    """Return in one line what this installation is good for, as far as it is not good for everything."""
    if not any(each.version for each in engines):
        return f"no engine is installed: {BOARD_VERBS} and eval of artifacts need one"
    if not tools[0].version:
        return (
            f"no torch, as on a board: {BOARD_VERBS}, eval of artifacts and `edgepose get FILE.tar` work here; "
            "run get NAME, export, quantize, train and distill on a host"
        )
    missing = [each.package for each in (*engines, *tools) if not each.version]
    return f"missing: {', '.join(missing)}" if missing else ""


def _next_step(engines: list[Package]) -> str:
    if not any(each.version for each in engines):
        return engines[0].remedy
    try:
        cached = latest(lambda manifest: manifest.gives_keypoints)
    except MissingDependencyError as error:
        return f"pip install 'edgepose[{error.extra}]'"
    return "edgepose run PHOTO.jpg --out poses.jpg" if cached else FIRST_MODELS


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
