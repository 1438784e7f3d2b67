"""Programs for boards and Python 3.6: syntax, the modules and functions they use, the oldest Python at hand."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from device_files import read_device

from edge.bench.limits.job import PROGRAM, Job
from edge.bench.limits.measure import last_cache_bytes, read_found
from edge.bench.limits.record import machine_key
from edge.bench.remote.facts import Facts
from edge.bench.remote.parcel import RUNNER

PROGRAMS = pytest.mark.parametrize("program", [RUNNER, PROGRAM], ids=lambda path: path.stem)
# all in Python 3.6; the last line are the engines, and the array library that each of them needs
MODULES = {
    *(
        "gc",
        "glob",
        "importlib",
        "importlib.util",
        "itertools",
        "json",
        "os",
        "platform",
        "sys",
        "threading",
        "time",
    ),
    *("ncnn", "onnxruntime", "numpy"),
}
# of those modules and of str, bytes and dict, what came after 3.6
LATER = {
    *("perf_counter_ns", "process_time_ns", "time_ns", "thread_time", "monotonic_ns"),
    *("removeprefix", "removesuffix", "isascii", "pairwise", "batched", "freeze", "unfreeze"),
    *(
        "memfd_create",
        "waitstatus_to_exitcode",
        "add_dll_directory",
        "cpu_percent",
        "process_cpu_count",
    ),
    *("freedesktop_os_release", "orig_argv", "stdlib_module_names", "metadata", "resources"),
    *("excepthook", "get_native_id", "native_id"),
    # of numpy, what came after 1.13, the last that old JetPacks' Python has from Ubuntu
    *("default_rng", "Generator", "from_dlpack", "sliding_window_view", "concat"),
}


def tree(program: Path) -> ast.Module:
    return ast.parse(program.read_text(), feature_version=(3, 6))


@PROGRAMS
def test_it_imports_nothing_but_what_python_3_6_and_the_engines_have(program) -> None:
    nodes = list(ast.walk(tree(program)))
    imports = [node for node in nodes if isinstance(node, ast.Import)]
    assert {alias.name for node in imports for alias in node.names} <= MODULES
    assert not [node for node in nodes if isinstance(node, ast.ImportFrom)]


@PROGRAMS
def test_it_calls_nothing_that_came_later(program) -> None:
    nodes = list(ast.walk(tree(program)))
    names = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    assert not names & LATER
    # annotations of today's kind, walrus and positional-only arguments are newer than 3.6
    assert not [node for node in nodes if isinstance(node, (ast.AnnAssign, ast.NamedExpr))]
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    assert not any(each.args.posonlyargs for each in functions)


def oldest_python() -> str:
    """The oldest Python from 3.6 on that runs here (pyenv has names of others)."""
    for minor in range(6, sys.version_info[1]):
        own = sorted(Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python"))
        found = str(own[0]) if own else shutil.which(f"python3.{minor}")
        command = [found, "-c", ""]
        if found and subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return found
    return sys.executable


@PROGRAMS
def test_the_oldest_python_at_hand_compiles_it(program) -> None:
    code = "import sys; compile(open(sys.argv[1]).read(), sys.argv[1], 'exec')"
    subprocess.run([oldest_python(), "-I", "-c", code, program], check=True)


def test_the_oldest_python_at_hand_gives_the_facts() -> None:
    command = [oldest_python(), "-I", RUNNER, "facts", "no_such_engine"]
    done = subprocess.run(command, capture_output=True, check=True)
    facts = msgspec.json.decode(done.stdout, type=Facts)
    assert facts.python.startswith("3.")
    assert facts.missing == ("no_such_engine",)


def test_the_machine_is_detected_from_the_texts_of_the_board() -> None:
    facts = Facts(
        arch="aarch64",
        python="3.6.9",
        logical_cores=4,
        allowed_cores=3,
        load=None,
        files={
            "/proc/cpuinfo": "Features : fp asimd\nCPU implementer : 0x41\nCPU part : 0xd07\n",
            "/proc/device-tree/model": "NVIDIA Jetson Nano Developer Kit",
            "/proc/meminfo": "MemTotal: 4059712 kB\n",
            "/proc/../../etc/passwd": "not a file of a machine's description",
            "/etc/passwd": "nor this",
        },
        missing=(),
    )
    machine = facts.machine()
    assert machine.arch == "aarch64"
    assert machine.cpu_model == "NVIDIA Jetson Nano Developer Kit (1x Cortex-A57)"
    assert (machine.logical_cores, machine.allowed_cores) == (4, 3)
    assert machine.memory_bytes == 4059712 * 1024


def facts_of(name: str, allowed_cores: int) -> Facts:
    """The facts of a real device, by the files that the runner reads of it."""
    device = read_device(name)
    return Facts(
        arch="aarch64",
        python="3.11.2",
        logical_cores=4,
        allowed_cores=allowed_cores,
        load=None,
        files={f"/{path}": text for path, text in device.files.items()},
        missing=(),
    )


def test_limits_of_a_board_are_of_no_other() -> None:
    boards = [
        facts_of("raspberry-pi-4", 4),
        facts_of("raspberry-pi-5", 4),
        facts_of("raspberry-pi-5", 2),
        facts_of("jetson-nano-jetpack4", 4),
    ]
    keys = [machine_key(each.machine(), "board") for each in boards]
    assert len({(each.cpu_model, each.cores) for each in keys}) == len(boards)
    assert "Raspberry Pi 4" in keys[0].cpu_model
    assert machine_key(facts_of("raspberry-pi-4", 4).machine(), "other") == keys[0]


def test_the_last_cache_is_read_from_the_facts() -> None:
    facts = facts_of("raspberry-pi-5", 4)
    sizes = {"index0": "64K\n", "index2": "512K\n", "index3": "2048K\n"}
    folder = "/sys/devices/system/cpu/cpu0/cache"
    files = {f"{folder}/{name}/size": text for name, text in sizes.items()}
    with msgspec.structs.replace(facts, files=files).root() as root:
        assert last_cache_bytes(root) == 2 << 20


def test_the_program_of_numpy_is_run_without_any_package_of_ours(tmp_path) -> None:
    copy = shutil.copy(PROGRAM, tmp_path)
    job = msgspec.json.encode(Job(side=64, set_bytes=(4096,), threads=1, seconds=0.0)).decode()
    done = subprocess.run([sys.executable, "-I", copy, job], capture_output=True, check=True)
    found = read_found(done.stdout)
    assert found.product.per_s > 0
    assert len(found.reads) == 1


def test_it_is_run_without_any_package_of_ours(tmp_path) -> None:
    copy = shutil.copy(RUNNER, tmp_path)
    done = subprocess.run(
        [sys.executable, "-I", copy, "serve"], input=b"", capture_output=True, check=True
    )
    assert done.stdout == b""
