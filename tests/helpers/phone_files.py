"""A phone's file system in a folder, artifacts for it, and stand-ins of the tools that run on it."""

import textwrap
from pathlib import Path

import numpy as np
from adb_server import Phone
from device_files import read_device

from edge.parity.reference import make_reference, save_reference
from runtimes.artifact import REFERENCE, Artifact
from runtimes.codec_spec import HeatmapCodec
from runtimes.files import seal
from runtimes.spec import CropSpec, ImageSpec, KeypointsSpec, Lineage, Manifest, TensorSpec

# runs of 8.02 ms, in the words of ncnn's benchmark/README.md
BENCHNCNN = """\
#!/bin/sh
echo "$*" >> ../../../calls.txt
cat >&2 <<END
loop_count = $1
num_threads = $2
powersave = $3
gpu_device = $4
cooling_down = $5
         ${6#param=}  min =    7.50  max =   12.25  avg =    8.02
END
"""
# the figures of a public log of android_aarch64_benchmark_model
BENCHMARK_MODEL = """\
#!/bin/sh
echo "$*" >> ../../../calls.txt
cat <<END
INFO: STARTING!
INFO: Num threads: [2]
INFO: count=9 first=87112 curr=51629 min=51629 max=87112 avg=58147.4 std=11478 p5=51629 median=51962 p95=87112

INFO: count=1000 first=52162 curr=49785 min=49088 max=686105 avg=63743.2 std=60716 p5=49620 median=51891 p95=68628

INFO: Inference timings in us: Init: 119515, First inference: 87112, Warmup (avg): 58147.4, Inference (avg): 63743.2
END
"""
TOOLS = {
    "getprop": 'cat "{root}/getprop.txt"',
    "dumpsys": 'test "$1" = thermalservice && echo "Thermal Status: 0"',
    "taskset": 'echo "$1" >> "{root}/masks.txt"; shift; exec "$@"',
    "uname": "echo aarch64",
}


def make_phone(root: Path) -> Phone:
    """Return a phone with a Snapdragon 865: its texts, a thermal zone, the clocks of two cores, a shell's commands."""
    read_device("snapdragon-865-android").write(root)
    for path, text in {
        "sys/class/thermal/thermal_zone0/type": "cpu-1-0-usr",
        "sys/class/thermal/thermal_zone0/temp": "41200",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1804800",
        "sys/devices/system/cpu/cpu7/cpufreq/scaling_cur_freq": "2841600",
        "proc/loadavg": "2.50 2.10 1.90 1/900 4242",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text + "\n")
    for name, script in TOOLS.items():
        executable(root / "bin" / name, f"#!/bin/sh\n{script.format(root=root)}\n")
    phone = Phone(root)
    phone.temporary.mkdir(parents=True)
    return phone


def executable(path: Path, text: str) -> Path:
    """Write a script that can be started."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    path.chmod(0o755)
    return path


def write_artifact(root: Path, runtime: str, precision: str = "fp32") -> Artifact:
    """Write an artifact whose files have the runtime's names and are no network, with its reference."""
    root.mkdir(parents=True)
    names = {"ncnn": ("model.param", "model.bin"), "tflite": ("model.tflite",)}[runtime]
    for name in names:
        (root / name).write_bytes(b"no network of any engine\n")
    manifest = Manifest(
        model="small",
        task="pose-topdown",
        runtime=runtime,
        precision=precision,
        inputs=(TensorSpec(name="image", shape=(-1, 3, 64, 48)),),
        outputs=(TensorSpec(name="heatmap", shape=(-1, 2, 16, 12)),),
        image=ImageSpec(wh=(48, 64)),
        crop=CropSpec(kind="stretch"),
        codec=HeatmapCodec(refine="none"),
        keypoints=KeypointsSpec(name="two", names=("a", "b"), sigmas=(0.1, 0.1)),
        lineage=Lineage(weights="checkpoint"),
    )
    pictures = np.zeros((1, 64, 48, 3), np.uint8)
    outputs = {"heatmap": np.zeros((1, 2, 16, 12), np.float32)}
    outputs["heatmap"][:, :, 4, 4] = 1
    save_reference(root / REFERENCE, make_reference(pictures, outputs, manifest, "by hand"))
    return seal(root, manifest)
