"""Size of the wheel and of what a board installs: the wheel with one engine and headless OpenCV.

python benchmarks/footprint.py docs/measured [--uv .venv/bin/uv]

Installs from the package index into fresh environments. Writes footprint.json and footprint.md: megabytes (1e6) of
site-packages as installed, without compiled bytecode, and the packages of more than a megabyte.
"""

import argparse
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = ("ncnn", "tflite", "onnxruntime", "openvino")
HEADLESS = "opencv-python-headless"
# Takes the full OpenCV out on every machine: what an aarch64 board installs is measured on any CPU.
OVERRIDE = "opencv-python; python_version < '3'\n"


@dataclass(frozen=True)
class Row:
    """What `edgepose[extra]` installs, in MB; `packages`: those over 1 MB, the largest first."""

    extra: str
    megabytes: float
    packages: dict[str, float]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--uv", type=Path, default=ROOT / ".venv" / "bin" / "uv")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        run(args.uv, "build", "--quiet", "--wheel", "--out-dir", folder, ROOT)
        (wheel,) = folder.glob("*.whl")
        size = wheel.stat().st_size
        rows = [measure(args.uv, wheel, extra, folder) for extra in EXTRAS]
    where = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    record = {"wheel_bytes": size, "opencv": HEADLESS, "where": where, "rows": rows}
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "footprint.json").write_bytes(
        msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"
    )
    text = page(rows, size, where)
    (args.out / "footprint.md").write_text(text)
    print(text)


def measure(uv: Path, wheel: Path, extra: str, folder: Path) -> Row:
    """Install the wheel with one extra and headless OpenCV, and weigh its site-packages."""
    override, venv = folder / "override.txt", folder / extra
    override.write_text(OVERRIDE)
    run(uv, "venv", "--quiet", "--no-project", "--python", sys.executable, venv)
    install = [uv, "pip", "install", "--quiet", "--python", venv / "bin" / "python"]
    run(*install, "--override", override, f"{wheel}[{extra}]", HEADLESS)
    (site,) = venv.glob("lib/python*/site-packages")
    sizes = {path.name: weigh(path) for path in site.iterdir()}
    large = {name: size for name, size in sizes.items() if size >= 1e6}
    ordered = sorted(large, key=lambda name: -large[name])
    return Row(
        extra,
        round(sum(sizes.values()) / 1e6, 1),
        {name: round(large[name] / 1e6, 1) for name in ordered},
    )


def weigh(path: Path) -> int:
    """Return the bytes of a file, or of all files below a directory, links not followed."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(each.lstat().st_size for each in files if each.is_file() and not each.is_symlink())


def page(rows: list[Row], size: int, where: str) -> str:
    """Return the table as Markdown."""
    lines = ["| installed | MB | of which |", "|---|---|---|"]
    for row in rows:
        parts = ", ".join(f"{name} {megabytes}" for name, megabytes in row.packages.items())
        lines.append(f"| `edgepose[{row.extra}]` | {row.megabytes} | {parts} |")
    note = f"Headless OpenCV; {where}. The wheel itself: {size / 1e6:.2f} MB."
    return "\n".join([*lines, "", note, ""])


def run(*command: object) -> None:
    """Run a command; raises CalledProcessError."""
    subprocess.run([str(part) for part in command], check=True)


if __name__ == "__main__":
    main()
