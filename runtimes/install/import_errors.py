"""Import errors of installed packages, explained: the cause in a few words and the usual remedy, in one line."""

import re
from collections.abc import Callable

from runtimes.errors import MissingDependencyError
from runtimes.install.libraries import is_nvidia, system_package

REASON_CHARS = 300

Explain = Callable[[re.Match[str], str], str]


def explain_import(package: str, reason: str, printed: str = "") -> str:
    """Return why the installed `package` (a distribution's name) cannot be imported, and what to do.

    reason: the message of the exception. printed: what the package printed before, where the loader's reason often is.
    """
    text = _one_line(reason)
    known = known_cause(package, text) or known_cause(package, _one_line(printed))
    said = text[-REASON_CHARS:] or "no message"
    return known or f"{said}; run: pip install --force-reinstall {package}"


def known_cause(package: str, reason: str) -> str:
    """Return the cause and its remedy where the reason is a known one, else ""."""
    for pattern, explain in _CAUSES:
        if match := pattern.search(reason):
            return explain(match, package)
    return ""


def broken_import(package: str, extra: str, error: ImportError) -> MissingDependencyError:
    """Return the error to raise where `import` of an engine failed: it is missing, or is there and does not load.

    package: its distribution's name. extra: the extra of edgepose that installs it.
    """
    if isinstance(error, ModuleNotFoundError) and _same(error.name, package):
        return MissingDependencyError(package, extra)
    return MissingDependencyError(
        package,
        extra,
        f"{package} is installed, but cannot be loaded: {explain_import(package, str(error))}",
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _same(module: str | None, package: str) -> bool:
    return (module or "").replace("_", "-").split(".")[0] == package


def _missing_library(match: re.Match[str], package: str) -> str:
    library = match[1].rsplit("/", 1)[-1]
    if is_nvidia(library):
        return (
            f"{library} is missing, a part of NVIDIA's CUDA, cuDNN or TensorRT; install the version that this build of"
            f" {package} needs, or its build for the CPU"
        )
    name = system_package(library)
    install = f"run: apt install {name}" if name else f"find its package: apt-file search {library}"
    return f"{library} is missing; on Debian, Ubuntu and Raspberry Pi OS {install}"


def _old_libc(match: re.Match[str], package: str) -> str:
    return (
        f"it was built for glibc {match[1]}, and this system's is older (ldd --version); install an older version"
        f" of {package}, or a newer system"
    )


def _old_libstdcxx(match: re.Match[str], package: str) -> str:
    return (
        f"it needs {match[1]}, and the libstdc++ found first is older; on Debian, Ubuntu and Raspberry Pi OS run:"
        " apt install libstdc++6, and take other libstdc++ (conda's) off LD_LIBRARY_PATH"
    )


def _static_tls(match: re.Match[str], package: str) -> str:
    return f"the loader ran out of static TLS for {match[1]}; load it first: export LD_PRELOAD={match[1]}"


def _architecture(match: re.Match[str], package: str) -> str:
    return f"its files are for another processor or damaged; run: pip install --force-reinstall {package}"


def _mixed(match: re.Match[str], package: str) -> str:
    return f"files of two versions are mixed ({match[0]}); run: pip install --force-reinstall {package}"


def _numpy(match: re.Match[str], package: str) -> str:
    return f"it was built for another NumPy; run: pip install -U {package} numpy"


def _not_executable(match: re.Match[str], package: str) -> str:
    return (
        "its libraries lie where nothing may be executed (a file system mounted noexec, or a security policy);"
        " install it elsewhere"
    )


def _executable_stack(match: re.Match[str], package: str) -> str:
    return f"this system refuses its executable stack (glibc 2.41 and newer do); run: pip install -U {package}"


_CAUSES: tuple[tuple[re.Pattern[str], Explain], ...] = (
    (re.compile(r"(\S+\.so[.\d]*): cannot open shared object file"), _missing_library),
    (re.compile(r"version `GLIBC_([\d.]+)' not found"), _old_libc),
    (re.compile(r"version `(GLIBCXX_[\d.]+|CXXABI_[\d.]+)' not found"), _old_libstdcxx),
    (re.compile(r"(\S+): cannot allocate memory in static TLS block"), _static_tls),
    (re.compile(r"invalid ELF header|wrong ELF class|file too short"), _architecture),
    (re.compile(r"undefined symbol: \S+"), _mixed),
    (re.compile(r"partially initialized module .+? has no attribute .+?(?=\)| \(|$)"), _mixed),
    (re.compile(r"compiled (using|against) NumPy|multiarray failed to import|_ARRAY_API"), _numpy),
    (re.compile(r"failed to map segment from shared object"), _not_executable),
    (re.compile(r"cannot enable executable stack"), _executable_stack),
)
