"""The device whose /proc and /sys are below a folder: its texts, read without root, and its profile."""

import platform
from pathlib import Path

from devices.profiles.match import Identity, Texts, identify
from runtimes.threads import read_text


def read_texts(root: Path = Path("/")) -> Texts:
    """Return the texts below `root` by which a device is known; what cannot be read is empty. Raises nothing."""
    tree, soc = root / "proc/device-tree", root / "sys/devices/soc0"
    return Texts(
        cpuinfo=read_text(root / "proc/cpuinfo"),
        compatible=read_text(tree / "compatible"),
        model=read_text(tree / "model"),
        soc_id=read_text(soc / "soc_id"),
        soc_family=read_text(soc / "family"),
        soc_machine=read_text(soc / "machine"),
        getprop=read_text(root / "getprop.txt") if root != Path("/") else "",
    )


def detect_identity(root: Path = Path("/")) -> Identity:
    """Return this machine's architecture and profile, or those of the device whose files are below `root`.

    `root` may hold getprop.txt, the output of Android's `getprop`. Raises nothing.
    """
    return identify(read_texts(root), platform.machine())
