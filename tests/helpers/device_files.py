"""Files of real devices (tests/data/devices): their source, what they are, and texts of /proc and /sys."""

import json
from dataclasses import dataclass
from pathlib import Path

DEVICES = Path(__file__).resolve().parents[1] / "data" / "devices"


@dataclass(frozen=True)
class DeviceFiles:
    """One device: where its texts are from, what detection has to find, and the texts by path."""

    name: str
    source: str
    expected: dict
    files: dict[str, str]

    def write(self, root: Path) -> Path:
        """Write the files below `root`, and return it."""
        for path, text in self.files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, newline="")
        return root


def read_device(name: str) -> DeviceFiles:
    """Read one device of tests/data/devices."""
    document = json.loads((DEVICES / f"{name}.json").read_text())
    return DeviceFiles(name, document["source"], document["expected"], document["files"])


NAMES = sorted(path.stem for path in DEVICES.glob("*.json"))
ALL = [read_device(name) for name in NAMES]
