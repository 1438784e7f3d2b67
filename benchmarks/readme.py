"""Put the measured figures into README.md, between their markers, so that no figure there is typed by hand.

python benchmarks/readme.py
"""

import re
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parents[1]
MEASURED = ROOT / "docs" / "measured"


def main() -> None:
    """Replace the text between each pair of markers."""
    startup = msgspec.json.decode((MEASURED / "startup.json").read_bytes())
    blocks = {
        "real_weights": (MEASURED / "real_weights.md").read_text().strip(),
        "overhead": (MEASURED / "overhead.md").read_text().strip(),
        "startup": (
            f"`import edge`: {startup['import edge']} s; with `edge.Pipeline` used: "
            f"{startup['import edge; edge.Pipeline']} s; `edgepose --help`: {startup['edgepose --help']} s "
            f"(medians of fresh processes; a bare Python: {startup['python -c pass']} s; `benchmarks/startup.py`)."
        ),
    }
    readme = ROOT / "README.md"
    text = readme.read_text()
    for name, block in blocks.items():
        pattern = re.compile(rf"(<!-- measured: {name} -->\n).*?(\n<!-- end -->)", re.DOTALL)
        if not pattern.search(text):
            raise SystemExit(f"README.md has no markers for {name}")
        text = pattern.sub(lambda match, new=block: f"{match[1]}{new}{match[2]}", text)
    readme.write_text(text)


if __name__ == "__main__":
    main()
