"""Traps of single engines: ragged outputs, quantised tensors, ncnn's options, parallel batches."""

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from runtimes.adapters import openvino_adapter
from runtimes.adapters.free_cores import FreeThreads
from runtimes.artifact import Artifact
from runtimes.base import RunOptions
from runtimes.codec_spec import BoxesCodec
from runtimes.errors import ArtifactError, EngineError
from runtimes.files import seal
from runtimes.registry import open_session
from runtimes.spec import ImageSpec, TensorSpec
from runtimes.threads import allowed_cores


def relabel(tiny: Artifact, root: Path, **changes: object) -> Artifact:
    return seal(root, msgspec.structs.replace(tiny.manifest, **changes))


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_ragged_outputs_are_padded_and_counted(tiny_of, tiny_files, tmp_path, runtime) -> None:
    """The graph gives the rows of one uint8 image that have a pixel over 200, and their numbers."""
    tiny = tiny_of(f"{runtime}-embedded")
    source = tiny_files / "rows.onnx"
    if runtime == "openvino":
        openvino = pytest.importorskip("openvino")
        openvino.save_model(openvino.convert_model(source), tmp_path / "model.xml")
    else:
        shutil.copyfile(source, tmp_path / "model.onnx")
    artifact = relabel(
        tiny,
        tmp_path,
        inputs=(msgspec.structs.replace(tiny.manifest.inputs[0], engine_name="frame"),),
        outputs=(
            TensorSpec(name="labels", dtype="int64", shape=(-1, -1)),
            TensorSpec(name="dets", shape=(-1, -1, 18)),
        ),
        codec=BoxesCodec(),
    )
    batch = np.random.default_rng(5).integers(0, 200, (3, 8, 6, 3), dtype=np.uint8)
    batch[0, 2, 1, 0] = batch[0, 5, 4, 2] = batch[2, 7, 0, 1] = 255  # rows 2, 5; none; 7
    session = open_session(artifact)
    outputs = session.run({"image": batch})
    assert outputs["count"].dtype == np.int32
    assert outputs["count"].tolist() == [2, 0, 1]
    assert outputs["labels"].dtype == np.int64
    assert outputs["labels"].tolist() == [[2, 5], [-1, -1], [7, -1]]
    assert outputs["dets"].shape == (3, 2, 18)
    np.testing.assert_array_equal(outputs["dets"][0], batch[0, [2, 5]].reshape(2, 18))
    np.testing.assert_array_equal(outputs["dets"][2, 0], batch[2, 7].reshape(18))
    alone = session.run({"image": batch[1:2]})
    assert alone["dets"].shape == (1, 0, 18)
    assert alone["count"].tolist() == [0]
    session.close()


def test_openvino_pins_threads_only_where_they_take_all_cores(tiny_of) -> None:
    """Models are pinned from the first core on: two of one thread each would take turns on it."""
    every, more = allowed_cores(), allowed_cores() > 1
    for threads, extra, pinned in (
        (every, {}, True),
        (every, {"pinning": 0}, False),
        (1, {}, not more),
        (1, {"pinning": 1}, True),
    ):
        options = RunOptions(threads=threads, extra=extra)
        session = openvino_adapter.open_session(tiny_of("openvino"), options)
        compiled = session._request.get_compiled_model()
        assert compiled.get_property("ENABLE_CPU_PINNING") is pinned
        session.close()


def test_openvino_keeps_activations_in_float(tiny_of) -> None:
    session = openvino_adapter.open_session(tiny_of("openvino"), RunOptions())
    compiled = session._request.get_compiled_model()
    assert compiled.get_property("DYNAMIC_QUANTIZATION_GROUP_SIZE") == 0
    session.close()


LOADED_HALF = """
import sys
from runtimes.artifact import Artifact
from runtimes.base import RunOptions
from runtimes.registry import open_session

print(open_session(Artifact.open(sys.argv[1]), RunOptions(precision=sys.argv[2])).effective.precision)
"""


