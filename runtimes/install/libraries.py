"""System packages by the shared library that they bring. Names of Debian 12; Ubuntu and Raspberry Pi OS take them too.

Where a name changed (`libglib2.0-0t64` of Ubuntu 24.04), the old one still installs the new package.
"""

import re

PACKAGES = {
    # OpenGL and X11, which the full OpenCV build loads
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libGLX.so.0": "libglx0",
    "libGLdispatch.so.0": "libglvnd0",
    "libOpenGL.so.0": "libopengl0",
    "libX11.so.6": "libx11-6",
    "libX11-xcb.so.1": "libx11-xcb1",
    "libXau.so.6": "libxau6",
    "libXdmcp.so.6": "libxdmcp6",
    "libXext.so.6": "libxext6",
    "libXrender.so.1": "libxrender1",
    "libSM.so.6": "libsm6",
    "libICE.so.6": "libice6",
    "libxcb.so.1": "libxcb1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libdbus-1.so.3": "libdbus-1-3",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libgobject-2.0.so.0": "libglib2.0-0",
    "libgstreamer-1.0.so.0": "libgstreamer1.0-0",
    # compilers' and threading libraries
    "libatomic.so.1": "libatomic1",
    "libgcc_s.so.1": "libgcc-s1",
    "libgfortran.so.5": "libgfortran5",
    "libgomp.so.1": "libgomp1",
    "libstdc++.so.6": "libstdc++6",
    "libtbb.so.12": "libtbb12",
    "libhwloc.so.15": "libhwloc15",
    "libnuma.so.1": "libnuma1",
    "libopenblas.so.0": "libopenblas0",
    "libusb-1.0.so.0": "libusb-1.0-0",
    "libz.so.1": "zlib1g",
    # loaders of GPU and NPU drivers
    "libOpenCL.so.1": "ocl-icd-libopencl1",
    "libvulkan.so.1": "libvulkan1",
    "libze_loader.so.1": "libze1",
}
# libxcb-render-util.so.0 comes in libxcb-render-util0, and so on
_XCB = re.compile(r"libxcb-([a-z-]+)\.so\.(\d+)")
# libcudart.so.12, libcudnn.so.9, libnvinfer.so.10 ...: of NVIDIA's own packages, which differ by device
_NVIDIA = re.compile(r"lib(cu[a-z]+|nv[a-z_]+)\.so\b.*")


def system_package(library: str) -> str:
    """Return the Debian package that brings a shared library (`libGL.so.1`); "" where it is not known."""
    if match := _XCB.fullmatch(library):
        return f"libxcb-{match[1]}{match[2]}"
    return PACKAGES.get(library, "")


def is_nvidia(library: str) -> bool:
    """Return whether a shared library is a part of CUDA, cuDNN or TensorRT."""
    return _NVIDIA.fullmatch(library) is not None
