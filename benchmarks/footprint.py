"""Size of the wheel and of what each extra installs, on x86-64 and on aarch64.

python benchmarks/footprint.py docs/measured [--uv .venv/bin/uv] [--torch FOLDER_OR_URL]

Installs from the package index into fresh folders, as pip does there: aarch64 takes headless OpenCV, x86-64 the full
one. Wheels of another CPU are unpacked, not run. Writes footprint.json and footprint.md: megabytes (1e6) as installed,
without compiled bytecode, and the packages of more than a megabyte.
"""

import argparse
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parents[1]
PYTHON = "3.11"
# As uv names them: the oldest C library for which all four engines have wheels of their newest versions.
PLATFORMS = {"x86-64": "x86_64-manylinux_2_28", "aarch64": "aarch64-manylinux_2_35"}
BOARD = ("", "ncnn", "tflite", "onnxruntime", "openvino", "eval", "serve")
HOST = (
    "export",
    "quantize",
    "distill",
    "all",
)  # on x86-64: TFLite's converter has wheels there alone
# torch for the CPU; the index of packages has the one for CUDA.
TORCH = "https://download.pytorch.org/whl/cpu/torch/"


@dataclass(frozen=True)
class Row:
    """What `edgepose[extra]` installs on a platform, in MB; `packages`: those over 1 MB, the largest first."""

    extra: str
    platform: str
    megabytes: float
    packages: dict[str, float]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--uv", type=Path, default=ROOT / ".venv" / "bin" / "uv")
    parser.add_argument("--torch", default=TORCH, help="Where the wheels of torch for the CPU are.")
    args = parser.parse_args()
    wanted = [(extra, name) for extra in BOARD for name in PLATFORMS]
    wanted += [(extra, "x86-64") for extra in HOST]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        run(args.uv, "build", "--quiet", "--wheel", "--out-dir", folder, ROOT)
        (wheel,) = folder.glob("*.whl")
        size = wheel.stat().st_size
        rows = [measure(args.uv, wheel, extra, name, args.torch) for extra, name in wanted]
    record = {"wheel_bytes": size, "python": PYTHON, "platforms": PLATFORMS, "rows": rows}
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "footprint.json").write_bytes(
        msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"
    )
    text = page(rows, size)
    (args.out / "footprint.md").write_text(text)
    print(text)


def measure(uv: Path, wheel: Path, extra: str, platform: str, torch: str) -> Row:
    """Install the wheel with one extra for a platform into a fresh folder beside it, and weigh that."""
    site = wheel.parent / "site"
    install = [uv, "pip", "install", "--quiet", "--no-config", "--target", site]
    install += ["--python-version", PYTHON, "--python-platform", PLATFORMS[platform]]
    install += ["--only-binary", ":all:", "--constraint", ROOT / "constraints.txt"]
    if extra in HOST:
        install += ["--find-links", torch]
    run(*install, f"edgepose[{extra}] @ {wheel.as_uri()}" if extra else wheel)
    sizes = {path.name: weigh(path) for path in site.iterdir()}
    shutil.rmtree(site)
    large = {name: size for name, size in sizes.items() if size >= 1e6}
    ordered = sorted(large, key=lambda name: -large[name])
    return Row(
        extra,
        platform,
        round(sum(sizes.values()) / 1e6, 1),
        {name: round(large[name] / 1e6, 1) for name in ordered},
    )


def weigh(path: Path) -> int:
    """Return the bytes of a file, or of all files below a directory, links not followed."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(each.lstat().st_size for each in files if each.is_file() and not each.is_symlink())


def page(rows: list[Row], size: int) -> str:
    """Return the table as Markdown: a line an extra, a column a platform, and what makes up the most."""
    found = {(row.extra, row.platform): row for row in rows}
    lines = [
        f"| installed | {', MB | '.join(PLATFORMS)}, MB | most of it (aarch64; hosts: x86-64) |",
        f"|---|{'---|' * len(PLATFORMS)}---|",
    ]
    for extra in dict.fromkeys(row.extra for row in rows):
        each = {name: found[extra, name] for name in PLATFORMS if (extra, name) in found}
        sizes = [str(each[name].megabytes) if name in each else "" for name in PLATFORMS]
        name = f"edgepose[{extra}]" if extra else "edgepose"
        lines.append(f"| `{name}` | {' | '.join(sizes)} | {parts(each)} |")
    note = (
        f"Python {PYTHON}, pinned versions (`constraints.txt`), as installed for"
        f" {' and '.join(PLATFORMS.values())}. OpenCV: full on x86-64, headless on"
        f" aarch64. The wheel itself: {size / 1e6:.2f} MB."
    )
    return "\n".join([*lines, "", note, ""])


def parts(rows: Mapping[str, Row]) -> str:
    """Return the six largest packages of the last platform in words."""
    packages = list(rows[list(rows)[-1]].packages.items())[:6]
    return ", ".join(f"{name} {megabytes}" for name, megabytes in packages)


def run(*command: object) -> None:
    """Run a command; raises CalledProcessError."""
    subprocess.run([str(part) for part in command], check=True)


if __name__ == "__main__":
    main()
