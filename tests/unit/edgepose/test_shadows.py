"""`import edgepose` and `python -m edgepose` beside a user's own files of our packages' names."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import edge
import edgepose
from runtimes.version import __version__

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("edge", "export", "quantize", "runtimes", "devices")


def python(*args: str, cwd: Path, path: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    """Run Python in a folder; `path` goes before everything installed."""
    return subprocess.run(
        [sys.executable, *args],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": f"{path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_is_edge_under_another_name():
    assert edgepose.__all__ == edge.__all__
    assert edgepose.__version__ == edge.__version__ == __version__
    for name in edge.__all__:
        assert getattr(edgepose, name) is getattr(edge, name)
    assert dir(edgepose) == sorted(edge.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        getattr(edgepose, "nothing")  # noqa: B009 - what a typo does


def test_a_star_import_gives_every_public_name(tmp_path):
    code = "from edgepose import *; print(load.__name__, Pipeline.__name__, __version__)"
    done = python("-c", code, cwd=tmp_path)
    assert done.stdout.split() == ["load", "Pipeline", __version__], done.stderr


def test_importing_it_loads_no_array_library_and_no_opencv(tmp_path):
    done = python("-c", "import edgepose, sys; print(*sys.modules)", cwd=tmp_path)
    loaded = set(done.stdout.split())
    assert {"edgepose"} <= loaded
    assert not loaded & {"numpy", "cv2", "click", "msgspec"}


@pytest.mark.parametrize("name", PACKAGES)
@pytest.mark.parametrize("file", ["{}.py", "{}/__init__.py"])
def test_importing_it_beside_a_file_of_our_packages_name_names_that_file(tmp_path, name, file):
    mine = tmp_path / file.format(name)
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("")
    done = python("-c", "import edgepose", cwd=tmp_path)
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert said.startswith("edgepose.shadows.ShadowedPackageError: ")
    assert f"{mine} hides edgepose's package '{name}'" in said
    code = "try:\n import edgepose\nexcept ImportError as error: print(error)"
    assert str(mine) in python("-c", code, cwd=tmp_path).stdout


def test_a_script_beside_such_a_file_gets_the_same_error(tmp_path):
    (tmp_path / "runtimes.py").write_text("")
    (tmp_path / "script.py").write_text("import edgepose")
    done = python(str(tmp_path / "script.py"), cwd=ROOT)
    assert f"{tmp_path / 'runtimes.py'} hides" in done.stderr


def test_one_that_is_imported_already_is_named(tmp_path):
    (tmp_path / "export.py").write_text("")
    code = "import sys, export; sys.path.remove(''); import edgepose"
    done = python("-c", code, cwd=tmp_path)
    assert f"{tmp_path / 'export.py'} hides" in done.stderr.splitlines()[-1]


def test_a_folder_without_init_hides_nothing(tmp_path):
    for name in PACKAGES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "registry.py").write_text("raise SystemExit('not ours')")
    code = "import edgepose; print(edgepose.load.__module__, edgepose.RunOptions().precision)"
    done = python("-c", code, cwd=tmp_path)
    assert done.stdout.split() == ["edge.model", "f32"], done.stderr


def hostile(folder: Path) -> None:
    """Fill a folder with modules of our names, and of what we import, that must not run."""
    for name in (*PACKAGES, "click", "numpy"):
        (folder / f"{name}.py").write_text("raise SystemExit('not ours')")
    (folder / "runtimes").mkdir()  # without __init__: a namespace package, were it found


@pytest.mark.parametrize("flags", [["-m"], ["-Bm"], ["-B", "-X", "utf8", "-m"]])
def test_the_module_runs_beside_files_of_any_name(tmp_path, flags):
    hostile(tmp_path)
    done = python(*flags, "edgepose", "--version", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"edgepose, version {__version__}\n"
    listed = python(*flags, "edgepose", "models", "--json", cwd=tmp_path)
    assert listed.returncode == 0
    assert "rtmpose-t" in listed.stdout


def test_the_module_runs_where_the_python_path_names_the_working_directory_too(tmp_path):
    hostile(tmp_path)
    done = python("-m", "edgepose", "--version", cwd=tmp_path, path=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_module_runs_from_the_folder_that_holds_it():
    done = python("-m", "edgepose", "--version", cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")


SCRIPT = "import sys; from edgepose.__main__ import main; sys.exit(main())"


@pytest.mark.parametrize("start", ["module", "script"])
def test_a_file_elsewhere_on_the_python_path_is_named_in_one_line(tmp_path, start):
    elsewhere, here = tmp_path / "elsewhere", tmp_path / "here"
    elsewhere.mkdir()
    here.mkdir()
    hostile(elsewhere)
    script = here / "edgepose"  # as pip writes the console script
    script.write_text(SCRIPT)
    args = ["-m", "edgepose"] if start == "module" else [str(script)]
    done = python(*args, "--version", cwd=here, path=elsewhere)
    assert (done.returncode, done.stdout) == (2, "")
    (said,) = done.stderr.splitlines()
    assert said.startswith(f"edgepose: {elsewhere / 'edge.py'} hides edgepose's package 'edge'; ")


def test_the_console_script_runs_beside_files_of_any_name(tmp_path):
    hostile(tmp_path)
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "edgepose"
    script.write_text(SCRIPT)
    done = python(str(script), "--version", cwd=tmp_path, path=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"edgepose, version {__version__}\n"