@pytest.mark.parametrize("precision", ["f16", "bf16"])
@pytest.mark.parametrize("case", ["openvino", "openvino-embedded"])
def test_openvino_survives_a_onednn_that_is_kept_from_16_bits(tiny_of, case, precision) -> None:
    tiny = tiny_of(case)
    command = [sys.executable, "-c", LOADED_HALF, str(tiny.root), precision]
    limited = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run(command, env=limited, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "f32"), done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
@pytest.mark.parametrize("case", ["onnxruntime", "tflite"])
def test_engines_with_pools_of_their_own_start_the_threads_asked_for(tiny_of, photos, case) -> None:
    tiny = tiny_of(case)
    open_session(tiny).close()  # the import itself may start threads that stay
    started = []
    for threads in (1, 3):
        before = len(list(Path("/proc/self/task").iterdir()))
        session = open_session(tiny, RunOptions(threads=threads))
        session.run({"image": photos})
        started.append(len(list(Path("/proc/self/task").iterdir())) - before)
        session.close()
    assert started == [0, 2]  # beside the caller's own


def test_ncnn_runs_batches_alike_on_one_and_two_threads(tiny_of, photos) -> None:
    tiny = tiny_of("ncnn")
    many = np.concatenate([photos, photos[::-1], photos])
    one, two = (open_session(tiny, RunOptions(threads=count)) for count in (1, 2))
    for _ in range(20):  # order and ownership under real concurrency
        left, right = one.run({"image": many}), two.run({"image": many})
        for name, value in left.items():
            np.testing.assert_allclose(right[name], value, rtol=0, atol=1e-6)
    one.close()
    two.close()


def test_ncnn_answers_alike_where_cores_are_taken(tiny_of, photos) -> None:
    tiny = tiny_of("ncnn")
    session = open_session(tiny)
    for images in (photos[:1], photos):
        for _ in range(10):  # each thread count has its turn
            free = session.run({"image": images})
        with FreeThreads(
            16, trials=0
        ).call():  # another call of this process, which leaves one thread
            taken = session.run({"image": images})
        for name, value in free.items():
            np.testing.assert_array_equal(taken[name], value)
    session.close()


def test_ncnn_computes_fp16_stored_weights_in_f32(tiny_of, net, photos, tmp_path) -> None:
    tiny = tiny_of("ncnn")
    half = [weights.astype("<f2") for weights in (net.conv, net.linear)]
    tag = struct.pack("<I", 0x01306B47)
    blobs = [
        tag + weights.tobytes() + bias.tobytes()
        for weights, bias in zip(half, (net.conv_bias, net.linear_bias), strict=True)
    ]
    (tmp_path / "model.bin").write_bytes(b"".join(blobs))
    (tmp_path / "model.param").write_bytes(tiny.file(".param").read_bytes())
    session = open_session(relabel(tiny, tmp_path, precision="fp16"))
    assert session.effective.precision == "f32"
    rounded = type(net)(
        half[0].astype(np.float64), net.conv_bias, half[1].astype(np.float64), net.linear_bias
    )
    outputs = session.run({"image": photos})
    for name, value in rounded(photos).items():
        np.testing.assert_allclose(outputs[name], value, rtol=0, atol=1e-4)
    session.close()


def test_ncnn_f16_without_the_instructions_is_reported_as_f32(tiny_of) -> None:
    tiny = tiny_of("ncnn")
    ncnn = pytest.importorskip("ncnn")
    session = open_session(tiny, RunOptions(precision="f16"))
    wanted = "f16" if ncnn.cpu_support_arm_asimdhp() else "f32"
    assert session.effective.precision == wanted
    session.close()


def test_ncnn_refuses_an_embedded_image(tiny_of, tmp_path) -> None:
    tiny = tiny_of("ncnn")
    for record in tiny.manifest.files:
        (tmp_path / record.path).write_bytes((tiny.root / record.path).read_bytes())
    image = msgspec.structs.replace(tiny.manifest.image, embedded=True)
    with pytest.raises(ArtifactError, match="embedded"):
        open_session(relabel(tiny, tmp_path, image=image))


