"""Hints about GPUs and NPUs, from folders as the kernel and the drivers' packages lay them out."""

from pathlib import Path

import pytest

from edge.cli.health.drivers import driver_hints

# PCI ids of a Core Ultra: the GPU of a Meteor Lake (class 0300) and its NPU (class 1200).
INTEL_GPU = {
    "sys/bus/pci/devices/0000:00:02.0/vendor": "0x8086\n",
    "sys/bus/pci/devices/0000:00:02.0/class": "0x030000\n",
}
INTEL_NPU = {
    "sys/bus/pci/devices/0000:00:0b.0/vendor": "0x8086\n",
    "sys/bus/pci/devices/0000:00:0b.0/class": "0x120000\n",
}
NVIDIA_GPU = {
    "sys/bus/pci/devices/0000:01:00.0/vendor": "0x10de\n",
    "sys/bus/pci/devices/0000:01:00.0/class": "0x030000\n",
}
RENDER = {"dev/dri/renderD128": ""}
OPENCL = {"etc/OpenCL/vendors/intel.icd": "libigdrcl.so\n"}
NPU_NODE = {"dev/accel/accel0": ""}
NPU_LIBRARY = {"usr/lib/x86_64-linux-gnu/libze_intel_npu.so.1": ""}
RB3 = {"proc/device-tree/compatible": "qcom,qcs6490-rb3gen2\0qcom,qcm6490\0"}
CDSP = {"dev/fastrpc-cdsp": "", "dev/fastrpc-cdsp-secure": ""}
QNN = {"usr/lib/libQnnHtp.so": ""}


@pytest.fixture
def machine(tmp_path):
    def write(*layers: dict[str, str]) -> Path:
        for files in layers:
            for name, text in files.items():
                path = tmp_path / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        return tmp_path

    return write


def anyone(device: Path) -> bool:
    return True


def nobody(device: Path) -> bool:
    return False


def test_a_machine_without_gpu_and_npu_has_no_hints(tmp_path, machine) -> None:
    assert driver_hints(tmp_path, nobody) == []
    assert driver_hints(machine({"proc/device-tree/compatible": "brcm,bcm2712\0"}), nobody) == []


@pytest.mark.parametrize(
    "layers",
    [
        (INTEL_GPU, RENDER, OPENCL),
        (INTEL_GPU, RENDER, OPENCL, INTEL_NPU, NPU_NODE, NPU_LIBRARY),
        (RB3, CDSP, QNN),
        (NVIDIA_GPU,),  # its own driver has other devices
    ],
)
def test_complete_drivers_have_no_hints(machine, layers) -> None:
    assert driver_hints(machine(*layers), anyone) == []


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ((INTEL_GPU,), "no /dev/dri/renderD*"),
        ((INTEL_GPU, RENDER), "apt install intel-opencl-icd"),
        ((INTEL_NPU,), "modprobe intel_vpu"),
        ((INTEL_NPU, NPU_NODE), "libze_intel_npu.so.1"),
        ((RB3,), "no /dev/fastrpc-cdsp"),
        ((RB3, CDSP), "no libQnnHtp.so"),
    ],
)
def test_what_is_missing_is_named(machine, layers, said) -> None:
    (hint,) = driver_hints(machine(*layers), anyone)
    assert said in hint


@pytest.mark.parametrize(
    ("layers", "node"),
    [
        ((RENDER,), "/dev/dri/renderD128"),
        ((INTEL_NPU, NPU_NODE), "/dev/accel/accel0"),
        ((RB3, CDSP), "/dev/fastrpc-cdsp"),
    ],
)
def test_a_device_that_may_not_be_opened_names_its_group(machine, layers, node) -> None:
    (hint,) = driver_hints(machine(*layers), nobody)
    assert f"may not open {node}" in hint
    assert f'usermod -aG "$(stat -c %G {node})" $USER' in hint


def test_one_open_device_of_the_dsp_is_enough(machine) -> None:
    """The secure one is closed to users on every board."""
    root = machine(RB3, CDSP, QNN)
    assert driver_hints(root, lambda device: device.name == "fastrpc-cdsp") == []


def test_a_python_package_may_bring_the_library(machine, tmp_path) -> None:
    package = tmp_path / "site-packages" / "onnxruntime_qnn"
    package.mkdir(parents=True)
    (package / "libQnnHtp.so").touch()
    assert driver_hints(machine(RB3, CDSP), anyone, [package]) == []


def test_qualcomms_own_kernels_name_the_dsp_otherwise(machine) -> None:
    assert driver_hints(machine(RB3, {"dev/adsprpc-smd": ""}, QNN), anyone) == []
