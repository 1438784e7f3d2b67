"""Loader messages as glibc, CPython and NumPy write them, explained in one line."""

import pytest

from runtimes.install.import_errors import broken_import, explain_import
from runtimes.install.libraries import system_package


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (
            "libGL.so.1: cannot open shared object file: No such file or directory",
            ("libGL.so.1 is missing", "apt install libgl1"),
        ),
        (
            "/opt/site/x.libs/libgomp.so.1: cannot open shared object file: No such file",
            ("libgomp.so.1 is missing", "apt install libgomp1"),
        ),
        ("libxcb-icccm.so.4: cannot open shared object file", ("apt install libxcb-icccm4",)),
        ("libunheard.so.7: cannot open shared object file", ("apt-file search libunheard.so.7",)),
        ("libcudart.so.12: cannot open shared object file", ("CUDA", "its build for the CPU")),
        (
            "/lib/aarch64-linux-gnu/libc.so.6: version `GLIBC_2.35' not found (required by /x.so)",
            ("built for glibc 2.35", "older version of pkg"),
        ),
        (
            "/usr/lib/libstdc++.so.6: version `GLIBCXX_3.4.30' not found (required by /x.so)",
            ("GLIBCXX_3.4.30", "apt install libstdc++6"),
        ),
        (
            "/usr/lib/aarch64-linux-gnu/libgomp.so.1: cannot allocate memory in static TLS block",
            ("export LD_PRELOAD=/usr/lib/aarch64-linux-gnu/libgomp.so.1",),
        ),
        ("/x/cv2.abi3.so: wrong ELF class: ELFCLASS32", ("another processor",)),
        ("/x.so: undefined symbol: _ZN2cv3MatE", ("undefined symbol: _ZN2cv3MatE", "mixed")),
        ("numpy.core.multiarray failed to import", ("another NumPy", "pip install -U pkg numpy")),
        ("/x.so: failed to map segment from shared object", ("noexec",)),
        ("something\nnew", ("something new; run: pip install --force-reinstall pkg",)),
    ],
)
def test_a_known_cause_has_its_remedy(reason, said) -> None:
    told = explain_import("pkg", reason)
    assert all(each in told for each in said)
    assert "\n" not in told


def test_the_cause_may_have_been_printed_before_the_exception() -> None:
    told = explain_import(
        "pkg", "ImportError: see above", "libz.so.1: cannot open shared object file"
    )
    assert "apt install zlib1g" in told


def test_an_unknown_library_has_no_package() -> None:
    assert system_package("libfoo.so.1") == ""


def test_missing_and_broken_are_two_things() -> None:
    missing = broken_import("ncnn", "ncnn", ModuleNotFoundError("No module", name="ncnn"))
    assert str(missing) == "ncnn is not installed; run: pip install 'edgepose[ncnn]'"
    broken = broken_import(
        "ncnn", "ncnn", ImportError("libgomp.so.1: cannot open shared object file")
    )
    assert "ncnn is installed, but cannot be loaded: libgomp.so.1 is missing" in str(broken)
    inner = broken_import("ncnn", "ncnn", ModuleNotFoundError("No module 'tqdm'", name="tqdm"))
    assert "is installed, but" in str(inner)
    assert broken.exit_code == 4
