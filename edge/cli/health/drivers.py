"""Drivers of GPUs and NPUs: hardware that is there, and what an engine lacks to use it.

Reads folders below a root; loads nothing and changes nothing. Without such hardware there are no hints.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from devices.parse.board import parse_compatible
from runtimes.threads import read_text

INTEL = "0x8086"
# PCI classes: linux include/linux/pci_ids.h and pci.ids; an Intel NPU is a "processing accelerator"
DISPLAY, ACCELERATOR = "0x03", "0x1200"
# The second name is that of linux-npu-driver before 1.17.
NPU_LIBRARIES = ("libze_intel_npu.so.1", "libze_intel_vpu.so.1")
QNN_LIBRARY = "libQnnHtp.so"
# Mainline kernels have the first, Qualcomm's own the second.
FASTRPC = ("dev/fastrpc-cdsp*", "dev/adsprpc-smd*")
LIBRARY_FOLDERS = (
    *("usr/lib", "usr/lib64", "usr/local/lib"),
    *("usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu"),
)


def driver_hints(
    root: Path, may_open: Callable[[Path], bool], folders: Sequence[Path] = ()
) -> list[str]:
    """Return a line for each GPU or NPU that cannot be used, with the remedy.

    root: holds /dev, /etc, /proc, /sys and /usr. may_open: whether this user may open a device to read and write.
    folders: more folders of libraries, such as a Python package's.
    """
    where = [*folders, *(root / name for name in LIBRARY_FOLDERS)]
    hints = (
        _gpu(root, may_open),
        _intel_npu(root, may_open, where),
        _qualcomm_npu(root, may_open, where),
    )
    return [hint for hint in hints if hint]


def _gpu(root: Path, may_open: Callable[[Path], bool]) -> str:
    nodes = sorted(root.glob("dev/dri/renderD*"))
    closed = [node for node in nodes if not may_open(node)]
    if closed:
        return f"GPU: {_joined(root, closed)}"
    if not _pci(root, INTEL, DISPLAY):
        return ""
    if not nodes:
        return (
            "Intel GPU: no /dev/dri/renderD*, so that --accelerator gpu finds none: the kernel's i915 or xe is not"
            " loaded, or this is a container without --device /dev/dri"
        )
    if not list(root.glob("etc/OpenCL/vendors/*intel*.icd")):
        return (
            "Intel GPU: no OpenCL driver, so that OpenVINO finds none for --accelerator gpu:"
            " sudo apt install intel-opencl-icd"
        )
    return ""


def _intel_npu(root: Path, may_open: Callable[[Path], bool], folders: Sequence[Path]) -> str:
    if not _pci(root, INTEL, ACCELERATOR):
        return ""
    nodes = sorted(root.glob("dev/accel/accel*"))
    if not nodes:
        return (
            "Intel NPU: no /dev/accel/accel*, so that --accelerator npu finds none: sudo modprobe intel_vpu; in a"
            " container: --device /dev/accel"
        )
    closed = [node for node in nodes if not may_open(node)]
    if closed:
        return f"Intel NPU: {_joined(root, closed)}"
    if not _has_library(folders, NPU_LIBRARIES):
        return (
            "Intel NPU: no libze_intel_npu.so.1, so that OpenVINO finds none for --accelerator npu: install the"
            " packages of github.com/intel/linux-npu-driver"
        )
    return ""


def _qualcomm_npu(root: Path, may_open: Callable[[Path], bool], folders: Sequence[Path]) -> str:
    compatible = parse_compatible(read_text(root / "proc/device-tree/compatible"))
    if not any(each.startswith("qcom,") for each in compatible):
        return ""
    nodes = [node for pattern in FASTRPC for node in sorted(root.glob(pattern))]
    if not nodes:
        return (
            "Qualcomm NPU: no /dev/fastrpc-cdsp, so that nothing reaches the Hexagon: its firmware did not start"
            " (cat /sys/class/remoteproc/*/state), or the kernel has no FastRPC. The CPU is not affected"
        )
    closed = [node for node in nodes if not may_open(node)]
    if len(closed) == len(nodes):
        return f"Qualcomm NPU: {_joined(root, closed)}"
    if not _has_library(folders, (QNN_LIBRARY,)):
        return (
            f"Qualcomm NPU: no {QNN_LIBRARY}: pip install onnxruntime-qnn (Python 3.11, glibc 2.34) brings it, or"
            " Qualcomm's AI Runtime SDK"
        )
    return ""


def _pci(root: Path, vendor: str, device_class: str) -> bool:
    """Return whether there is a PCI device of a vendor whose class begins with `device_class`."""
    return any(
        read_text(device / "vendor") == vendor
        and read_text(device / "class").startswith(device_class)
        for device in root.glob("sys/bus/pci/devices/*")
    )


def _has_library(folders: Sequence[Path], names: Sequence[str]) -> bool:
    return any((folder / name).exists() for folder in folders for name in names)


def _joined(root: Path, nodes: Sequence[Path]) -> str:
    """Return that devices may not be opened, and how this user joins the group of the first."""
    names = ", ".join(f"/{node.relative_to(root)}" for node in nodes)
    first = f"/{nodes[0].relative_to(root)}"
    return (
        f'this user may not open {names}: sudo usermod -aG "$(stat -c %G {first})" $USER, and log in again;'
        f" in a container: --device and --group-add"
    )
