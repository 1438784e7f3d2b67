"""The user's benchmark binaries: which is of which runtime, whether the phone's CPU can run them, and their hashes."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.bench.remote.phone.benchmark_model import BENCHMARK_MODEL
from edge.bench.remote.phone.benchncnn import BENCHNCNN
from edge.bench.remote.phone.tool import Tool
from runtimes.errors import InputError
from runtimes.spec import Runtime

TOOLS: dict[Runtime, Tool] = {"ncnn": BENCHNCNN, "tflite": BENCHMARK_MODEL}
# e_machine of ELF, and those that run on an architecture
_ELF_NAMES = {3: "x86", 40: "32-bit ARM", 62: "x86-64", 183: "ARM64", 243: "RISC-V"}
_RUNS: dict[str, tuple[int, ...]] = {
    "aarch64": (183, 40),
    "armv8l": (40,),
    "armv7l": (40,),
    "x86_64": (62, 3),
}


@dataclass(frozen=True, slots=True)
class Binary:
    """A tool's executable on this machine; sha256: of the file, in hexadecimal."""

    tool: Tool
    path: Path
    sha256: str

    @property
    def engine(self) -> str:
        """The name of the row's engine; the tools do not print their version."""
        return f"{self.tool.name} {self.sha256[:12]}"


def choose_binaries(runtimes: Sequence[Runtime], paths: Sequence[Path]) -> Mapping[Runtime, Binary]:
    """Return the binary of each runtime: by the file's name, else the only file for the only runtime.

    Raises InputError for a runtime without a tool, one without a file, and a file of no runtime.
    """
    for runtime in runtimes:
        if runtime not in TOOLS:
            raise InputError(
                f"--remote adb: measures ncnn and tflite; for {runtime} there is no benchmark tool of Android's here"
            )
    by_name = {
        runtime: path
        for path in paths
        for runtime, tool in TOOLS.items()
        if tool.name in path.name.lower()
    }
    if len(paths) == 1 and not by_name and len(runtimes) == 1:
        by_name = {runtimes[0]: paths[0]}
    unknown = [str(path) for path in paths if path not in by_name.values()]
    if unknown:
        raise InputError(
            f"--remote-binary {unknown[0]}: name the file benchncnn or benchmark_model, and each once"
        )
    for runtime in runtimes:
        if runtime not in by_name:
            raise InputError(
                f"--remote adb: runs {TOOLS[runtime].name} for {runtime}; give your Android build of it with"
                " --remote-binary PATH (docs/benchmarking.md says how to build it)"
            )
    return {runtime: _read(TOOLS[runtime], by_name[runtime]) for runtime in runtimes}


def require_runnable(binary: Binary, arch: str) -> None:
    """Raise InputError where an ELF file is of a CPU that is not the phone's; other files are left to the phone."""
    with binary.path.open("rb") as file:
        head = file.read(20)
    machine = int.from_bytes(head[18:20], "little")
    if head[:4] == b"\x7fELF" and arch in _RUNS and machine not in _RUNS[arch]:
        built = _ELF_NAMES.get(machine, f"machine {machine}")
        raise InputError(
            f"{binary.path}: it is built for {built}, and the phone is {arch}; build it with Android's NDK"
        )


def _read(tool: Tool, path: Path) -> Binary:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"--remote-binary {path}: cannot be read ({error.strerror})") from error
    return Binary(tool, path, hashlib.sha256(data).hexdigest())
