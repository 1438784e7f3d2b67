"""edgepose doctor: installed engines and converters, and the command that installs a missing one. Loads no engine."""

import importlib.metadata
import platform

import click

from devices.detect import detect_machine
from devices.profile import Machine
from edge.cli.console import emit_json, emit_table, hint
from edge.cli.options import json_option
from runtimes.registry import ENGINES, engine_version

# distribution: the extra that installs it
HOST_TOOLS: dict[str, str] = {
    "torch": "export",
    "onnx": "export",
    "onnxsim": "export",
    "pnnx": "export",
    "litert-torch": "export",
    "ai-edge-quantizer": "export",
    "faster-coco-eval": "eval",
}


@click.command("doctor")
@json_option
def command(as_json: bool) -> None:
    """Check which engines and converters are installed, and describe this machine."""
    machine = detect_machine()
    rows: list[tuple[str, str | None, str, str]] = [
        (ENGINES[runtime].packages[0], engine_version(runtime), "runs artifacts", runtime)
        for runtime in ENGINES
    ]
    rows += [(name, _version(name), "makes artifacts", extra) for name, extra in HOST_TOOLS.items()]
    if as_json:
        tools = [
            {"package": name, "version": version, "role": role, "extra": extra}
            for name, version, role, extra in rows
        ]
        emit_json({"python": platform.python_version(), "machine": machine, "packages": tools})
    else:
        _show(machine, rows)
    hint(
        "edgepose demo"
        if all(version for _, version, _, _ in rows)
        else "install what is missing, as shown"
    )


def _show(machine: Machine, rows: list[tuple[str, str | None, str, str]]) -> None:
    isa = " ".join(machine.isa)
    click.echo(f"{machine.cpu_model or machine.arch}: {machine.allowed_cores} cores allowed, {isa}")
    emit_table(
        ["package", "version", "role", "install"],
        [
            [
                name,
                version or "missing",
                role,
                "" if version else f"pip install 'edgepose[{extra}]'",
            ]
            for name, version, role, extra in rows
        ],
    )


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