DETECTOR_PARAM = """7767517
3 3
Input in0 0 1 in0
Convolution heads 1 1 in0 map 0=6 1=1 5=1 6=18
Yolov3DetectionOutput boxes 1 1 map out0 0=1 1=1 2=0.5 3=0.45 -23304=2,1.0,1.0 -23305=1,0 -23306=1,1.0
"""


def save_red_detector(root: Path) -> None:
    """One box a pixel whose red is over 200: objectness = red - 200, class logit 20, boxes one pixel wide."""
    weights, bias = np.zeros((6, 3), np.float32), np.zeros(6, np.float32)
    weights[4, 0], bias[4], bias[5] = 1, -200, 20
    (root / "model.param").write_text(DETECTOR_PARAM)
    (root / "model.bin").write_bytes(struct.pack("<I", 0) + weights.tobytes() + bias.tobytes())


@pytest.mark.parametrize("shape", [(-1, -1, 6), (-1, 2, 6)])
def test_ncnn_detector_that_finds_nothing(tiny_of, tmp_path, shape) -> None:
    """Ncnn answers with an empty Mat and code 0, which would take numpy's process down: so in a process of its own."""
    tiny = tiny_of("ncnn")
    save_red_detector(tmp_path)
    artifact = relabel(
        tiny,
        tmp_path,
        outputs=(TensorSpec(name="rows", engine_name="out0", shape=shape),),
        image=ImageSpec(wh=tiny.manifest.image.wh),
        codec=BoxesCodec(),
    )
    code = f"""
import numpy as np
from runtimes import Artifact, open_session
from runtimes.errors import EngineError
batch = np.zeros((3, 8, 6, 3), np.uint8)
batch[0, 2, 1, 2] = batch[0, 6, 4, 2] = batch[2, 2, 1, 2] = 255
session = open_session(Artifact.open({str(artifact.root)!r}))
assert session.run({{"image": batch[:1]}})["rows"].shape == (1, 2, 6)
try:
    outputs = session.run({{"image": batch}})
except EngineError as error:
    print(error)
else:
    print(outputs["rows"].shape, outputs["count"].tolist(), outputs["rows"][2, 1].tolist())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    if shape[1] == -1:
        assert done.stdout.strip() == "(3, 2, 6) [2, 0, 1] [0.0, 0.0, 0.0, 0.0, 0.0, 0.0]"
    else:
        assert "output out0 is empty" in done.stdout


def test_tflite_int8_outputs_come_dequantised(tiny_of, tiny_files, net, photos, tmp_path) -> None:
    tiny = tiny_of("tflite-embedded")
    path = str(tmp_path / "model.tflite")
    shutil.copyfile(tiny_files / "embedded-int8.tflite", path)
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(path, num_threads=1)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    details = {detail["shape"].size: detail for detail in interpreter.get_output_details()}
    outputs, wanted = [], {}
    for tensor in tiny.manifest.outputs:
        detail = details[len(tensor.shape)]
        scale, zero_point = detail["quantization"]
        rows = []
        for photo in photos:
            interpreter.set_tensor(source, photo[None])
            interpreter.invoke()
            rows.append(interpreter.get_tensor(detail["index"])[0])
        assert rows[0].dtype == np.int8
        wanted[tensor.name] = (np.stack(rows).astype(np.float64) - zero_point) * scale
        outputs.append(
            msgspec.structs.replace(
                tensor, dtype="int8", scale=float(scale), zero_point=int(zero_point)
            )
        )
    artifact = relabel(tiny, tmp_path, precision="int8", outputs=tuple(outputs))
    session = open_session(artifact)
    got, real = session.run({"image": photos}), net(photos)
    for name, value in got.items():
        assert value.dtype == np.float32
        np.testing.assert_allclose(value, wanted[name], rtol=0, atol=1e-5)
        assert np.corrcoef(value.ravel(), real[name].ravel())[0, 1] > 0.97
    session.close()
    with pytest.raises(EngineError, match="int8"):
        open_session(Artifact(artifact.root, tiny.manifest))
