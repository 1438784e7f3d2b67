"""Which file is which tool, and files that the phone's CPU cannot run."""

import hashlib
from pathlib import Path

import pytest

from edge.bench.remote.phone.binaries import choose_binaries, require_runnable
from runtimes.errors import InputError


def tool(folder: Path, name: str, data: bytes = b"") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def elf(machine: int) -> bytes:
    """The start of an ELF file: class 64, little endian, a shared object, e_machine."""
    return b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00" + machine.to_bytes(2, "little")


def test_tools_are_known_by_their_names(tmp_path) -> None:
    ncnn, tflite = tool(tmp_path, "benchncnn-2026"), tool(tmp_path, "android_benchmark_model")
    found = choose_binaries(["tflite", "ncnn"], [ncnn, tflite])
    assert {runtime: binary.path for runtime, binary in found.items()} == {
        "ncnn": ncnn,
        "tflite": tflite,
    }
    assert found["ncnn"].engine == f"benchncnn {hashlib.sha256(b'').hexdigest()[:12]}"


def test_one_file_for_one_runtime_may_have_any_name(tmp_path) -> None:
    path = tool(tmp_path, "a.out")
    assert choose_binaries(["tflite"], [path])["tflite"].path == path


@pytest.mark.parametrize(
    ("runtimes", "names", "said"),
    [
        (["onnxruntime"], ["benchncnn"], "measures ncnn and tflite; for onnxruntime"),
        (["ncnn"], [], "runs benchncnn for ncnn"),
        (["ncnn", "tflite"], ["benchncnn"], "runs benchmark_model for tflite"),
        (["ncnn", "tflite"], ["benchncnn", "a.out"], "a.out: name the file"),
        (["ncnn"], ["benchncnn", "benchncnn-2"], "each once"),
        (["ncnn"], ["benchmark_model"], "runs benchncnn for ncnn"),
    ],
)
def test_missing_and_unknown_files_are_named(tmp_path, runtimes, names, said) -> None:
    with pytest.raises(InputError, match=said):
        choose_binaries(runtimes, [tool(tmp_path, name) for name in names])


@pytest.mark.parametrize(
    ("machine", "arch", "built"),
    [(62, "aarch64", "x86-64"), (183, "armv7l", "ARM64"), (243, "aarch64", "RISC-V")],
)
def test_a_binary_of_another_cpu_is_refused(tmp_path, machine, arch, built) -> None:
    path = tool(tmp_path, "benchncnn", elf(machine))
    binary = choose_binaries(["ncnn"], [path])["ncnn"]
    with pytest.raises(InputError, match=f"built for {built}, and the phone is {arch}"):
        require_runnable(binary, arch)


@pytest.mark.parametrize(
    ("data", "arch"),
    [
        (elf(183), "aarch64"),
        (elf(40), "aarch64"),
        (elf(62), "x86_64"),
        (elf(62), "mips"),
        (b"#!/bin/sh\n", "aarch64"),
        (b"", "aarch64"),
    ],
)
def test_other_binaries_are_left_to_the_phone(tmp_path, data, arch) -> None:
    binary = choose_binaries(["ncnn"], [tool(tmp_path, "benchncnn", data)])["ncnn"]
    require_runnable(binary, arch)
