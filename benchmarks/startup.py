"""Start-up time of `import edge` and `edgepose --help`: medians of fresh processes, beside a bare Python.

python benchmarks/startup.py docs/measured
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import msgspec

ROUNDS = 15
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import edge": [sys.executable, "-c", "import edge"],
    "import edge; edge.Pipeline": [sys.executable, "-c", "import edge; edge.Pipeline"],
    "edgepose --help": [str(Path(sys.executable).with_name("edgepose")), "--help"],
}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    samples: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, argv in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run(argv, check=True, capture_output=True)
            samples[name].append(time.perf_counter() - start)
    medians = {name: round(statistics.median(values), 3) for name, values in samples.items()}
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "startup.json").write_bytes(
        msgspec.json.format(msgspec.json.encode(medians), indent=1) + b"\n"
    )
    for name, seconds in medians.items():
        print(f"{name:30} {seconds:.3f} s")


if __name__ == "__main__":
    main()
