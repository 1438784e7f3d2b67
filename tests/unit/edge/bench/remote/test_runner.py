"""The runner and Python 3.6: its syntax, the modules and functions it uses, a run by the oldest Python at hand."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec

from edge.bench.remote.facts import Facts
from edge.bench.remote.parcel import RUNNER

TREE = ast.parse(RUNNER.read_text(), feature_version=(3, 6))
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
}


def test_it_imports_nothing_but_what_python_3_6_and_the_engines_have() -> None:
    imports = [node for node in ast.walk(TREE) if isinstance(node, ast.Import)]
    assert {alias.name for node in imports for alias in node.names} <= MODULES
    assert not [node for node in ast.walk(TREE) if isinstance(node, ast.ImportFrom)]


def test_it_calls_nothing_that_came_later() -> None:
    names = {node.attr for node in ast.walk(TREE) if isinstance(node, ast.Attribute)}
    assert not names & LATER
    # annotations of today's kind, walrus and positional-only arguments are newer than 3.6
    assert not [node for node in ast.walk(TREE) if isinstance(node, (ast.AnnAssign, ast.NamedExpr))]
    functions = [node for node in ast.walk(TREE) if isinstance(node, ast.FunctionDef)]
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


def test_it_is_run_without_any_package_of_ours(tmp_path) -> None:
    copy = shutil.copy(RUNNER, tmp_path)
    done = subprocess.run(
        [sys.executable, "-I", copy, "serve"], input=b"", capture_output=True, check=True
    )
    assert done.stdout == b""
